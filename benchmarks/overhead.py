"""What a whole ``create()`` costs above httpx itself, without any network.

Compares it with `httpx.AsyncClient.send` of a request that is ready, with auth; both
on a transport that does nothing. Prints medians over interleaved rounds.
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
# Cancelled timers leave an event loop only when that turns.
CALLS_PER_TURN = 50


class Nothing(httpx.AsyncBaseTransport):
    """Answers at once."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with the request's trace ID, as the contract says."""
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
    """The least that auth can be."""

    def auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send `request` with the token."""
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        yield request


@attrs.frozen
class Overhead:
    """Microseconds per call.

    Attributes:
        create: Of ``session.client_secrets.create()``.
        send: Of `httpx.AsyncClient.send`.
        ratio: The median of the rounds' ratios.
    """

    create: float
    send: float
    ratio: float


async def _time(call: Call, calls: int) -> float:
    """Return the CPU microseconds per call."""
    gc.collect()
    started = time.process_time()
    for number in range(calls):
        await call()
        if number % CALLS_PER_TURN == 0:
            await asyncio.sleep(0)
    return (time.process_time() - started) / calls * 1e6


async def measure(calls: int = 1000, rounds: int = 15) -> Overhead:
    """Measure both, one after the other, `rounds` times."""
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
        httpx.AsyncClient(transport=Nothing(), auth=Bearer()) as client,
        PlastiqSession(TOKEN, base_url=URL, transport=Nothing()) as session,
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
