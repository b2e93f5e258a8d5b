"""Overhead of ``create()`` compared with `httpx.AsyncClient.send`, without a network.

`send` gets a prepared request and uses auth. Both use a transport that does no I/O.
Prints medians over interleaved rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import statistics
import time
from collections.abc import Generator

import attrs
import httpx

from benchmarks.candidates import PAYER_ID, PAYLOAD, TOKEN, Call
from benchmarks.server import BODY
from plastiq_async import PlastiqSession

URL = "http://127.0.0.1"
# The event loop removes cancelled timers only when it runs.
CALLS_PER_TURN = 50


class NullTransport(httpx.AsyncBaseTransport):
    """Transport that returns a response without I/O."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return a response with the request's trace ID."""
        return httpx.Response(
            200,
            headers=[
                (b"Content-Type", b"application/json"),
                (b"Content-Length", b"%d" % len(BODY)),
                (b"Trace-Id", request.headers["Trace-Id"].encode()),
            ],
            stream=httpx.ByteStream(BODY),
        )


class Bearer(httpx.Auth):
    """Minimal bearer authentication."""

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the access token to `request`."""
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        yield request


@attrs.frozen
class Overhead:
    """CPU times per call, in microseconds.

    Attributes:
        create: The time of ``session.client_secrets.create()``.
        send: The time of `httpx.AsyncClient.send`.
        ratio: The median of the ratios of all rounds.
    """

    create: float
    send: float
    ratio: float


async def _time(call: Call, calls: int) -> float:
    """Return the CPU time per call, in microseconds."""
    gc.collect()
    started = time.process_time()
    for number in range(calls):
        await call()
        if number % CALLS_PER_TURN == 0:
            await asyncio.sleep(0)
    return (time.process_time() - started) / calls * 1e6


async def measure(calls: int = 1000, rounds: int = 15) -> Overhead:
    """Measure both in turn, `rounds` times."""
    request = httpx.Request(
        "POST",
        f"{URL}/client-secrets",
        headers={
            "Accept": "application/json",
            "Trace-Id": "8f51c396-6e29-49a6-ba5a-1a31d5420158",
            "User-Agent": "benchmark",
        },
        json=PAYLOAD,
    )
    async with (
        httpx.AsyncClient(transport=NullTransport(), auth=Bearer()) as client,
        PlastiqSession(TOKEN, base_url=URL, transport=NullTransport()) as session,
    ):

        async def send() -> object:
            return await client.send(request)

        async def create() -> object:
            return await session.client_secrets.create(PAYER_ID)

        await _time(create, 200)
        await _time(send, 200)
        pairs = [
            (await _time(create, calls), await _time(send, calls))
            for _ in range(rounds)
        ]
    creates, sends = zip(*pairs, strict=True)
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    return Overhead(statistics.median(creates), statistics.median(sends), ratio)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments.calls, arguments.rounds))
    print(f"Python {platform.python_version()}, CPU microseconds per call\n")
    print("| `create()` | `client.send` | ratio |\n|---|---|---|")
    print(f"| {result.create:.0f} | {result.send:.0f} | {result.ratio:.2f} |")


if __name__ == "__main__":
    main()
