"""``POST /client-secrets`` of the public API document, version 1.0.0."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from plastiq_async._bulk import Bulk
from plastiq_async._call import Operation, RetryRule
from plastiq_async._codec import AnswerError, structure
from plastiq_async._resources.base import Resource
from plastiq_async._version import user_agent
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.client_secrets import ClientSecret, CreateClientSecret

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from plastiq_async.models.client_secrets import ClientSecretType
    from plastiq_async.models.common import EndUser, ResponseInfo
    from plastiq_async.models.outcomes import Outcome


# Made once: json.dumps builds one at every call with separators.
_encoder = json.JSONEncoder(separators=(",", ":"))


@attrs.frozen
class _Answer:
    """The body of a 200 or 201."""

    client_secret: str = attrs.field(repr=False)


def _result(body: object, info: ResponseInfo) -> ClientSecret:
    secret = structure(body, _Answer).client_secret
    if not secret:
        msg = "empty text @ $.clientSecret"
        raise AnswerError(msg)
    return ClientSecret(
        client_secret=secret,
        trace_id=info.trace_id,
        issued_at=info.sent_at,
        response=info,
    )


def _operation(request: CreateClientSecret) -> Operation[ClientSecret]:
    # The schema's list of required fields names a payerId that it does not define;
    # payer.id is what the server reads.
    body = {"payer": {"id": str(request.payer_id)}, "type": request.type}
    return Operation(
        method="POST",
        path="/client-secrets",
        headers=_end_user_headers(request.end_user),
        body=_encoder.encode(body).encode(),
        trace_id=request.trace_id,
        # An unused secret expires after 60 seconds: creating a second is harmless.
        retry=RetryRule.ALWAYS,
        result=_result,
    )


def _end_user_headers(end_user: EndUser | None) -> tuple[tuple[bytes, bytes], ...]:
    if end_user is None:
        return ((b"User-Agent", user_agent()),)
    headers = (
        (b"User-Agent", end_user.user_agent),
        (b"End-User-Ip", end_user.ip),
        (b"End-User-Device-Id", end_user.device_id),
    )
    sent = tuple((name, value.encode()) for name, value in headers if value is not None)
    # The API requires a user agent of every server-side caller.
    return sent if end_user.user_agent else ((b"User-Agent", user_agent()), *sent)


class ClientSecrets(Resource):
    """Client secrets: what a browser needs to tokenize a card."""

    __slots__ = ()

    async def create(
        self,
        payer_id: UUID | str,
        *,
        type: ClientSecretType = "CARD",
        end_user: EndUser | None = None,
        trace_id: UUID | str | None = None,
        timeout: float | None = None,
    ) -> ClientSecret:
        """Create a single-use client secret for one payer.

        Hand it to the payer's browser, which has 60 seconds to use it. The call is
        retried after failures that may pass: a second secret is harmless, since an
        unused one expires.

        Args:
            payer_id: The payer's UUID.
            type: What the secret is for.
            end_user: The person at the browser. Without a user agent the API is told
                this library's.
            trace_id: A UUID of version 4; without it, that of the surrounding
                `trace_context`, else a new one.
            timeout: Seconds for the whole call, waits and retries included; without
                it, the session's.

        Returns:
            The secret, when it expires, and how the answer came about.

        Raises:
            InvalidArgumentError: An argument is not what the API takes.
            SessionStateError: The session is closed or not this event loop's.
            APITimeoutError: The time is up.
            APIConnectionError: There was no answer, even after retries.
            APIStatusError: The API refused, by a subclass for each status.
            APIResponseError: The answer is not what the contract says.
        """
        request = CreateClientSecret(
            payer_id=payer_id,
            type=type,
            end_user=end_user,
            trace_id=trace_id,
        )
        return await self._perform(_operation(request), timeout)

    def create_many(
        self,
        requests: Iterable[CreateClientSecret] | AsyncIterable[CreateClientSecret],
        *,
        concurrency: int | None = None,
    ) -> AbstractAsyncContextManager[
        AsyncIterator[Outcome[CreateClientSecret, ClientSecret]]
    ]:
        """Create client secrets for many payers, several at once.

        The outcomes come as they complete, each with its request; a failure is one of
        them and stops nothing. Requests are taken only as outcomes are fetched, so that
        a million of them need no more memory than `concurrency`. To leave the block
        early cancels the calls under way::

            async with session.client_secrets.create_many(requests) as outcomes:
                async for outcome in outcomes:
                    match outcome:
                        case Succeeded(request=request, result=secret):
                            ...
                        case Failed(request=request, error=error):
                            ...

        Fetch without delay: a secret's 60 seconds run while its outcome waits.

        Args:
            requests: An iterable or async iterable; what it raises ends the outcomes.
                An async generator is closed at the end of the block.
            concurrency: How many calls may be under way at once, 1 or more; without
                it, as many as the session has connections.

        Returns:
            An async context manager, to be entered once, whose value is an async
            iterator over the outcomes.

        Raises:
            InvalidArgumentError: An argument is not usable. What is wrong with a single
                request is in its outcome.
        """
        workers = self._max_connections if concurrency is None else concurrency
        return Bulk(self._create, requests, workers)

    async def _create(self, request: CreateClientSecret) -> ClientSecret:
        if not isinstance(request, CreateClientSecret):
            msg = "each of requests must be a CreateClientSecret"
            raise InvalidArgumentError(msg)
        return await self._perform(_operation(request), None)
