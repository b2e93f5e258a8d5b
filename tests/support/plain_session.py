"""The control of the experiment: what one would write without this library."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID, uuid4

import attrs
import httpx

from tests.helpers import TOKEN
from tests.servers import Server


@attrs.frozen
class PlainSecret:
    """The attributes of a `ClientSecret` that the tests look at."""

    client_secret: str
    trace_id: UUID


class PlainSession:
    """A session's interface, as far as the tests need it, over a plain httpx client.

    Args:
        server: The server.
        timeout: As httpx understands it: for each step of a request anew.
        max_connections: How many connections its pool may have.
        options: What else a session may be given has no counterpart.
    """

    def __init__(
        self,
        server: Server,
        *,
        timeout: float = 5.0,  # httpx's own default
        max_connections: int = 100,  # likewise
        **options: Any,
    ) -> None:
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=timeout,
            limits=httpx.Limits(
                max_connections=max_connections, max_keepalive_connections=20
            ),
            trust_env=False,
        )
        self._url = f"{server.base_url}/client-secrets"
        self.client_secrets = self

    async def create(self, payer_id: str, **options: Any) -> PlainSecret:
        """Create a client secret."""
        trace_id = uuid4()
        response = await self._client.post(
            self._url,
            json={"payer": {"id": payer_id}, "type": "CARD"},
            headers={"Trace-Id": str(trace_id)},
        )
        response.raise_for_status()
        return PlainSecret(response.json()["clientSecret"], trace_id)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
