"""The annotations of the public API: they resolve at run time, to public names."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
import typing
from collections.abc import Iterator
from types import FunctionType

import httpx
import pytest

import plastiq_async
from plastiq_async._resources.base import Resource
from tests.test_package import PUBLIC, exports_of, names_of, tree_of

MODULES = {name: importlib.import_module(name) for name in PUBLIC}
# A class or a function.
PublicObject = type | FunctionType
EXPORTED = {name for module in PUBLIC for name in exports_of(module)}


def methods_of(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions of a class and of its bases, ours only."""
    for base in cls.__mro__:
        for name, value in vars(base).items():
            inner = getattr(value, "__func__", getattr(value, "fget", value))
            ours = str(getattr(inner, "__module__", "")).startswith("plastiq_async")
            if inspect.isfunction(inner) and ours:
                yield name, inner


def public_objects() -> Iterator[tuple[str, PublicObject]]:
    """Yield the public classes, their methods, and the public functions."""
    for name, module in MODULES.items():
        for export in exports_of(name):
            value = getattr(module, export)
            if inspect.isfunction(value):
                yield f"{name}.{export}", value
            elif inspect.isclass(value):
                yield f"{name}.{export}", value
                for method, function in methods_of(value):
                    yield f"{name}.{export}.{method}", function


OBJECTS = dict(public_objects())


def is_private(name: str) -> bool:
    """Return whether a name is private; those of the language are not."""
    return name.startswith("_") and not name.endswith("__")


# Our own code calls these.
INTERNAL = ("FakePlastiq.take_fault", "Paginator.__init__")


def is_written(name: str, value: PublicObject) -> bool:
    """Return whether it is public and has source; attrs generates some methods."""
    code = getattr(value, "__code__", None)
    generated = code is not None and code.co_filename.startswith("<")
    # attrs defines it for all classes at once.
    generated = generated or name.endswith(".__replace__")
    if generated or value is Resource.__init__ or name.endswith(INTERNAL):
        return False
    return not is_private(name.rpartition(".")[-1])


WRITTEN = [name for name, value in OBJECTS.items() if is_written(name, value)]


@pytest.mark.parametrize("name", OBJECTS)
def test_annotations_resolve(name: str) -> None:
    """A dependency injection container can read the annotations of everything."""
    typing.get_type_hints(OBJECTS[name], include_extras=True)


def names_in(node: ast.AST | None) -> Iterator[str]:
    """Yield the names in an annotation."""
    for child in ast.walk(node) if node else ():
        if isinstance(child, ast.Name):
            yield child.id


def annotations_in(node: ast.AST) -> Iterator[ast.expr | None]:
    """Yield the annotations of a function, or of a class's public attributes."""
    if isinstance(node, ast.ClassDef):
        for field in node.body:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield None if is_private(field.target.id) else field.annotation
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.returns
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                yield argument.annotation


def names_of_ours(module: str) -> set[str]:
    """Return the names in a module that it defines, or imports from our package."""
    names = names_of(module)[0]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and "plastiq_async" in (node.module or ""):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("name", WRITTEN)
def test_types_can_be_imported(name: str) -> None:
    """Each type in a public signature can be imported from a public module."""
    value = OBJECTS[name]
    module = value.__module__
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    used = {one for part in annotations_in(node) for one in names_in(part)}
    missing = (used & names_of_ours(module)) - EXPORTED
    for one in missing:
        # A type variable, or a name for types that can be imported.
        alias = getattr(sys.modules[module], one)
        assert not inspect.isclass(alias)
        assert one.startswith("_") or isinstance(alias, typing.TypeVar)


def test_names_for_the_settings_of_a_session() -> None:
    """The types of a session's arguments and resources are exported at the top."""
    hints = typing.get_type_hints(plastiq_async.PlastiqSession.__init__)
    assert hints["access_token"] == str | plastiq_async.TokenProvider | None
    assert hints["environment"] == plastiq_async.Environment | None
    assert hints["transport"] == plastiq_async.TransportName | httpx.AsyncBaseTransport
    resources = typing.get_type_hints(plastiq_async.PlastiqSession)
    assert resources["client_secrets"] is plastiq_async.ClientSecrets
