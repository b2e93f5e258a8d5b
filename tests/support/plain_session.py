"""A session on plain httpx, the control group of the fault tests."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID, uuid4

import attrs
import httpx

from tests.support.sessions import TOKEN
from tests.support.socket_server import Server


@attrs.frozen
class PlainSecret:
    """The attributes of a `ClientSecret` that the tests use."""

    client_secret: str
    trace_id: UUID


class PlainSession:
    """The part of the session interface that the tests use, on plain httpx.

    Args:
        server: The server to send requests to.
        timeout: The httpx timeout, which applies to each step of a request separately.
        max_connections: The size of the connection pool.
        options: Other session options, which are ignored.
    """

    def __init__(
        self,
        server: Server,
        *,
        timeout: float = 5.0,  # httpx's own default
        max_connections: int = 100,  # httpx's own default
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

    def with_options(self, **options: Any) -> Self:
        """Return the session itself and ignore the options."""
        return self

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
