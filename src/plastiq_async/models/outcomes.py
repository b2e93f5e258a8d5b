"""What becomes of each request of many."""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import attrs

__all__ = ["Failed", "Outcome", "Succeeded"]

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")


@attrs.frozen(kw_only=True)
class Succeeded(Generic[_Request, _Result]):
    """A request that has a result.

    Attributes:
        request: The request.
        result: What its call returned.
        error: None, so that `error` may be asked of any outcome.
    """

    request: _Request
    result: _Result
    error: None = attrs.field(default=None, init=False, repr=False)


@attrs.frozen(kw_only=True)
class Failed(Generic[_Request, _Result]):
    """A request whose call raised.

    Attributes:
        request: The request.
        error: What its call raised: a `plastiq_async.PlastiqError`, or what a token
            provider or a middleware of your own raises.
        result: None, so that `result` may be asked of any outcome.
    """

    request: _Request
    error: Exception
    result: None = attrs.field(default=None, init=False, repr=False)


Outcome: TypeAlias = Succeeded[_Request, _Result] | Failed[_Request, _Result]
"""One of the two, for a `match` statement, or to ask for its `error`."""
