"""`UploadPlace`, `StoredDocument` and `Documents`, the documents of a fake."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import attrs

from plastiq_async.testing._json import write_time
from plastiq_async.testing._store import Store

__all__ = [
    "LIFETIME",
    "MAX_DOCUMENT_BYTES",
    "STORAGE_PATH",
    "Documents",
    "StoredDocument",
    "UploadPlace",
]

STORAGE_PATH = "/_uploads/"
"""Path prefix of upload URLs, outside of the API."""

MAX_DOCUMENT_BYTES = 20 * 1024 * 1024
LIFETIME = timedelta(minutes=15)
"""Time until the policy of a place expires. The API's documentation does not say it."""

# All documents that a fake keeps.
MAX_KEPT_BYTES = 5 * MAX_DOCUMENT_BYTES
BUCKET = "fake-plastiq-documents"


@attrs.frozen(kw_only=True)
class StoredDocument:
    """A document that was uploaded to a fake.

    Attributes:
        payer_id: Payer of the document.
        type: What the document is, such as `"INVOICE"`.
        file_type: Type of the file, such as `"pdf"`.
        filename: Name of the file.
        payment_id: Payment that it belongs to, if any.
        payment_intent_id: Payment intent that it belongs to, if any.
        recipient_id: Recipient that it belongs to, if any.
        content: Content of the file. Not in the repr.
        stored_at: Time of the upload by the fake's clock, in UTC.
    """

    payer_id: UUID
    type: str
    file_type: str
    filename: str
    payment_id: UUID | None = None
    payment_intent_id: UUID | None = None
    recipient_id: UUID | None = None
    content: bytes = attrs.field(default=b"", repr=False)
    stored_at: datetime


@attrs.define(kw_only=True)
class UploadPlace:
    """A place to which one document can be uploaded.

    Attributes:
        id: ID of the place, which is in its URL.
        document: The document without its content.
        expires_at: When the policy expires by the fake's clock, in UTC.
        fields: Form fields that an upload must have. Not in the repr.
        digest: SHA-256 of the content that was uploaded, if any.
    """

    id: UUID
    document: StoredDocument
    expires_at: datetime
    fields: Mapping[str, str] = attrs.field(init=False, repr=False)
    digest: bytes | None = None

    @fields.default
    def _make_fields(self) -> Mapping[str, str]:
        expiration = write_time(self.expires_at)
        policy = json.dumps({"expiration": expiration, "conditions": []})
        day = f"{self.expires_at:%Y%m%d}"
        return {
            "Key": f"{self.id}/{self.document.filename}",
            "success_action_status": "201",
            "bucket": BUCKET,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"FAKE/{day}/us-east-1/s3/aws4_request",
            "X-Amz-Date": f"{day}T000000Z",
            "X-Amz-Security-Token": secrets.token_urlsafe(),
            "Policy": base64.b64encode(policy.encode()).decode(),
            "X-Amz-Signature": secrets.token_hex(32),
        }


@attrs.define
class Documents(Store[UploadPlace]):
    """The upload places of one fake, and the documents that were uploaded.

    Attributes:
        stored: The uploaded documents, oldest first.
    """

    stored: list[StoredDocument] = attrs.field(factory=list, init=False)

    def keep(
        self, place: UploadPlace, content: bytes, *, now: datetime, limit: int
    ) -> bool:
        """Keep the content of the document for a place, once.

        Args:
            place: The place.
            content: Content of the file.
            now: Time by the fake's clock, in UTC.
            limit: Number of documents to keep. The oldest are dropped.

        Returns:
            Whether the place has this content now. It has not if another content was
            uploaded to it before.
        """
        digest = hashlib.sha256(content).digest()
        if place.digest is not None:
            return place.digest == digest
        place.digest = digest
        document = attrs.evolve(place.document, content=content, stored_at=now)
        self.stored.append(document)
        del self.stored[:-limit]
        while sum(len(one.content) for one in self.stored) > MAX_KEPT_BYTES:
            del self.stored[0]
        return True
