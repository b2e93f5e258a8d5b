"""The exception hierarchy: messages, attributes and copying."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable
from functools import partial
from typing import get_args
from uuid import UUID

import pytest

from plastiq_async import errors
from plastiq_async.errors import (
    APIStatusError,
    NextStep,
    PlastiqError,
    RateLimitError,
)

TRACE_ID = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
KEY = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
# Names in `__all__` other than the classes.
ALIASES = {"NextStep"}
CLASSES = [name for name in errors.__all__ if name not in ALIASES]
BASES: dict[str, tuple[type[Exception], ...]] = {
    "PlastiqError": (Exception,),
    "ConfigurationError": (errors.PlastiqError,),
    "MissingDependencyError": (errors.ConfigurationError, ModuleNotFoundError),
    "InvalidArgumentError": (errors.PlastiqError, ValueError),
    "SessionStateError": (errors.PlastiqError, RuntimeError),
    "DocumentUploadError": (errors.PlastiqError,),
    "HookError": (errors.PlastiqError,),
    "APIConnectionError": (errors.PlastiqError,),
    "APITimeoutError": (errors.APIConnectionError, TimeoutError),
    "APIResponseError": (errors.PlastiqError,),
    "APIStatusError": (errors.PlastiqError,),
    "BadRequestError": (errors.APIStatusError,),
    "AuthenticationError": (errors.APIStatusError,),
    "PermissionDeniedError": (errors.APIStatusError,),
    "NotFoundError": (errors.APIStatusError,),
    "ConflictError": (errors.APIStatusError,),
    "UnprocessableEntityError": (errors.APIStatusError,),
    "RateLimitError": (errors.APIStatusError,),
    "InternalServerError": (errors.APIStatusError,),
    "ServiceUnavailableError": (errors.InternalServerError,),
}


def repickled(error: PlastiqError, protocol: int | None = None) -> object:
    """Return a pickled and unpickled copy of `error`."""
    return pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 -- our own


COPIERS: dict[str, Callable[[PlastiqError], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": repickled,
    "old pickle": partial(repickled, protocol=0),
}


def make(name: str) -> PlastiqError:
    """Return an error of the class `name`, as a failed call raises it."""
    cls: type[PlastiqError] = getattr(errors, name)
    error = (
        cls("Too fast", 429, "SLOW", ("a", "b"), 1.5)
        if issubclass(cls, APIStatusError)
        else cls("went wrong")
    )
    error.trace_id = TRACE_ID
    error.method = "POST"
    error.path = "/client-secrets"
    error.attempts = 3
    error.outcome_unknown = True
    error.idempotency_key = KEY
    error.resume_offset = 200
    error.next_step = "same_key"
    if isinstance(error, errors.APIConnectionError):
        error.host = "connect.plastiq.com"
        error.transient = False
    if isinstance(error, errors.MissingDependencyError):
        error.name = "aiohttp"
    if isinstance(error, (errors.APIResponseError, errors.DocumentUploadError)):
        error.status_code = 201
    if isinstance(error, errors.DocumentUploadError):
        error.transient = False
    if isinstance(error, APIStatusError):
        error.replayed = True
    return error


def test_tree_is_complete() -> None:
    """The table in this test, `__all__` and the classes of the module agree."""
    classes = [
        name
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if cls.__module__ == errors.__name__
    ]
    assert sorted(BASES) == CLASSES == classes
    assert errors.__all__ == sorted(ALIASES | BASES.keys())


def test_next_steps_are_documented() -> None:
    """The docstring of the base class explains each next step, and no other."""
    steps = get_args(NextStep)
    documented = re.findall(
        r"^ *- ``\"(\w+)\"``: ", PlastiqError.__doc__ or "", re.MULTILINE
    )
    assert documented == list(steps)


@pytest.mark.parametrize("name", CLASSES)
def test_bases(name: str) -> None:
    """Each class has the base class that the documentation shows."""
    assert getattr(errors, name).__bases__ == BASES[name]


@pytest.mark.parametrize("name", CLASSES)
def test_drawn_in_docstring(name: str) -> None:
    """The tree in the module's docstring includes every class."""
    assert errors.__doc__ is not None
    assert f" {name} " in errors.__doc__.replace("\n", " ")


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("copier", COPIERS)
def test_survives_copying(name: str, copier: str) -> None:
    """Pickles and copies of an error keep its class, text and every attribute."""
    error = make(name)
    twin = COPIERS[copier](error)
    assert type(twin) is type(error)
    assert isinstance(twin, PlastiqError)
    assert str(twin) == str(error)
    assert twin.args == error.args
    assert vars(twin) == vars(error)
    assert vars(twin)["trace_id"] == TRACE_ID
    assert vars(twin)["idempotency_key"] == KEY
    assert vars(twin)["resume_offset"] == 200
    assert vars(twin)["next_step"] == "same_key"
    if isinstance(error, APIStatusError):
        assert vars(twin)["replayed"] is True
    if isinstance(error, errors.APIConnectionError):
        assert vars(twin)["host"] == "connect.plastiq.com"
        assert vars(twin)["transient"] is False
    if isinstance(error, errors.MissingDependencyError):
        assert getattr(twin, "name", None) == "aiohttp"


@pytest.mark.parametrize("name", CLASSES)
def test_attributes_without_call(name: str) -> None:
    """An error without a call has the documented defaults."""
    cls = getattr(errors, name)
    error = cls("m", 400) if issubclass(cls, APIStatusError) else cls("m")
    assert (error.trace_id, error.method, error.path) == (None, None, None)
    assert (error.attempts, error.outcome_unknown) == (0, False)
    to_fix = issubclass(cls, (errors.InvalidArgumentError, errors.ConfigurationError))
    assert error.next_step == ("fix" if to_fix else None)
    assert error.idempotency_key is None
    assert error.resume_offset is None


def test_text_without_call() -> None:
    """Without a call, the text is the message alone."""
    assert str(PlastiqError("no access token")) == "no access token"


@pytest.mark.parametrize(("attempts", "tries"), [(1, "1 attempt"), (2, "2 attempts")])
def test_text_of_call(attempts: int, tries: str) -> None:
    """With a call, the text includes the operation, the attempts and the trace ID."""
    error = make("APITimeoutError")
    error.attempts = attempts
    error.resume_offset = None
    call = f"[POST /client-secrets, {tries}, trace ID {TRACE_ID}]"
    assert str(error) == f"went wrong {call}"


@pytest.mark.parametrize("offset", [0, 200])
def test_text_of_listing(offset: int) -> None:
    """The text of a failed page says where to resume, with and without a call."""
    error = make("APITimeoutError")
    error.resume_offset = offset
    assert str(error).endswith(f", trace ID {TRACE_ID}, resume from offset {offset}]")
    error = PlastiqError("closed")
    error.resume_offset = offset
    assert str(error) == f"closed [resume from offset {offset}]"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (APIStatusError("Found", 302), "302: Found"),
        (APIStatusError("No", 400, "BAD"), "400 BAD: No"),
        (APIStatusError("No", 400, "BAD", ("a", "b")), "400 BAD: No; a; b"),
        (APIStatusError("No", 400, None, ("a",)), "400: No; a"),
    ],
)
def test_text_of_status(error: APIStatusError, text: str) -> None:
    """A status error's text has the status code and any code, message and details."""
    assert str(error) == text


def test_attributes_of_status() -> None:
    """A status error keeps each of its arguments as an attribute."""
    error = RateLimitError("Too fast", 429, "SLOW", ("a",), 1.5)
    assert (error.message, error.status_code) == ("Too fast", 429)
    assert (error.code, error.details, error.retry_after) == ("SLOW", ("a",), 1.5)


def test_defaults_of_status() -> None:
    """A status error requires only a message and a status code."""
    error = APIStatusError("No", 400)
    assert (error.code, error.details, error.retry_after) == (None, (), None)
    assert not error.replayed
