"""Errors that routes and checks raise; the wire turns them into error responses."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ApiError", "ConflictError", "NotFoundError", "ValidationError"]


class ApiError(Exception):
    """An error response of the API.

    Args:
        status: Status code.
        *details: Texts of the body's list of details.
        code: Error code; by default the generic code of `status`, if any.
        message: Error message; by default the usual message of `status`.
        headers: Additional response headers.
    """

    def __init__(
        self,
        status: int,
        *details: str,
        code: str | None = None,
        message: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, *details)
        self.status = status
        self.details = details
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


class ValidationError(ApiError):
    """The request breaks the contract: 400.

    Args:
        *details: What is wrong. Name the field, never its value.
    """

    def __init__(self, *details: str) -> None:
        super().__init__(400, *details)


class NotFoundError(ApiError):
    """The resource does not exist: 404.

    Args:
        *details: What was not found.
    """

    def __init__(self, *details: str) -> None:
        super().__init__(404, *details)


class ConflictError(ApiError):
    """The request conflicts with another one: 409.

    Args:
        *details: What it conflicts with.
    """

    def __init__(self, *details: str) -> None:
        super().__init__(409, *details)
