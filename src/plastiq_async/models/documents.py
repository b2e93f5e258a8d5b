"""The models of ``/documents``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

import attrs

from plastiq_async._codec import NOT_EMPTY, NOT_ON_WIRE, wire
from plastiq_async._secrets import SECRET, forget_secrets_in_copies, hide
from plastiq_async.models.common import ResponseInfo

__all__ = ["DocumentFileType", "DocumentType", "DocumentUpload"]

DocumentType: TypeAlias = Literal["INVOICE"]
"""What a document is; the API knows only ``"INVOICE"`` today."""

DocumentFileType: TypeAlias = Literal[
    "doc", "docx", "gif", "jpeg", "jpg", "pdf", "xls", "xlsx"
]
"""The file types of documents that the API takes."""


def _hide_url(url: str) -> str:
    """Return `url` with a repr that does not show it."""
    return hide(url)  # with a type that attrs' plugin for mypy understands


def _hide_values(fields: Mapping[str, str]) -> Mapping[str, str]:
    """Return `fields` read-only, and with a repr that does not show the values."""
    if cast("Mapping[str, str] | None", fields) is None:  # in a copy
        return fields
    return MappingProxyType({name: hide(text) for name, text in fields.items()})


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class DocumentUpload:
    """A presigned upload of one document, for `documents.upload`.

    Anyone who knows the URL and the form fields can upload until they expire, so they
    are in no repr. Errors of the connection name the host and the port of the URL, and
    the host may contain the name of the bucket. A copy or pickle holds neither the URL
    nor the form fields, and cannot be used.

    Attributes:
        upload_url: The URL, on another host than the API.
        fields: The form fields to send before the file, such as ``"Policy"``. The file
            must arrive before the policy expires.
        filename: The name of the file, as it was given to `documents.create`.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    upload_url: str = attrs.field(
        converter=_hide_url,
        repr=False,
        metadata=wire("uploadURL") | NOT_EMPTY | SECRET,
    )
    fields: Mapping[str, str] = attrs.field(
        converter=_hide_values,
        repr=False,
        hash=False,
        metadata=wire("metadata") | SECRET,
    )
    filename: str | None = attrs.field(default=None, metadata=NOT_ON_WIRE)
    response: ResponseInfo = attrs.field(repr=False, eq=False)
