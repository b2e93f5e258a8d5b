"""Documents: places for uploads, and the forms that reach a server."""

from __future__ import annotations

import email.policy
from email.parser import BytesParser
from typing import Any, cast

from plastiq_async import DocumentUpload
from tests.support.models import make_info
from tests.support.socket_server import Request
from tests.support.steps import answer

FIELDS = {
    "Key": "uploads/k3y-0f-the-f0rm/invoice.pdf",
    "success_action_status": "201",
    "X-Amz-Security-Token": "s3cur1ty+t0ken/==",
    "Policy": "eyJwMGwxY3kiOiAxfQ==",
    "X-Amz-Signature": "s1gnature0f4f0rm",
    'odd "name" ä': " kept\r\nas it is ü ",
}
"""Form fields, some of which the API document does not name."""

BUCKET = "b5cket.s3.example"
"""The host of upload URLs."""

PRIVATE_FIELDS = ["k3y-0f-the-f0rm", "s3cur1ty", "eyJwMGwx", "s1gnature0f4f0rm"]
"""Parts of their values that nothing may show."""

CONTENT = b"%PDF-1.7\r\n--\r\n\0\xff the c0ntent"
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse><Key>k</Key></PostResponse>'
)
stored = answer(201, XML, trace_id=None)
"""The step that says that the document is stored."""


def make_place(url: str, **changes: Any) -> DocumentUpload:
    """Return a place at `url` for an upload; `changes` override its values."""
    values: dict[str, Any] = {
        "upload_url": url,
        "fields": FIELDS,
        "filename": "invoice.pdf",
        "response": make_info(),
    }
    return DocumentUpload(**values | changes)


def refusal(code: str) -> bytes:
    """Return an XML error whose message quotes the form."""
    said = " ".join(FIELDS.values())
    return f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()


def form_of(request: Request) -> list[tuple[str, str | None, bytes]]:
    """Return name, file name and value of each part of the form in `request`."""
    head = f"Content-Type: {request.header('Content-Type')}\r\n\r\n".encode()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    return [
        (
            cast("str", part.get_param("name", header="content-disposition")),
            part.get_filename(),
            cast("bytes", part.get_payload(decode=True)),
        )
        for part in message.iter_parts()
    ]
