"""`store_form`, the storage to which documents are uploaded, as Amazon S3 does it.

The public API document, version 1.0.0, does not describe the upload. The checks are
those of a presigned POST of S3, as far as its documentation has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from uuid import uuid4

import attrs
from starlette.responses import Response

from plastiq_async.testing._checks import parse_uuid
from plastiq_async.testing._models.documents import (
    MAX_DOCUMENT_BYTES,
    STORAGE_PATH,
    Documents,
    UploadPlace,
)
from plastiq_async.testing._receiver import Received
from plastiq_async.testing._state import FakeState

__all__ = ["MAX_FORM_BYTES", "UPLOAD_OPERATION", "store_form"]

UPLOAD_OPERATION = "documents.upload"
MAX_FORM_BYTES = MAX_DOCUMENT_BYTES + 64 * 1024

# What the storage must not learn.
PRIVATE_HEADERS = (
    "authorization",
    "api-key",
    "trace-id",
    "idempotency-key",
    "end-user-ip",
    "end-user-device-id",
)


class StorageError(Exception):
    """An error response of the storage.

    Args:
        status: Status code.
        code: Error code.
        message: Error message, which never shows a value.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


@attrs.frozen
class Part:
    """A part of a form.

    Attributes:
        name: Name of the field.
        value: Bytes of the value. Not in the repr.
    """

    name: str
    value: bytes = attrs.field(repr=False)


def store_form(state: FakeState, path: str, received: Received) -> Response:
    """Store the document in a form, and return the response.

    Args:
        state: State of the fake.
        path: Path of the upload URL, below the path prefix.
        received: The request.

    Returns:
        A 201 or an error, both with XML.
    """
    try:
        place = _store(state, path, received)
    except StorageError as error:
        members = {
            "Code": error.code,
            "Message": error.message,
            "RequestId": uuid4().hex,
        }
        return _xml("Error", members, error.status)
    key = place.fields["Key"]
    members = {
        "Location": f"{received.origin}{path}/{key}",
        "Bucket": place.fields["bucket"],
        "Key": key,
    }
    return _xml("PostResponse", members, 201)


def _store(state: FakeState, path: str, received: Received) -> UploadPlace:
    place = _find_place(state, path)
    content = _read_form(received, place)
    if state.now >= place.expires_at:
        msg = "Invalid according to Policy: Policy expired."
        raise StorageError(403, "AccessDenied", msg)
    documents = state.of(Documents)
    if not documents.keep(place, content, now=state.now, limit=state.history):
        # Only the same file again, which a client sends that got no response.
        raise StorageError(403, "AccessDenied", "Another file was uploaded before")
    return place


def _find_place(state: FakeState, path: str) -> UploadPlace:
    place_id = parse_uuid(path.removeprefix(STORAGE_PATH))
    place = state.of(Documents).by_id.get(place_id) if place_id else None
    if place is None:
        raise StorageError(404, "NoSuchBucket", "The bucket does not exist")
    return place


def _read_form(received: Received, place: UploadPlace) -> bytes:
    """Check the request, and return the content of the file in its form."""
    recorded = received.recorded
    if recorded.method != "POST":
        raise StorageError(405, "MethodNotAllowed", "The method must be POST")
    private = [name for name in PRIVATE_HEADERS if name in recorded.headers]
    if private:
        raise StorageError(400, "InvalidArgument", f"Unexpected header {private[0]}")
    if len(received.body) > MAX_FORM_BYTES:
        raise StorageError(400, "EntityTooLarge", "The form is too large")
    parts = _parse_form(recorded.headers.get("content-type", ""), received.body)
    names = [part.name for part in parts]
    if names.count("file") != 1:
        msg = "The form must have exactly one file"
        raise StorageError(400, "InvalidArgument", msg)
    if names[-1] != "file":
        raise StorageError(400, "InvalidArgument", "The file must be the last field")
    *fields, file = parts
    expected = sorted((name, text.encode()) for name, text in place.fields.items())
    if sorted((part.name, part.value) for part in fields) != expected:
        msg = "Invalid according to Policy: the fields must be those handed out"
        raise StorageError(403, "AccessDenied", msg)
    if not 0 < len(file.value) <= MAX_DOCUMENT_BYTES:
        code = "EntityTooLarge" if file.value else "EntityTooSmall"
        raise StorageError(400, code, "The file is empty or larger than 20 MiB")
    return file.value


def _parse_form(content_type: str, body: bytes) -> list[Part]:
    """Parse a form of RFC 7578, strictly."""
    found = re.fullmatch(
        r'multipart/form-data; *boundary="?([\w\'()+,./:=?-]{1,70})"?',
        content_type,
        re.IGNORECASE,
    )
    if found is None:
        msg = "The content type must be multipart/form-data"
        raise StorageError(412, "PreconditionFailed", msg)
    # Without a preamble, the first boundary is at the beginning.
    first, *parts = (b"\r\n" + body).split(f"\r\n--{found[1]}".encode())
    if first or len(parts) <= 1 or parts.pop() not in {b"--", b"--\r\n"}:
        raise StorageError(400, "MalformedPOSTRequest", "The form is malformed")
    return [_parse_part(part) for part in parts]


def _parse_part(part: bytes) -> Part:
    head, separator, value = part.partition(b"\r\n\r\n")
    found = re.match(
        rb'\r\nContent-Disposition: form-data; name="([^"\r\n]+)"', head, re.IGNORECASE
    )
    if found is None or not separator:
        raise StorageError(400, "MalformedPOSTRequest", "A part is malformed")
    return Part(found[1].decode(errors="replace"), value)


def _xml(root: str, members: Mapping[str, str], status: int) -> Response:
    inner = "".join(
        f"<{name}>{escape(text)}</{name}>" for name, text in members.items()
    )
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>'
    return Response(text, status, media_type="application/xml")
