"""The package as a whole: exports, imports and module length."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import FunctionType

import pytest

import plastiq_async
import pytest_plastiq_async
from plastiq_async.testing import FakePlastiq

ROOT = Path(plastiq_async.__file__).parent
FILES = {
    ".".join(
        ("plastiq_async", *path.relative_to(ROOT).with_suffix("").parts)
    ).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
PUBLIC = [name for name in FILES if "._" not in name]
LONGEST = 300
# The modules and packages that may import httpx.
KNOW_HTTPX = {
    "_auth",
    "_middleware",
    "_pipeline",
    "_request",
    "_retry",
    "_runner",
    "_session",
    "_transport",
    "_upload",
    "integrations",
    "middleware",
    "testing",
}
# Modules that the client must not import.
HEAVY = {
    "aiohttp",
    "fastapi",
    "httpx_aiohttp",
    "plastiq_async.integrations",
    "plastiq_async.sandbox",
    "plastiq_async.testing",
    "pytest",
    "redis",
    "starlette",
    "trio",
    "uvicorn",
}


def tree_of(module: str) -> ast.Module:
    """Return the syntax tree of `module`."""
    return ast.parse(FILES[module].read_text("utf-8"))


def run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below `node` except those for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_time_nodes(child)


def imports_of(module: str) -> set[str]:
    """Return what `module` imports at run time, at any level."""
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
    """Return the `__all__` of `module`; a package may have none."""
    exports: list[str] = []
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exports += ast.literal_eval(node.value)
    return exports


def sort_key(name: str) -> tuple[bool, bool, str]:
    """Return ruff's sort key: constants, then classes, then the rest."""
    return not name.isupper(), not name[0].isupper(), name


def run(code: str) -> str:
    """Return the output of `code` in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("module", PUBLIC)
def test_exports_are_true(module: str) -> None:
    """The `__all__` of a public module is sorted, and each name in it exists."""
    exports = exports_of(module)
    defined, imported = names_of(module)
    assert exports == sorted(set(exports), key=sort_key)
    assert set(exports) <= defined | imported


@pytest.mark.parametrize("module", PUBLIC)
def test_exports_are_complete(module: str) -> None:
    """A public module's names outside `__all__` start with an underscore."""
    defined, imported = names_of(module)
    is_package = FILES[module].name == "__init__.py"
    public = defined | imported if is_package else defined
    public = {name for name in public if not name.startswith("_")}
    assert public - set(exports_of(module)) - {"annotations", "TYPE_CHECKING"} == set()


@pytest.mark.parametrize("name", plastiq_async.__all__)
def test_top_level_names(name: str) -> None:
    """The package exports everything that it documents."""
    value = getattr(plastiq_async, name)
    if isinstance(value, (type, FunctionType)):  # not an alias of a type
        assert value.__name__ == name


def test_star_import() -> None:
    """`from plastiq_async import *` imports exactly the names in `__all__`."""
    namespace: dict[str, object] = {}
    exec("from plastiq_async import *", namespace)  # noqa: S102 -- not in a function
    assert sorted(namespace.keys() - {"__builtins__"}) == plastiq_async.__all__


def test_version() -> None:
    """`__version__` is a constant, and the version of the installed package."""
    assert plastiq_async.__version__ == version("plastiq-async")


# Makes a call as a program does whose packages were copied without their metadata.
WITHOUT_METADATA = """
import importlib.metadata, sys
sys.path += sys.argv[1:]
assert not [*importlib.metadata.distributions(name="plastiq-async")]
import anyio, plastiq_async, plastiq_async.sandbox, pytest_plastiq_async
from plastiq_async.integrations.opentelemetry import OpenTelemetryObserver
from plastiq_async.testing import FakePlastiq

async def main():
    fake = FakePlastiq()
    async with plastiq_async.PlastiqSession(
        fake.access_token, base_url=fake.base_url, transport=fake.transport,
        observer=OpenTelemetryObserver(),
    ) as session:
        await session.client_secrets.create(fake.payer_id)
    (request,) = fake.requests
    print(request.headers["user-agent"])

print(plastiq_async.__file__)
anyio.run(main)
sys.stdout.flush()
code = "import os; print(os.environ['PLASTIQ_ACCESS_TOKEN'])"
sys.exit(plastiq_async.sandbox.main([sys.executable, "-c", code]))
"""


@pytest.mark.slow
def test_without_metadata(tmp_path: Path) -> None:
    """Copied without its metadata, the package works, with everything in it."""
    source, packages = tmp_path / "source", tmp_path / "packages"
    shutil.copytree(ROOT, source / ROOT.name)
    plugin = Path(pytest_plastiq_async.__file__)
    shutil.copy(plugin, source / plugin.name)
    packages.mkdir()
    for folder in map(Path, sys.path[::-1]):
        if "site-packages" not in folder.parts:
            continue
        for path in folder.iterdir():
            link = packages / path.name
            if "plastiq_async" not in path.name and not link.exists():
                link.symlink_to(path)
    # -I and -S, so that nothing else is found.
    folders = [str(source), str(packages)]
    command = [sys.executable, "-I", "-S", "-c", WITHOUT_METADATA, *folders]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        str(source / ROOT.name / "__init__.py"),
        f"plastiq-async/{version('plastiq-async')}",
        FakePlastiq().access_token,
    ]


@pytest.mark.parametrize("module", FILES)
def test_no_metadata_is_read(module: str) -> None:
    """No module looks up the metadata or the files of an installed package."""
    forbidden = ("importlib.metadata", "importlib.resources", "pkg_resources")
    assert not {name for name in imports_of(module) if name.startswith(forbidden)}


def test_typed() -> None:
    """The package has a `py.typed` file."""
    assert (ROOT / "py.typed").is_file()


@pytest.mark.slow
def test_nothing_heavy_is_imported() -> None:
    """Importing the client imports no integration, server or fake."""
    loaded = set(run("import plastiq_async, sys; print(*sys.modules)").split())
    assert "plastiq_async._session" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("module", FILES)
def test_who_knows_httpx(module: str) -> None:
    """Only the modules that send requests import httpx at run time."""
    imported = {name.partition(".")[0] for name in imports_of(module)}
    _, _, rest = module.partition(".")
    assert "httpx" not in imported or rest.partition(".")[0] in KNOW_HTTPX


@pytest.mark.parametrize("module", FILES)
def test_length(module: str) -> None:
    """No module is longer than the limit."""
    lines = FILES[module].read_text("utf-8").splitlines()
    assert len(lines) <= LONGEST


@pytest.mark.parametrize("module", FILES)
def test_docstring(module: str) -> None:
    """Every module has a docstring."""
    assert ast.get_docstring(tree_of(module))
