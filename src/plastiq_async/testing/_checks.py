"""What the server demands of a request: pure functions on what was received."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Mapping
from typing import NoReturn
from uuid import UUID

__all__ = [
    "MAX_BODY_BYTES",
    "InvalidRequestError",
    "bearer_token",
    "check_headers",
    "parse_trace_id",
    "requested_payer",
]

MAX_BODY_BYTES = 64 * 1024
TYPES = ("CARD",)


class InvalidRequestError(Exception):
    """The request breaks the contract; the message says where, not with what."""


def parse_uuid(text: object) -> UUID | None:
    """Read a UUID in its usual form of 8-4-4-4-12 hexadecimal digits.

    Args:
        text: What was received.

    Returns:
        The UUID, or None if it is none.
    """
    if not isinstance(text, str):
        return None
    try:
        uuid = UUID(text)
    except ValueError:
        return None
    # UUID() also takes braces, "urn:uuid:" and digits without hyphens.
    return uuid if str(uuid) == text.lower() else None


def parse_trace_id(text: str) -> UUID | None:
    """Read a trace ID.

    Args:
        text: The value of the header, or an empty text.

    Returns:
        The trace ID, or None if it is no UUID version 4.
    """
    uuid = parse_uuid(text)
    return uuid if uuid is not None and uuid.version == 4 else None  # noqa: PLR2004


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Find the access token.

    Args:
        headers: The request's headers, names in lower case.

    Returns:
        The token, or None without an `Authorization` of scheme `Bearer`.
    """
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def check_headers(headers: Mapping[str, str]) -> None:
    """Check the headers, but for those of authorization and tracing.

    Args:
        headers: The request's headers, names in lower case.

    Raises:
        InvalidRequestError: A header is missing or wrong.
    """
    if not headers.get("user-agent", "").strip():
        message = "User-Agent is required"
        raise InvalidRequestError(message)
    end_user_ip = headers.get("end-user-ip")
    if end_user_ip is not None:
        try:
            ipaddress.ip_address(end_user_ip)
        except ValueError:
            message = "End-User-Ip must be an IP address"
            raise InvalidRequestError(message) from None
    media_type = headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        message = "Content-Type must be application/json"
        raise InvalidRequestError(message)


def requested_payer(body: bytes, payer_ids: Collection[UUID]) -> UUID:
    """Check the body of a request for a client secret.

    Args:
        body: The body as it was received.
        payer_ids: The payers that exist.

    Returns:
        The ID of the payer that the secret is for.

    Raises:
        InvalidRequestError: The body breaks the contract.
    """
    data = _parse_object(body)
    if data.get("type", "CARD") not in TYPES:
        message = f"type must be one of: {', '.join(TYPES)}"
        raise InvalidRequestError(message)
    payer = data.get("payer")
    if not isinstance(payer, dict):
        message = "payer must be an object"
        raise InvalidRequestError(message)
    payer_id = parse_uuid(payer.get("id"))
    if payer_id is None:
        message = "payer.id must be a UUID"
        raise InvalidRequestError(message)
    if payer_id not in payer_ids:
        message = "payer.id must be the ID of an existing payer"
        raise InvalidRequestError(message)
    return payer_id


def _parse_object(body: bytes) -> dict[str, object]:
    if len(body) > MAX_BODY_BYTES:
        message = f"body must not be larger than {MAX_BODY_BYTES} bytes"
        raise InvalidRequestError(message)
    try:
        data: object = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        message = "body must be JSON"
        raise InvalidRequestError(message) from None
    if not isinstance(data, dict):
        message = "body must be a JSON object"
        raise InvalidRequestError(message)
    return data


def _refuse_constant(_name: str) -> NoReturn:
    # NaN and the infinities are Python's extension, not JSON.
    raise ValueError
