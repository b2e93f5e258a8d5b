"""The result of `PlastiqSession.request`."""

import attrs

from plastiq_async._secrets import SECRET, forget_secrets_in_copies
from plastiq_async.models.common import ResponseInfo

__all__ = ["RawResponse"]


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class RawResponse:
    """The response to `PlastiqSession.request`.

    Attributes:
        data: The decoded JSON, in which numbers with a fraction are `Decimal`. None if
            there was no body. It may hold secrets, so it is in neither repr nor copies
            nor pickles, and `plastiq_async.to_jsonable` leaves it out; pass `data`
            itself to convert it.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    data: object = attrs.field(repr=False, metadata=SECRET)
    response: ResponseInfo = attrs.field(repr=False, eq=False)
