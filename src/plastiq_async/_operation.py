"""`Operation`, an immutable description of one request to the API."""

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar
from uuid import UUID

import attrs

from plastiq_async._secrets import Body

T = TypeVar("T")

Method = Literal["GET", "POST", "PATCH", "DELETE"]


@attrs.frozen(kw_only=True)
class Operation(Generic[T]):
    """One request to the API. It knows nothing of HTTP libraries.

    Errors, logs, metrics and spans show `name` and `path`, never a path that is
    filled in, so that no ID reaches them.

    Attributes:
        name: The resource and its method, such as ``"payments.create"``.
        method: The HTTP method.
        path: The path template below the base URL, such as ``"/payments/{id}"``.
        path_params: The values of the template's parameters.
        query: The query parameters.
        body: The encoded request body, or None to send none.
        content_type: The media type of `body`.
        idempotency_key: The value of ``Idempotency-Key``, or None to send none.
        harmless: Whether sending the request twice does no harm: a read, a delete, or a
            creation that costs nothing.
        own_limit: Whether a 429 is likely to be about a limit of the operation's own,
            so that it does not hold up other calls.
        traced: Whether the contract promises a ``Trace-Id`` on the response.
        resume_offset: The offset that the errors of this request name, if it asks for
            a page of a listing that can be resumed there.
        result: The class of the result; `types.NoneType` if there is none.
        expected: The values that attributes of the result must have if the server sent
            them, such as the ID of what was asked for. Without any, a replayed response
            must carry the call's own trace ID.
    """

    name: str
    method: Method
    path: str
    path_params: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: Body | None = attrs.field(default=None, repr=False)
    content_type: str = "application/json"
    idempotency_key: UUID | None = None
    harmless: bool
    own_limit: bool = False
    traced: bool = True
    resume_offset: int | None = None
    result: type[T]
    expected: Mapping[str, object] = attrs.field(factory=dict, repr=False)
