"""The innermost room: one attempt, from a request to an answer or an error."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plastiq_async._call import call_of
from plastiq_async._logging import log_attempt, logger
from plastiq_async._protocol import is_success, status_error
from plastiq_async.errors import APIStatusError, PlastiqError

if TYPE_CHECKING:
    import httpx

    from plastiq_async._call import Call


class Attempt:
    """Sends a request once, and turns a status that is not 2xx into an error.

    Args:
        client: What to send with; its transport raises this library's errors.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Return the 2xx answer to `request`.

        Raises:
            APIStatusError: Another status.
            APIConnectionError: No answer.
            APIResponseError: An answer that cannot be read.
        """
        call = call_of(request)
        if not logger.isEnabledFor(logging.DEBUG):
            return raise_for_status(call, await self._client.send(request))
        started = time.perf_counter()
        response = None
        outcome: int | str = "abandoned"
        try:
            response = await self._client.send(request)
            outcome = response.status_code
            return raise_for_status(call, response)
        except APIStatusError:
            raise
        except PlastiqError as error:
            outcome = type(error).__name__
            raise
        finally:
            elapsed = time.perf_counter() - started
            log_attempt(call, outcome, elapsed, response)


def raise_for_status(call: Call, response: httpx.Response) -> httpx.Response:
    """Return `response`, the answer to `call`, if its status is 2xx.

    Raises:
        APIStatusError: It is not.
    """
    if is_success(response.status_code):
        return response
    raise status_error(
        response.status_code,
        response.headers.raw,
        response.content,
        datetime.now(UTC),
        call.token,
    )
