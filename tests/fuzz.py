"""Fuzz the way of an answer, from status, headers and bytes to a result or an error.

    python -m tests.fuzz [--minutes N]
    python -m tests.fuzz --reproduce TEXT

Guided by coverage: atheris brings libFuzzer, and has wheels for Linux on x86-64. An
input is a text, which mutations do not break: a line with the status, how to compress
the body, how large its chunks are, and how many bytes to leave off at its end; lines
with headers; an empty line; the body.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import math
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import atheris  # type: ignore[import-untyped]  # installed to fuzz, not to check types

with atheris.instrument_imports(include=["plastiq_async", "email"]):
    import httpx

    from plastiq_async import ClientSecret, CreateClientSecret, PlastiqError
    from plastiq_async._attempt import Attempt
    from plastiq_async._call import Call
    from plastiq_async._protocol import read_result
    from plastiq_async._request import RequestBuilder
    from plastiq_async._resources.client_secrets import _operation
    from plastiq_async._session import _info
    from plastiq_async._transport import bounded

from tests.checks import check_form, check_secret
from tests.helpers import PAYER, TOKEN

T = TypeVar("T")

SENT = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
OPERATION = _operation(CreateClientSecret(payer_id=PAYER, trace_id=SENT))
BUILD = RequestBuilder("http://127.0.0.1").build
ENCODERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
}
# Small enough to be reached, large enough for more nesting than Python can bear.
bounded.MAX_BODY = 16_384
LONGEST_INPUT = 20_000

SEEDS = [
    '200 - 0 0\nTrace-Id: SENT\n\n{"clientSecret": "XYZCLIENTSECRET123"}',
    '201 gzip 9 0\n\n{"clientSecret": "\\u00e9", "more": [null, 1.5e3, true]}',
    '200 deflate 1 0\nTRACE-ID: SENT\n\n{"clientSecret": null}',
    '200 - 0 0\nContent-Encoding: gzip\n\n{"clientSecret": ""}',
    '200 - 0 0\nTrace-Id: SENT\nTrace-Id: 1111\n\n{"clientSecret": "a"}',
    "200 - 0 0\nContent-Encoding: br\n\n[[[[[[[[{NaN",
    '400 - 0 0\n\n{"code": "A", "message": "\\ud800", "traceId": "SENT"}',
    '401 - 0 0\n\n{"code": 5, "errors": [{"details": "token-of-the-tests"}]}',
    '422 gzip 5 1\n\n{"code": "A", "details": [{"details": "a"}, "b"]}',
    "429 - 0 0\nRetry-After: 120\n\n",
    "503 - 0 0\nRetry-After: Thu, 01 Jan 2026 00:00:30 GMT\n\n<html></html>",
    "307 - 0 0\nLocation: http://xn--/\nSet-Cookie: a=b\n\n",
    '200 - 0 0\n\n{"clientSecret": "a"}' + " " * 17_000,
    f"200 gzip 0 0\n\n{'0' * 19_000}",
    f"500 - 0 0\n\n{'[' * 15_000}",
]
WORDS = [
    *("clientSecret", "message", "code", "errors", "details", "traceId", "Trace-Id"),
    *("Retry-After", "Content-Encoding", "gzip", "deflate", "x-gzip", "identity"),
    *("200 gzip 1 0", "401 - 0 8", "Thu, 01 Jan 2026 00:00:30 +0100", SENT, TOKEN),
    *("[{", "}]", "null", "NaN", "e99999999999999999999", "\\xff", "\\\\ud800"),
]


class Answer(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """A transport that gives the answer which an input stands for.

    Args:
        data: The input.

    Attributes:
        content: What the body says, uncompressed; nothing where that is cut short.
    """

    def __init__(self, data: bytes) -> None:
        head, _, self.content = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        status, encoding, size, cut, *_ = [*first.split(b" "), *[b""] * 4]
        pairs = (line.partition(b":") for line in lines)
        self.headers = [(name, value.strip()) for name, _, value in pairs]
        self.status = max(100, number(status)) if len(status) == 3 else 200
        self.body = self.content
        if encoding in ENCODERS:
            self.headers.append((b"Content-Encoding", encoding))
            self.body = ENCODERS[encoding](self.content)
        if left_off := number(cut):
            self.body = self.body[:-left_off]
            self.content = b"" if encoding in ENCODERS else self.body
        self.size = number(size) or len(self.body) or 1

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Give the answer."""
        return httpx.Response(self.status, headers=self.headers, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), self.size):
            yield self.body[start : start + self.size]


def number(text: bytes) -> int:
    """Return the number that a short text is, or 0."""
    return int(text) if text.isdigit() and len(text) <= 3 else 0


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    msg = "it waits, with nothing to wait for"
    raise AssertionError(msg)


async def receive(answer: Answer) -> ClientSecret:
    """Take an answer the whole way, as a session does."""
    call = Call(operation=OPERATION, max_retries=0, deadline=math.inf)
    call.trace_id, call.token = UUID(SENT), TOKEN
    transport = bounded.BoundedTransport(answer, verify_trace_id=True)
    try:
        attempt = Attempt(httpx.AsyncClient(transport=transport, trust_env=False))
        response = await attempt(BUILD(OPERATION, call))
        return read_result(OPERATION, response.content, _info(call, response))
    except PlastiqError as error:
        call.describe(error)
        raise


def check(data: bytes) -> None:
    """Raise if anything else than a sound result or a sound error comes of an input."""
    answer = Answer(data)
    try:
        secret = run(receive(answer))
    except PlastiqError as error:
        check_form(error)
        shown = str(error)
    else:
        check_secret(secret, answer.content)
        shown = repr(secret)
        assert len(answer.content) <= bounded.MAX_BODY
    assert TOKEN not in shown


def fuzz(minutes: float, folder: Path) -> None:
    """Fuzz, and end the process: with 0 when the time is up, else for what was found.

    Args:
        minutes: How long.
        folder: For the seeds, and for what libFuzzer makes of them.
    """
    corpus = folder / "corpus"
    corpus.mkdir()
    for index, seed in enumerate(SEEDS):
        Path(corpus, str(index)).write_text(seed.replace("SENT", SENT))
    words = folder / "words"
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    options = {
        "artifact_prefix": f"{folder}/",
        "dict": words,
        "max_len": LONGEST_INPUT,
        "max_total_time": math.ceil(minutes * 60),
        "print_final_stats": 1,
        "timeout": 10,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], check)
    atheris.Fuzz()


def main() -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--reproduce", type=base64.b64decode, metavar="TEXT")
    options = parser.parse_args()
    if options.reproduce is not None:
        check(options.reproduce)
        return 0
    # No TemporaryDirectory, which the child, too, would remove at its end.
    folder = Path(tempfile.mkdtemp())
    # libFuzzer ends the process that it runs in.
    child = os.fork()
    if child == 0:
        fuzz(options.minutes, folder)
    _, status = os.waitpid(child, 0)
    for found in folder.glob("*-*"):
        data = found.read_bytes()
        text = base64.b64encode(data).decode()
        sys.stdout.write(f"{data[:1000]!r}\nReproduce with --reproduce {text}\n")
    shutil.rmtree(folder)
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
