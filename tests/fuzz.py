"""Fuzzing of response handling: status code, headers and bytes to result or error.

    python -m tests.fuzz [--minutes N]
    python -m tests.fuzz --reproduce TEXT

The fuzzing is guided by coverage: atheris brings libFuzzer, and has wheels for Linux
on x86-64. An input is a text, so that mutations keep it valid: a line with the status
code, the compression of the body, its chunk size and the number of bytes to cut off
its end; header lines; an empty line; the body.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import math
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Never
from uuid import UUID

import atheris  # type: ignore[import-untyped]  # not installed for type checking

with atheris.instrument_imports(include=["plastiq_async", "email"]):
    import attrs
    import httpx

    from plastiq_async import (
        ClientSecret,
        CreateClientSecret,
        PlastiqError,
        PlastiqSession,
    )
    from plastiq_async._call import Call
    from plastiq_async._quota import RetryQuota
    from plastiq_async._resources.client_secrets import _create
    from plastiq_async._retry import RetryLoop
    from plastiq_async._transport import bounded

from tests.support.checks import check_form, check_secret
from tests.support.sessions import PAYER, TOKEN

SENT = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
OPERATION = _create(CreateClientSecret(payer_id=PAYER))
ENCODERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"gzip,deflate": lambda data: zlib.compress(gzip.compress(data)),
}
# Small enough to be reached, large enough for more nesting than Python can handle.
bounded.MAX_BODY = 16_384
LONGEST_INPUT = 20_000

SEEDS = [
    '200 - 0 0\nTrace-Id: SENT\n\n{"clientSecret": "XYZCLIENTSECRET123"}',
    '201 gzip 9 0\n\n{"clientSecret": "\\u00e9", "more": [null, 1.5e3, true]}',
    '200 gzip,deflate 3 0\n\n{"clientSecret": "a"}',
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


class Answer(httpx.AsyncByteStream):
    """The response that an input stands for.

    Args:
        data: The input.

    Attributes:
        content: The uncompressed body; empty if a compressed body is cut short.
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

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), self.size):
            yield self.body[start : start + self.size]


def number(text: bytes) -> int:
    """Return a short text as a number, or 0 if it is not one."""
    return int(text) if text.isdigit() and len(text) <= 3 else 0


class Replay(httpx.AsyncBaseTransport):
    """A transport that returns `answer`."""

    answer: Answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response."""
        return httpx.Response(
            self.answer.status, headers=self.answer.headers, stream=self.answer
        )


class NoRetries(RetryLoop):
    """A retry policy that gives up after the first attempt, so no clock is needed."""

    async def run(self, call: Call, failure: PlastiqError, attempt: object) -> Never:
        """Raise the error of the first attempt."""
        raise failure


REPLAY = Replay()
SESSION = PlastiqSession(TOKEN, base_url="http://127.0.0.1", transport=REPLAY)
# One event loop for all inputs; it starts at the first, after the fork.
RUNNER = asyncio.Runner()
PIPELINE = attrs.evolve(SESSION._pipeline, retries=NoRetries(RetryQuota(1)))


async def receive(answer: Answer) -> ClientSecret:
    """Return the result of a call that receives `answer` as its response."""
    REPLAY.answer = answer
    call = Call(
        operation=OPERATION,
        defaults=PIPELINE.defaults,
        trace_id=UUID(SENT),
        timeout=PIPELINE.defaults.timeout,
    )
    return await PIPELINE.exchange(call, OPERATION)


def check(data: bytes) -> None:
    """Raise unless the input gives a valid result or one of the documented errors."""
    answer = Answer(data)
    try:
        secret = RUNNER.run(receive(answer))
    except PlastiqError as error:
        check_form(error)
        shown = str(error)
    else:
        check_secret(secret, answer.content)
        shown = repr(secret)
        assert len(answer.content) <= bounded.MAX_BODY
    assert TOKEN not in shown


def fuzz(minutes: float, folder: Path) -> None:
    """Fuzz, then end the process: with status 0 if the time is up, else with a failure.

    Args:
        minutes: How long to fuzz.
        folder: Directory for the seeds and for libFuzzer's corpus.
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
    # Not TemporaryDirectory, because the child process would remove it as well.
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
