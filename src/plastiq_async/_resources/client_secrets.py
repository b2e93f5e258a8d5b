"""`ClientSecrets`: ``/client-secrets`` of the public API document, version 1.0.0."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Unpack
from uuid import UUID

from plastiq_async._bulk import Bulk, iterate
from plastiq_async._operation import Operation
from plastiq_async._resources.base import Resource
from plastiq_async._secrets import encode_body
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.client_secrets import (
    ClientSecret,
    ClientSecretType,
    CreateClientSecret,
)
from plastiq_async.models.common import CallOptions
from plastiq_async.models.outcomes import Outcome


def _create(request: CreateClientSecret) -> Operation[ClientSecret]:
    return Operation(
        name="client_secrets.create",
        method="POST",
        path="/client-secrets",
        # The schema requires a payerId that it does not define. The server reads
        # payer.id.
        body=encode_body({"payer": {"id": request.payer_id}, "type": request.type}),
        # An unused secret expires after 60 seconds, so a second one does no harm.
        harmless=True,
        result=ClientSecret,
    )


class ClientSecrets(Resource):
    """Client secrets, with which a browser tokenizes a card."""

    async def create(
        self,
        payer_id: UUID | str,
        *,
        type: ClientSecretType = "CARD",
        **options: Unpack[CallOptions],
    ) -> ClientSecret:
        """Create a single-use client secret for one payer.

        Hand it to the payer's browser, which has 60 seconds to use it. The call is
        retried after transient errors, because a second secret does no harm.

        Args:
            payer_id: The payer's UUID.
            type: What the secret is for.
            options: `CallOptions`. Without a user agent of the end user, the API gets
                this library's.

        Returns:
            The secret and its expiry.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        request = CreateClientSecret(payer_id=payer_id, type=type)
        return await self._pipeline.run(_create(request), options)

    def create_many(
        self,
        requests: Iterable[CreateClientSecret] | AsyncIterable[CreateClientSecret],
        *,
        concurrency: int | None = None,
    ) -> AbstractAsyncContextManager[
        AsyncIterator[Outcome[CreateClientSecret, ClientSecret]]
    ]:
        """Create client secrets for many payers, several at once.

        Outcomes arrive in the order of completion, each with its request. A failure is
        an outcome, too, and stops nothing. Leaving the block early cancels the calls in
        flight::

            async with session.client_secrets.create_many(requests) as outcomes:
                async for outcome in outcomes:
                    match outcome:
                        case Succeeded(request=request, result=secret):
                            ...
                        case Failed(request=request, error=error):
                            ...

        Calls start at the pace at which outcomes are fetched: a few at first, more as
        long as you wait for them, and fewer when outcomes wait for you. So a slow
        consumer gets fresh secrets, and a fast one full concurrency. If you stop to
        fetch, the calls in flight still end, and their secrets' 60 seconds run.

        With a rate limit, the deadline of a call starts when its turn has come.

        Args:
            requests: An iterable or async iterable. An exception of its own ends the
                outcomes. An async generator is closed at the end of the block.
            concurrency: The most calls in flight and outcomes to fetch at any time, 1
                or more. Default: the session's `max_connections`.

        Returns:
            An async context manager, to be entered once, which returns an async
            iterator over the outcomes.

        Raises:
            InvalidArgumentError: An argument is not valid. Errors of a single request
                are in its outcome.
        """
        if concurrency is None:
            concurrency = self._pipeline.ownership.max_connections
        return Bulk(self._create, iterate("requests", requests), concurrency)

    async def _create(self, request: CreateClientSecret) -> ClientSecret:
        if not isinstance(request, CreateClientSecret):
            msg = "each of requests must be a CreateClientSecret"
            raise InvalidArgumentError(msg)
        options: CallOptions = {
            "end_user": request.end_user,
            "trace_id": request.trace_id,
        }
        return await self._pipeline.run(_create(request), options)
