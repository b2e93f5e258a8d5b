"""vcrpy: a cassette, recorded from the fake and replayed without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import vcr

from plastiq_async import APIConnectionError, PlastiqSession, trace_context
from plastiq_async.testing import FakePlastiq
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

# A response belongs to the call whose trace ID it carries, and the cassette holds the
# trace ID of the recording. So the tests record and replay with the same one.
TRACE_ID = UUID("6f1f5ef4-2d6c-4bd3-a1a7-3a4f7c1b9f05")
SCRUBBED = "a-scrubbed-secret"

pytestmark = pytest.mark.parametrize(
    ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
)


def scrub(response: dict[str, Any]) -> dict[str, Any]:
    """Replace the client secret in a response before it is recorded."""
    content = json.loads(response["body"]["string"])
    body = json.dumps(content | {"clientSecret": SCRUBBED}).encode()
    headers = response["headers"] | {"content-length": [str(len(body))]}
    return response | {"headers": headers, "body": {"string": body}}


def recorder(folder: Path) -> vcr.VCR:
    """Return a recorder that writes neither a token nor a client secret."""
    return vcr.VCR(
        cassette_library_dir=str(folder),
        filter_headers=["Authorization"],
        before_record_response=scrub,
    )


async def record(fake: FakePlastiq, transport: Any, folder: Path) -> str:
    """Record two calls, and return the base URL."""
    with in_uvicorn(fake.app, lifespan="off") as url:
        base_url = f"{url}/api"
        async with PlastiqSession(
            fake.access_token, base_url=base_url, transport=transport
        ) as session:
            with recorder(folder).use_cassette("calls.yaml"), trace_context(TRACE_ID):
                for _ in range(2):
                    await session.client_secrets.create(fake.payer_id)
    return base_url


async def test_replay(
    transport: Any, fake_plastiq: FakePlastiq, tmp_path: Path
) -> None:
    """Within a trace context with the recorded trace ID, the cassette is replayed."""
    base_url = await record(fake_plastiq, transport, tmp_path)
    async with PlastiqSession(
        "another-token", base_url=base_url, transport=transport
    ) as session:
        tape = recorder(tmp_path).use_cassette("calls.yaml", record_mode="none")
        with tape as cassette, trace_context(TRACE_ID):
            for _ in range(2):
                secret = await session.client_secrets.create(fake_plastiq.payer_id)
                assert secret.client_secret == SCRUBBED
                assert secret.trace_id == TRACE_ID
                assert secret.response.attempts == 1
    assert cassette.play_count == 2


async def test_cassette(
    transport: Any, fake_plastiq: FakePlastiq, tmp_path: Path
) -> None:
    """The cassette holds neither the token nor a client secret."""
    await record(fake_plastiq, transport, tmp_path)
    recorded = (tmp_path / "calls.yaml").read_text()
    assert recorded.count(SCRUBBED) == 2
    assert len(fake_plastiq.secrets) == 2
    for private in (fake_plastiq.access_token, *fake_plastiq.secrets):
        assert private not in recorded


async def test_other_trace_id(
    transport: Any, fake_plastiq: FakePlastiq, tmp_path: Path
) -> None:
    """Without that trace context, the cassette is refused."""
    base_url = await record(fake_plastiq, transport, tmp_path)
    async with PlastiqSession(
        "another-token", base_url=base_url, transport=transport, max_retries=0
    ) as session:
        with (
            recorder(tmp_path).use_cassette("calls.yaml", record_mode="none"),
            pytest.raises(APIConnectionError, match="trace ID"),
        ):
            await session.client_secrets.create(fake_plastiq.payer_id)
