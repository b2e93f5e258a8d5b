"""`Succeeded` and `Failed`, the outcomes of `bulk` and of `create_many`."""

from typing import Generic, TypeAlias, TypeVar

import attrs

__all__ = ["Failed", "Outcome", "Succeeded"]

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")


@attrs.frozen(kw_only=True)
class Succeeded(Generic[_Request, _Result]):
    """The outcome of a request whose call returned a result.

    Attributes:
        request: The request of `create_many`, or the item of `bulk`.
        result: What its call returned.
        error: None, so that every outcome has this attribute.
    """

    request: _Request
    result: _Result
    error: None = attrs.field(default=None, init=False, repr=False)


@attrs.frozen(kw_only=True)
class Failed(Generic[_Request, _Result]):
    """The outcome of a request whose call raised an error.

    Attributes:
        request: The request of `create_many`, or the item of `bulk`.
        error: The exception that its call raised: a `plastiq_async.PlastiqError`, or
            one of your own, such as of a token provider, a middleware or the function
            that was given to `bulk`.
        result: None, so that every outcome has this attribute.
    """

    request: _Request
    error: Exception
    result: None = attrs.field(default=None, init=False, repr=False)


Outcome: TypeAlias = Succeeded[_Request, _Result] | Failed[_Request, _Result]
"""A `Succeeded` or a `Failed`; tell them apart with `match` or by `error`."""
