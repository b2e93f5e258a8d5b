"""`Upload`, which sends one document with the presigned upload of the API.

The API document, version 1.0.0, does not describe the upload. It is a presigned POST of
Amazon S3: a form with all fields unchanged and the file last, stored if the response is
a 201 with XML.
"""

import math
import re
import stat
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import cast

import attrs
import httpx
from anyio import to_thread

from plastiq_async._call import CALL_EXTENSION, Call
from plastiq_async._hosts import find_url_problem
from plastiq_async._operation import Operation, T
from plastiq_async._pipeline import Pipeline
from plastiq_async._protocol import REASONS, parse_retry_after
from plastiq_async._request import TIMEOUTS, USER_AGENT, BodyStream
from plastiq_async._retry import describe
from plastiq_async._runner import CallRunner
from plastiq_async._transport.bounded import BoundedTransport
from plastiq_async._transport.make import Transports
from plastiq_async.errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    DocumentUploadError,
    InvalidArgumentError,
)
from plastiq_async.models.common import CallOptions
from plastiq_async.models.documents import DocumentUpload

MAX_CONTENT = 20 * 1024 * 1024
"""The largest document, in bytes."""

UPLOAD = Operation[None](
    name="documents.upload",
    method="POST",
    path="(upload URL)",
    # It stores the same document under the same name.
    harmless=True,
    traced=False,
    result=NoneType,
)
"""The upload of any document: neither its URL nor its form is for logs and errors."""

_BINARY = "application/octet-stream"
_CREATED = 201
# Pieces in which the form is sent, so that no write holds up the event loop.
_PIECE = 64 * 1024
_XML = re.compile(rb"\s*<(?:\?xml|PostResponse)\b")
# Error codes of S3 are words. Longer ones may be something else.
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z]{1,40})</Code>")


async def upload_document(
    pipeline: Pipeline,
    transports: Transports,
    presigned: DocumentUpload,
    content: bytes | Path,
    options: CallOptions,
) -> None:
    """Upload a document with the permits, the retry quota and defaults of `pipeline`.

    Each upload has a transport of its own, unless it is the user's: uploads are rare,
    and so a session has nothing to keep or to close for them.
    """
    _check_presigned(presigned, transports.http_hosts)
    _check_content(content)
    if options.get("extra_headers"):
        # The storage would refuse them, or log what is a secret of the API.
        msg = "extra_headers must be empty for an upload, which is not sent to the API"
        raise InvalidArgumentError(msg)
    # A large document may take longer than an attempt at the API.
    defaults = attrs.evolve(
        pipeline.defaults, attempt_timeout=math.inf, verify_trace_id=False, host=None
    )
    async with transports.open_for(presigned.upload_url) as transport:
        upload = Upload(
            ownership=pipeline.ownership,
            retries=pipeline.retries,
            telemetry=pipeline.telemetry,
            defaults=defaults,
            transport=transport,
            presigned=presigned,
            content=content,
        )
        await upload.run(UPLOAD, options)


@attrs.frozen(kw_only=True, eq=False)
class Upload(CallRunner):
    """Uploads one document, without access token, trace ID and middleware."""

    transport: BoundedTransport
    presigned: DocumentUpload
    content: bytes | Path = attrs.field(repr=False)

    async def exchange(self, call: Call, operation: Operation[T]) -> T:
        """Read the file, and send it with the form."""
        del operation  # the same for all documents
        request = await self._build(call)
        failure: APIConnectionError | APIResponseError | APIStatusError
        try:
            await self._send(call, request)
            return cast("T", None)
        except (APIConnectionError, APIResponseError, APIStatusError) as error:
            # Frames in reference cycles would keep the form for long.
            failure = error.with_traceback(None)
        del request
        # Outside of the handler, so that the error has no context.
        raise describe(_upload_error(failure), call) from failure.__cause__

    async def _build(self, call: Call) -> httpx.Request:
        """Return the request with the form, whose last part is the file."""
        content = await _read(self.content)
        request = _Request(
            "POST",
            self.presigned.upload_url,
            headers={b"Accept-Encoding": b"identity", b"User-Agent": USER_AGENT},
            data=self.presigned.fields,
            files={"file": (self.presigned.filename or "document", content, _BINARY)},
            extensions={"timeout": TIMEOUTS, CALL_EXTENSION: call},
        )
        request.stream = _FormStream(request.read())
        return request

    def _transmit(
        self, call: Call, request: httpx.Request
    ) -> Awaitable[httpx.Response]:
        """Send `request` once, without a client, which would log the URL."""
        del call  # the request has it
        return self.transport.handle_async_request(request)

    def _check_status(self, call: Call, response: httpx.Response) -> None:
        """Raise unless `response` says that the document is stored."""
        del call
        status = response.status_code
        if status == _CREATED and _XML.match(response.content):
            return
        if status == _CREATED:
            msg = f"unexpected response with status {status}: the body is not XML"
            failure = APIResponseError(msg)
            failure.status_code = status
            raise failure
        found = _ERROR_CODE.search(response.content)
        raise APIStatusError(
            REASONS.get(status, "unknown status"),
            status,
            found[1].decode() if found else None,
            retry_after=parse_retry_after(response.headers.raw, datetime.now(UTC)),
        )


class _Request(httpx.Request):
    """A request whose repr does not show its URL."""

    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {UPLOAD.path!r})>"


class _FormStream(BodyStream):
    """A request body that is sent in pieces."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._pieces = memoryview(content)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._pieces), _PIECE):
            yield bytes(self._pieces[start : start + _PIECE])


def _upload_error(
    failure: APIConnectionError | APIResponseError | APIStatusError,
) -> DocumentUploadError:
    """Return the public error for `failure`, the last one of an upload."""
    error = DocumentUploadError(f"the document was not stored: {failure.args[0]}")
    if not isinstance(failure, APIConnectionError):
        error.status_code = failure.status_code
    error.transient = failure.next_step == "again"
    return error


def _check_presigned(presigned: object, http_hosts: frozenset[str]) -> None:
    """Raise unless a form with a file can be sent to the URL of `presigned`."""
    if not isinstance(presigned, DocumentUpload):
        raise InvalidArgumentError("upload must be a DocumentUpload")
    url = cast("str | None", presigned.upload_url)
    if url is None:
        msg = "upload must be what create() returned: a copy has no form fields"
        raise InvalidArgumentError(msg)
    if "file" in presigned.fields:
        msg = "upload.fields must not have a field called file, which comes last"
        raise InvalidArgumentError(msg)
    problem = find_url_problem(url.partition("?")[0], http_hosts)
    if problem is None:
        with suppress(httpx.InvalidURL, ValueError):
            if httpx.URL(url).host:
                return
        problem = "must be a URL with a valid host"
    raise InvalidArgumentError(f"upload.upload_url {problem}")


def _check_content(content: object) -> None:
    """Raise unless `content` is a path, or bytes of the right size."""
    if isinstance(content, Path):
        return
    if not isinstance(content, bytes):
        raise InvalidArgumentError("content must be bytes or a pathlib.Path")
    _check_size(len(content))


def _check_size(size: int) -> None:
    if not 0 < size <= MAX_CONTENT:
        msg = f"content must have 1 to {MAX_CONTENT} bytes (20 MiB)"
        raise InvalidArgumentError(msg)


async def _read(content: bytes | Path) -> bytes:
    """Return `content`, or that of the file, without blocking the event loop."""
    if isinstance(content, bytes):
        return content
    try:
        # A file system that does not respond must not outlast the deadline.
        return await to_thread.run_sync(_read_file, content, abandon_on_cancel=True)
    except OSError as error:
        problem = f"content cannot be read: {error.strerror or type(error).__name__}"
    except InvalidArgumentError as error:
        problem = str(error)
    except ValueError:
        problem = "content cannot be read: the path has a null character"
    del content  # crash reporters collect local variables
    # Outside of the handlers, so that the error has no context with the path.
    raise InvalidArgumentError(problem)


def _read_file(path: Path) -> bytes:
    """Return the content of a regular file, whose size is checked first."""
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise InvalidArgumentError("content must be the path of a regular file")
    _check_size(info.st_size)
    with path.open("rb") as file:
        content = file.read(MAX_CONTENT + 1)
    _check_size(len(content))  # the file may have changed
    return content
