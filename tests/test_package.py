"""The package as a whole: what is public, what is imported, and how long it gets."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

import pytest

import plastiq_async

ROOT = Path(plastiq_async.__file__).parent
FILES = {
    ".".join(
        ("plastiq_async", *path.relative_to(ROOT).with_suffix("").parts)
    ).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
PUBLIC = [name for name in FILES if "._" not in name]
LONGEST = 300
# The rooms that know httpx, and the packages around the client that do, too.
KNOW_HTTPX = {
    "_auth",
    "_request",
    "_session",
    "_transport",
}
KNOW_HTTPX_TOO = {"integrations", "middleware", "testing"}
# What nobody should pay for who only makes calls.
HEAVY = {
    "aiohttp",
    "fastapi",
    "httpx_aiohttp",
    "plastiq_async.integrations",
    "plastiq_async.sandbox",
    "plastiq_async.testing",
    "pytest",
    "starlette",
    "trio",
    "uvicorn",
}


def tree_of(module: str) -> ast.Module:
    """Return the syntax tree of `module`."""
    return ast.parse(FILES[module].read_text("utf-8"))


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield everything below `node` but what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_time_nodes(child)


def imports_of(module: str) -> set[str]:
    """Return what `module` imports at run time, anywhere in it."""
    found = set()
    for node in run_time_nodes(tree_of(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def names_of(module: str) -> tuple[set[str], set[str]]:
    """Return the names that `module` defines, and those that it imports."""
    defined: set[str] = set()
    imported: set[str] = set()
    for node in tree_of(module).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined |= {name.id for name in targets if isinstance(name, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            imported |= {alias.asname or alias.name for alias in node.names}
    return defined, imported


def exports_of(module: str) -> list[str]:
    """Return the `__all__` of `module`; a mere package may have none."""
    exports: list[str] = []
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exports += ast.literal_eval(node.value)
    return exports


def sort_key(name: str) -> tuple[bool, bool, str]:
    """Return what ruff sorts by: constants, then classes, then the rest."""
    return not name.isupper(), not name[0].isupper(), name


def run(code: str) -> str:
    """Return what `code` prints in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("module", PUBLIC)
def test_exports_are_true(module: str) -> None:
    """A public module's `__all__` is sorted, and each name in it is there."""
    exports = exports_of(module)
    defined, imported = names_of(module)
    assert exports == sorted(set(exports), key=sort_key)
    assert set(exports) <= defined | imported


@pytest.mark.parametrize("module", PUBLIC)
def test_exports_are_complete(module: str) -> None:
    """What is not in a public module's `__all__` has a name that says so."""
    defined, imported = names_of(module)
    is_package = FILES[module].name == "__init__.py"
    public = defined | imported if is_package else defined
    public = {name for name in public if not name.startswith("_")}
    assert public - set(exports_of(module)) - {"annotations", "TYPE_CHECKING"} == set()


@pytest.mark.parametrize("name", plastiq_async.__all__)
def test_top_level_names(name: str) -> None:
    """Everything that the package promises can be had from it."""
    value = getattr(plastiq_async, name)
    if isinstance(value, (type, FunctionType)):  # and not the alias of a type
        assert value.__name__ == name


def test_star_import() -> None:
    """`from plastiq_async import *` brings what `__all__` says, and no more."""
    namespace: dict[str, object] = {}
    exec("from plastiq_async import *", namespace)  # noqa: S102 -- not in a function
    assert sorted(namespace.keys() - {"__builtins__"}) == plastiq_async.__all__


def test_version() -> None:
    """The version is that of the installed package, looked up when asked for."""
    assert plastiq_async.__version__ == version("plastiq-async")
    assert "__version__" not in vars(plastiq_async)


def test_unknown_name() -> None:
    """A name that is not there is missing in the usual way."""
    with pytest.raises(
        AttributeError, match=r"^module 'plastiq_async' has no attribute 'nothing'$"
    ):
        getattr(plastiq_async, "nothing")  # noqa: B009 -- no checker knows it


def test_typed() -> None:
    """Type checkers are told that they may look."""
    assert (ROOT / "py.typed").is_file()


def test_nothing_heavy_is_imported() -> None:
    """Importing the client imports no integration, no server and no fake."""
    loaded = set(run("import plastiq_async, sys; print(*sys.modules)").split())
    assert "plastiq_async._session" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("module", FILES)
def test_who_knows_httpx(module: str) -> None:
    """Only where requests are sent is httpx imported at run time."""
    imported = {name.partition(".")[0] for name in imports_of(module)}
    _, _, rest = module.partition(".")
    allowed = KNOW_HTTPX | KNOW_HTTPX_TOO
    assert "httpx" not in imported or rest.partition(".")[0] in allowed


@pytest.mark.parametrize("module", FILES)
def test_length(module: str) -> None:
    """No module grows beyond what can be read in one go."""
    lines = FILES[module].read_text("utf-8").splitlines()
    assert len(lines) <= LONGEST


@pytest.mark.parametrize("module", FILES)
def test_docstring(module: str) -> None:
    """Every module says what it is for."""
    assert ast.get_docstring(tree_of(module))
