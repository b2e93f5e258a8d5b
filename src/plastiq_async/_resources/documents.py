"""`Documents`: ``/documents`` of the public API document, version 1.0.0."""

from pathlib import Path
from typing import Unpack, cast, get_args
from uuid import UUID

import attrs

from plastiq_async._operation import Operation
from plastiq_async._pipeline import Pipeline
from plastiq_async._resources.base import Resource, reference
from plastiq_async._secrets import encode_body
from plastiq_async._transport.make import Transports
from plastiq_async._upload import upload_document
from plastiq_async._validate import check_choice, check_text
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.models.documents import (
    DocumentFileType,
    DocumentType,
    DocumentUpload,
)


class Documents(Resource):
    """Documents: evidence for payments under review, such as invoices."""

    def __init__(self, pipeline: Pipeline, transports: Transports) -> None:
        super().__init__(pipeline)
        self._transports = transports

    async def create(
        self,
        payer_id: UUID | str,
        *,
        filename: str,
        file_type: DocumentFileType | None = None,
        type: DocumentType = "INVOICE",
        payment_id: UUID | str | None = None,
        payment_intent_id: UUID | str | None = None,
        recipient_id: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> DocumentUpload:
        """Create a presigned upload for one document.

        Then call `upload` at once, because the presigned upload expires. The call is
        retried after transient errors, because one that nobody uses costs nothing.

        Args:
            payer_id: The payer's UUID.
            filename: The name of the file, such as ``"invoice_123.pdf"``.
            file_type: The type of the file. Default: the extension of `filename`, in
                lower case.
            type: What the document is.
            payment_id: The UUID of the payment that it belongs to.
            payment_intent_id: The UUID of the payment intent that it belongs to.
            recipient_id: The UUID of the recipient that it belongs to. Give exactly one
                of the three.
            options: `CallOptions`.

        Returns:
            The presigned upload.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            BadRequestError: The API refused a value, such as a payment that is not the
                payer's.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        check_choice("type", type, choices=get_args(DocumentType))
        check_text("filename", filename)
        name = "file_type"
        if file_type is None:
            name = "the extension of filename"
            extension = filename.rpartition(".")[2].lower()
            file_type = cast("DocumentFileType", extension)
        check_choice(name, file_type, choices=get_args(DocumentFileType))
        targets = {
            "payment": ("payment_id", payment_id),
            "paymentIntent": ("payment_intent_id", payment_intent_id),
            "recipient": ("recipient_id", recipient_id),
        }
        operation = Operation(
            name="documents.create",
            method="POST",
            path="/documents",
            body=encode_body(
                {
                    "type": type,
                    "fileType": file_type,
                    "filename": filename,
                    "payer": reference("payer_id", payer_id),
                    **_target(targets),
                }
            ),
            harmless=True,
            result=DocumentUpload,
        )
        upload = await self._pipeline.run(operation, options)
        return attrs.evolve(upload, filename=filename)

    async def upload(
        self,
        upload: DocumentUpload,
        content: bytes | Path,
        **options: Unpack[CallOptions],
    ) -> None:
        """Upload a document with what `create` returned.

        The whole file is read into memory, and sent to the host of the upload URL with
        the settings of the session: its transport, `verify` and `proxy`, or the proxy
        of the environment for that host. Neither the access token nor a trace ID nor
        anything about the end user is sent there, `extra_headers` are refused, and
        middleware is not called.

        The call is retried after transient errors, because it stores the same document
        under the same name. `timeout` limits the whole call, so give large files more
        time; `attempt_timeout` does not apply.

        Args:
            upload: The presigned upload.
            content: The content of the file, or the path of the file, 1 byte to 20 MiB.
                The path is read without blocking the event loop.
            options: `CallOptions`.

        Raises:
            InvalidArgumentError: An argument is not valid, or the file cannot be read.
                Nothing was sent.
            ConfigurationError: The proxy for the host is not usable. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            DocumentUploadError: The document was not stored, retries included.
        """
        await upload_document(
            self._pipeline, self._transports, upload, content, options
        )


def _target(
    targets: dict[str, tuple[str, UUID | str | None]],
) -> dict[str, dict[str, UUID]]:
    """Return the member of a request body that says what a document belongs to.

    `targets` has the name and the value of each argument, by the name of the member.
    """
    given = {
        member: reference(name, value)
        for member, (name, value) in targets.items()
        if value is not None
    }
    if len(given) != 1:
        names = ", ".join(name for name, _ in targets.values())
        raise InvalidArgumentError(f"give exactly one of {names}")
    return given
