"""Mutation testing: which small changes of a module do its tests not notice?

cosmic-ray makes the changes. Each is tested in a fork of this process, which has the
dependencies imported already, and loads the changed source in place of the file. So a
change costs half a second, and no file is written. Programs that a test starts see the
module unchanged.

A change that makes no difference is listed in `EQUIVALENT`, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import importlib
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path

import attrs
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

SOURCE = Path(__file__).parents[1] / "src" / "plastiq_async"
# At most one in so many changes of the pure modules may survive unexplained.
ONE_IN = 20

PURE = {
    "_quota": ["tests/test_quota.py"],
    "_validate": ["tests/test_validate.py"],
    "_config": ["tests/test_config.py"],
    "_transport/trace_check": ["tests/_transport/test_trace_check.py"],
    "_retry": [
        "tests/test_retry_rule.py",
        "tests/test_next_step.py",
        "tests/test_retry.py",
    ],
}
OTHERS = {
    "_bulk": ["tests/test_bulk.py"],
    "_rate_limit": ["tests/test_rate_limit.py"],
    "_transport/bounded": ["tests/_transport/test_bounded.py"],
    "_transport/slots": ["tests/_transport/test_slots.py"],
}
NO_VERSION = "a UUID of another variant has no version, as far as CPython tells"
CAPPED = "the capacity limits the tokens; the condition only saves the addition"
FAST = "only the number of checkpoints differs"
# By the module and the changed line: why no test can notice the change.
EQUIVALENT = {
    ("_retry", "if error == call.hook_error:"): "errors are equal if identical",
    **{
        ("_retry", f"{line}, {limit}))"): "the longest wait is reached before"
        for line in (
            "poll = min(_LONGEST_POLL_WAIT, _FIRST_POLL_WAIT * 2.0 ** min(polls",
            "bound = min(_LONGEST_WAIT, _first_wait(error) * 2.0 ** min(attempt - 1",
        )
        for limit in (9, 11)
    },
    ("_quota", "if self._tokens != self._capacity:"): CAPPED,
    ("_quota", "if self._tokens <= self._capacity:"): CAPPED,
    ("_quota", "if self._tokens is not self._capacity:"): CAPPED,
    (
        "_transport/trace_check",
        "if values is [call.trace_text] or not call.defaults.verify_trace_id:",
    ): "a shortcut: the set of the values is compared as well",
    **{
        ("_validate", f"if parsed.version != 4 or parsed.variant {sign} RFC_4122:"): (
            NO_VERSION
        )
        for sign in ("<", ">", "is not")
    },
    (
        "_bulk",
        "self._permits = anyio.Semaphore(concurrency, fast_acquire=False)",
    ): FAST,
    ("_bulk", "self._items_lock = anyio.Lock(fast_acquire=False)"): FAST,
    ("_bulk", "continue"): "the items are exhausted, which ends the loop as well",
    ("_transport/slots", "reused=expiry is not _NEVER,"): "it is one object",
    ("_transport/slots", "reused=expiry < _NEVER,"): "nothing is later",
    (
        "_transport/slots",
        "if verdict == Verdict.REFUSE:",
    ): "enumerations have no copies",
    ("_transport/slots", "KEEP_ALIVE = 54.0"): "any value well below 60 will do",
    ("_transport/slots", "KEEP_ALIVE = 56.0"): "any value well below 60 will do",
    (
        "_config",
        'elif parts.scheme <= "http" and not _is_loopback(host):',
    ): "the scheme is http or https by then",
}

# Imported once, before the forks.
DEPENDENCIES = (
    *("_hypothesis_pytestplugin", "anyio.pytest_plugin", "pytest_timeout"),
    *("_pytest.junitxml", "_pytest.unittest", "_pytest.doctest", "_pytest.pytester"),
    *("anyio._backends._asyncio", "anyio._backends._trio", "attrs", "cattrs"),
    *("cryptography.x509", "httpx", "hypothesis.strategies", "stamina"),
    *("starlette.applications", "trio.testing", "trustme"),
)
# The profile of hypothesis is deterministic. A test that hangs ends its process.
PYTEST = (
    *("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("--timeout=20", "--timeout-method=thread", "--hypothesis-profile=ci"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
# Of a test run: seconds of CPU, and bytes of memory.
MAX_CPU = 60
MAX_MEMORY = 4 << 30


@attrs.frozen
class Mutant:
    """A module with one change.

    Attributes:
        module: The module, such as `_transport/slots`.
        source: The changed source.
        change: The changed line, or `-` and the line that is gone.
    """

    module: str
    source: str
    change: str


def mutants_of(module: str) -> Iterator[Mutant]:
    """Yield the mutants of `module`, except those that differ in types alone.

    A bare `*` among parameters looks like an operator to cosmic-ray.
    """
    source = (SOURCE / f"{module}.py").read_text()
    lines = source.splitlines()
    annotations = list(annotations_in(source))
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        starts = [
            start
            for node in ast_nodes(get_ast(source))
            for start, _ in operator.mutation_positions(node)
        ]
        for occurrence, (line, column) in enumerate(starts):
            if lines[line - 1].startswith("*,", column) or any(
                first <= (line, column) < last for first, last in annotations
            ):
                continue
            changed = mutate_code(source, operator, occurrence)
            yield Mutant(module, changed, change_between(source, changed))


def annotations_in(source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield where each annotation in `source` starts and ends: line and column."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.AnnAssign(annotation=found)
                | ast.arg(annotation=ast.expr() as found)
                | ast.FunctionDef(returns=ast.expr() as found)
                | ast.AsyncFunctionDef(returns=ast.expr() as found)
            ):
                yield (
                    (found.lineno, found.col_offset),
                    (found.end_lineno or 0, found.end_col_offset or 0),
                )


def change_between(source: str, changed: str) -> str:
    """Return the line that differs, without its comment."""
    lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), n=0)
    texts = [" ".join(line.split("  #")[0].split()) for line in list(lines)[3:]]
    added = [text[1:].strip() for text in texts if text.startswith("+")]
    return " ".join(added or texts)


@attrs.frozen
class Finder(InspectLoader, MetaPathFinder):
    """Loads the mutant in place of the module's file."""

    mutant: Mutant

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Return the spec of the mutant, and None for other modules."""
        wanted = f"plastiq_async.{self.mutant.module.replace('/', '.')}"
        return spec_from_loader(fullname, self) if fullname == wanted else None

    def get_source(self, fullname: str) -> str:
        """Return the source of the mutant."""
        return self.mutant.source


def start_tests(mutant: Mutant) -> int:
    """Test `mutant` in a new process, and return its ID."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU, MAX_CPU))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        sys.meta_path.insert(0, Finder(mutant))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.dup2(null, sys.stderr.fileno())
        tests = {**PURE, **OTHERS}[mutant.module]
        status = pytest.main([*PYTEST, *tests])
    finally:
        os._exit(status)


def survivors_of(mutants: Sequence[Mutant], jobs: int) -> list[Mutant]:
    """Test `mutants`, so many at a time, and return those whose tests pass."""
    waiting = list(reversed(mutants))
    running: dict[int, Mutant] = {}
    survivors = []
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[start_tests(mutant)] = mutant
        pid, status = os.wait()
        mutant = running.pop(pid)
        if status == 0:
            survivors.append(mutant)
    return survivors


def sample_of(mutants: list[Mutant], size: int | None) -> list[Mutant]:
    """Return `size` of the mutants, evenly spread, so the same each time."""
    if size is None or size >= len(mutants):
        return mutants
    return [mutants[i * len(mutants) // size] for i in range(size)]


def main() -> int:
    """Test the mutants of the modules named, or of all, and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as _retry; default: all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sample", type=int, help="test so many mutants per module")
    arguments = parser.parse_args()
    for name in DEPENDENCIES:
        importlib.import_module(name)
    gc.freeze()

    made = unexplained = 0
    for module in arguments.modules or {**PURE, **OTHERS}:
        start = time.monotonic()
        unchanged = Mutant(module, (SOURCE / f"{module}.py").read_text(), "")
        if not survivors_of([unchanged], 1):
            print(f"{module}: the tests fail without any change")
            return 1
        mutants = sample_of(list(mutants_of(module)), arguments.sample)
        survivors = survivors_of(mutants, arguments.jobs)
        took = time.monotonic() - start
        print(
            f"{module}: {len(mutants)} mutants, {len(survivors)} survive, {took:.0f} s"
        )
        for survivor in survivors:
            reason = EQUIVALENT.get((module, survivor.change), "UNEXPLAINED")
            print(f"    {survivor.change}\n        {reason}", flush=True)
            if module in PURE:
                unexplained += reason == "UNEXPLAINED"
        if module in PURE:
            made += len(mutants)
    print(f"pure modules: {made} mutants, {unexplained} unexplained survivors")
    return int(unexplained * ONE_IN > made)


if __name__ == "__main__":
    sys.exit(main())
