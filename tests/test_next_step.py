"""What the caller should do about an error: one table over all errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from plastiq_async import errors
from plastiq_async._retry import next_step
from plastiq_async.errors import APIStatusError, NextStep, PlastiqError
from tests.support.internals import make_operation, make_status_error

Steps = tuple[NextStep, NextStep, NextStep, NextStep]

# With a key; harmless; neither, outcome known; neither, outcome unknown.
OTHER_ERRORS: dict[type[PlastiqError], Steps] = {
    errors.PlastiqError: ("same_key", "again", "again", "reconcile"),
    errors.ConfigurationError: ("fix", "fix", "fix", "fix"),
    errors.MissingDependencyError: ("fix", "fix", "fix", "fix"),
    errors.InvalidArgumentError: ("fix", "fix", "fix", "fix"),
    errors.SessionStateError: ("same_key", "again", "again", "reconcile"),
    errors.APIConnectionError: ("same_key", "again", "again", "reconcile"),
    errors.APITimeoutError: ("same_key", "again", "again", "reconcile"),
    errors.APIResponseError: ("same_key", "again", "again", "reconcile"),
    errors.DocumentUploadError: ("same_key", "again", "again", "reconcile"),
}

REDIRECTION = frozenset(range(300, 400))
TOKEN = frozenset({401, 403})
REFUSED = frozenset({400, 404, 422})
SERVER = frozenset(range(500, 600))
OTHER = frozenset(range(400, 500)) - TOKEN - REFUSED - {408, 409, 429}

# With a key, by the kind of response: plain, declined, replayed, replayed and declined.
KEYED: dict[frozenset[int], Steps] = {
    REDIRECTION: ("fix", "fix", "fix", "fix"),
    TOKEN: ("fix", "fix", "fix", "fix"),
    REFUSED: ("reconcile", "new_key", "reconcile", "new_key"),
    frozenset({408, 409, 429}): ("same_key", "same_key", "reconcile", "reconcile"),
    OTHER: ("fix", "new_key", "fix", "new_key"),
    SERVER: ("same_key", "same_key", "reconcile", "reconcile"),
}
# Without a key: harmless; neither, outcome known; neither, outcome unknown. None cannot
# be, since these statuses themselves leave the outcome unknown.
KEYLESS: dict[frozenset[int], tuple[NextStep, NextStep | None, NextStep]] = {
    REDIRECTION: ("fix", "fix", "reconcile"),
    TOKEN: ("fix", "fix", "reconcile"),
    REFUSED: ("fix", "fix", "reconcile"),
    frozenset({408}): ("again", None, "reconcile"),
    frozenset({409}): ("fix", None, "reconcile"),
    frozenset({429}): ("again", "again", "reconcile"),
    OTHER: ("fix", "fix", "reconcile"),
    SERVER: ("again", None, "reconcile"),
}
DECLINED: list[str | None] = ["PAYMENT_METHOD_DECLINED", "PAYMENT_METHOD_INVALID"]
DECLINED += ["PAYMENT_METHOD_ERROR", "PROCESSOR_CHARGE_ERROR"]
NOT_DECLINED: list[str | None] = [
    None,
    "",
    "VALIDATION_ERROR",
    "CREATE_PAYMENT_METHOD_FAILED",
]
NOT_DECLINED += ["PAYMENT_METHOD", "PAYMENT_METHOD_", "PROCESSOR_CHARGE_ERROR 2"]
NOT_DECLINED += ["payment_method_declined", "UNPROCESSOR_CHARGE_ERROR"]


def classes_below(cls: type[PlastiqError]) -> Iterator[type[PlastiqError]]:
    """Yield `cls` and its subclasses in this library."""
    yield cls
    for below in cls.__subclasses__():
        if below.__module__.startswith("plastiq_async"):
            yield from classes_below(below)


def test_no_class_is_missing() -> None:
    """Each class is in the table of errors, is that of a status, or that of hooks."""
    classes = set(classes_below(PlastiqError)) - {errors.HookError}
    of_status = {type(make_status_error(status)) for status in range(300, 600)}
    assert classes == OTHER_ERRORS.keys() | of_status
    assert of_status == set(classes_below(APIStatusError))


@pytest.mark.parametrize("table", [KEYED, KEYLESS], ids=["keyed", "keyless"])
def test_each_status_is_there_once(table: dict[frozenset[int], object]) -> None:
    """The tables of statuses have each from 300 to 599 once."""
    assert sorted(itertools.chain(*table)) == list(range(300, 600))


@pytest.mark.parametrize("cls", OTHER_ERRORS, ids=lambda cls: cls.__name__)
def test_other_errors(cls: type[PlastiqError]) -> None:
    """Without a status, what counts is the key, else whether it may happen twice."""
    keyed, harmless, known, unknown = OTHER_ERRORS[cls]
    error = cls("no")
    for is_harmless, outcome in itertools.product([False, True], repeat=2):
        operation = make_operation(harmless=is_harmless, keyed=True)
        assert next_step(error, operation, outcome_unknown=outcome) == keyed
    for outcome in (False, True):
        operation = make_operation(harmless=True)
        assert next_step(error, operation, outcome_unknown=outcome) == harmless
    operation = make_operation(harmless=False)
    assert next_step(error, operation, outcome_unknown=False) == known
    assert next_step(error, operation, outcome_unknown=True) == unknown


HOOK_STEPS: dict[tuple[bool, bool, bool], NextStep] = {
    # Keyed, harmless, outcome unknown.
    (False, False, False): "fix",
    (False, False, True): "reconcile",
    (False, True, False): "fix",
    (False, True, True): "fix",
    (True, False, False): "fix",
    (True, False, True): "same_key",
    (True, True, False): "fix",
    (True, True, True): "same_key",
}


@pytest.mark.parametrize(("case", "step"), HOOK_STEPS.items())
def test_hook_error(case: tuple[bool, bool, bool], step: NextStep) -> None:
    """A broken hook is to be fixed, unless there is a request to find out about."""
    keyed, harmless, unknown = case
    operation = make_operation(harmless=harmless, keyed=keyed)
    error = errors.HookError("no")
    assert next_step(error, operation, outcome_unknown=unknown) == step


def test_connection_error_that_is_not_transient() -> None:
    """What a proxy refuses for good must be fixed, unless money may have moved."""
    error = errors.APIConnectionError("no")
    error.transient = False
    for harmless, keyed, unknown, step in [
        (True, False, False, "fix"),
        (True, False, True, "fix"),
        (False, False, False, "fix"),
        (False, False, True, "reconcile"),
        (False, True, False, "same_key"),
        (True, True, True, "same_key"),
    ]:
        operation = make_operation(harmless=harmless, keyed=keyed)
        assert next_step(error, operation, outcome_unknown=unknown) == step


@pytest.mark.parametrize("harmless", [False, True])
@pytest.mark.parametrize("outcome_unknown", [False, True])
def test_statuses_with_key(harmless: bool, outcome_unknown: bool) -> None:
    """With a key, status, code and replay decide, whatever else is known."""
    operation = make_operation(harmless=harmless, keyed=True)
    for statuses, steps in KEYED.items():
        kinds = itertools.product([False, True], [NOT_DECLINED, DECLINED])
        for step, (replayed, codes) in zip(steps, kinds, strict=True):
            for status, code in itertools.product(statuses, codes):
                error = make_status_error(status, code=code, replayed=replayed)
                found = next_step(error, operation, outcome_unknown=outcome_unknown)
                assert found == step, (status, code, replayed)


@pytest.mark.parametrize("replayed", [False, True])
def test_statuses_without_key(replayed: bool) -> None:
    """Without a key, neither code nor replay matters."""
    operations = [(True, False), (True, True), (False, False), (False, True)]
    for statuses, (harmless, known, unknown) in KEYLESS.items():
        steps = [harmless, harmless, known, unknown]
        for step, (is_harmless, outcome) in zip(steps, operations, strict=True):
            operation = make_operation(harmless=is_harmless)
            codes = [*DECLINED, *NOT_DECLINED]
            for status, code in itertools.product(statuses, codes):
                error = make_status_error(status, code=code, replayed=replayed)
                found = next_step(error, operation, outcome_unknown=outcome)
                assert step in {found, None}, (status, code, is_harmless, outcome)
