"""Problem responses and log records for errors."""

from __future__ import annotations

import json
import logging
from uuid import UUID

import pytest

from plastiq_async import errors, trace_context
from plastiq_async.integrations._problems import report_problem

TRACE_ID = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
STATUSES = {
    "APIConnectionError": 502,
    "APIResponseError": 502,
    "APIStatusError": 502,
    "APITimeoutError": 504,
    "AuthenticationError": 500,
    "BadRequestError": 502,
    "ConfigurationError": 500,
    "ConflictError": 502,
    "DocumentUploadError": 502,
    "HookError": 500,
    "InternalServerError": 502,
    "InvalidArgumentError": 422,
    "MissingDependencyError": 500,
    "NotFoundError": 502,
    "PermissionDeniedError": 500,
    "PlastiqError": 500,
    "RateLimitError": 503,
    "ServiceUnavailableError": 503,
    "SessionStateError": 500,
    "UnprocessableEntityError": 502,
}


def make_error(name: str) -> errors.PlastiqError:
    """Return an error with details that must not reach the browser."""
    kind = getattr(errors, name)
    if issubclass(kind, errors.APIStatusError):
        error: errors.PlastiqError = kind("inside", 418, "CODE", ("detail",), 1.2)
    else:
        error = kind("inside")
    error.trace_id = TRACE_ID
    error.method, error.path, error.attempts = "POST", "/client-secrets", 3
    return error


@pytest.mark.parametrize("name", STATUSES)
def test_every_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each error has its status code; the problem response has only listed fields."""
    error = make_error(name)
    problem = report_problem(error)
    assert problem.status == STATUSES[name]
    assert json.loads(problem.body) == {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "trace_id": str(TRACE_ID),
    }
    waits = {"Retry-After": "2"} if problem.status == 503 else {}
    assert problem.headers == {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
        **waits,
    }
    (record,) = caplog.records
    assert (record.name, record.levelno) == (
        "plastiq_async.integrations",
        logging.ERROR,
    )
    assert record.getMessage() == (
        f"answered {problem.status} {problem.title}: {name}: {error}"
    )
    of_a_call = isinstance(error, (errors.APIStatusError, errors.DocumentUploadError))
    of_a_call = of_a_call or name.startswith("API")
    assert (record.exc_info is None) == of_a_call


def test_no_error_is_missing() -> None:
    """Every error class has a status code."""
    exported = [getattr(errors, name) for name in errors.__all__]
    assert [cls.__name__ for cls in exported if isinstance(cls, type)] == list(STATUSES)


def test_no_retry_after() -> None:
    """Retry-After is sent only if the API sent one; 0 counts as one."""
    for seconds, expected in ((None, None), (0.0, "0"), (0.01, "1")):
        error = errors.RateLimitError("inside", 429, retry_after=seconds)
        assert report_problem(error).headers.get("Retry-After") == expected


def test_other_errors() -> None:
    """An exception that is not a PlastiqError becomes a plain 500."""
    problem = report_problem(KeyError("inside"))
    assert problem.status == 500
    assert b"inside" not in problem.body


def test_trace_id_of_the_request() -> None:
    """An error without a trace ID gets that of the request, if there is one."""
    error = errors.ConfigurationError("inside")
    assert "trace_id" not in json.loads(report_problem(error).body)
    with trace_context() as trace_id:
        assert json.loads(report_problem(error).body)["trace_id"] == str(trace_id)
