"""Whose response it is, and what becomes of its connection: the whole table."""

from __future__ import annotations

import itertools
from uuid import UUID

import attrs
import pytest

from plastiq_async._transport.trace_check import (
    ForeignResponseError,
    Verdict,
    check_trace_id,
)
from tests.support.internals import make_call, make_operation

OWN = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
OTHER = "fe278caa-e01d-4910-b975-5c19c21a6d8e"
THIRD = "11111111-1111-4111-8111-111111111111"

KEEP, CLOSE, REFUSE = Verdict.KEEP, Verdict.CLOSE, Verdict.REFUSE

# The values of Trace-Id that a response may have.
RETURNED: dict[str, list[list[str]]] = {
    "own": [
        [OWN],
        [OWN.upper()],
        [OWN, OWN],
        [OWN, OWN.upper(), OWN],
        [OWN.replace("-", "")],
        [f"{{{OWN}}}"],
        [f"urn:uuid:{OWN}"],
    ],
    "missing": [[]],
    "foreign": [
        [OTHER],
        [OTHER, OTHER],
        [OWN, OTHER],
        [OTHER, OWN],
        [OTHER, THIRD],
        [OWN, ""],
        [f"{OWN}, {OWN}"],
        ["garbage"],
        ["\xe9"],
        [""],
    ],
}
# With values to compare, another operation's stored response would be noticed.
EXPECTED = {"id": THIRD}
OPERATIONS = {
    "harmless": make_operation(harmless=True),
    "keyed": make_operation(harmless=False, keyed=True, expected=EXPECTED),
    "harmless and keyed": make_operation(keyed=True, expected=EXPECTED),
    "keyed, not compared": make_operation(harmless=False, keyed=True),
    "unsafe": make_operation(harmless=False),
}
STATUSES = {
    "2xx": [200, 201, 204, 299],
    "3xx": [302, 304],
    "4xx": [400, 401, 403, 404, 408, 409, 422, 429],
    "5xx": [500, 502, 503, 504],
}
# By what was returned, the operation, and whether the status is 2xx: the verdict on a
# new connection and on a reused one, then the same two for a replayed response.
TABLE: dict[tuple[str, str, bool], tuple[Verdict, Verdict, Verdict, Verdict]] = {
    ("own", "harmless", True): (KEEP, KEEP, KEEP, KEEP),
    ("own", "harmless", False): (KEEP, KEEP, KEEP, KEEP),
    ("own", "keyed", True): (KEEP, KEEP, KEEP, KEEP),
    ("own", "keyed", False): (KEEP, KEEP, KEEP, KEEP),
    ("own", "harmless and keyed", True): (KEEP, KEEP, KEEP, KEEP),
    ("own", "harmless and keyed", False): (KEEP, KEEP, KEEP, KEEP),
    ("own", "keyed, not compared", True): (KEEP, KEEP, KEEP, KEEP),
    ("own", "keyed, not compared", False): (KEEP, KEEP, KEEP, KEEP),
    ("own", "unsafe", True): (KEEP, KEEP, KEEP, KEEP),
    ("own", "unsafe", False): (KEEP, KEEP, KEEP, KEEP),
    ("missing", "harmless", True): (CLOSE, REFUSE, CLOSE, REFUSE),
    ("missing", "harmless", False): (KEEP, KEEP, KEEP, KEEP),
    ("missing", "keyed", True): (CLOSE, REFUSE, CLOSE, REFUSE),
    ("missing", "keyed", False): (KEEP, KEEP, KEEP, KEEP),
    ("missing", "harmless and keyed", True): (CLOSE, REFUSE, CLOSE, REFUSE),
    ("missing", "harmless and keyed", False): (KEEP, KEEP, KEEP, KEEP),
    ("missing", "keyed, not compared", True): (CLOSE, REFUSE, CLOSE, REFUSE),
    ("missing", "keyed, not compared", False): (KEEP, KEEP, KEEP, KEEP),
    ("missing", "unsafe", True): (CLOSE, REFUSE, CLOSE, REFUSE),
    ("missing", "unsafe", False): (KEEP, KEEP, KEEP, KEEP),
    ("foreign", "harmless", True): (REFUSE, REFUSE, REFUSE, REFUSE),
    ("foreign", "harmless", False): (CLOSE, CLOSE, CLOSE, CLOSE),
    ("foreign", "keyed", True): (REFUSE, REFUSE, CLOSE, CLOSE),
    ("foreign", "keyed", False): (REFUSE, REFUSE, CLOSE, CLOSE),
    ("foreign", "harmless and keyed", True): (REFUSE, REFUSE, CLOSE, CLOSE),
    ("foreign", "harmless and keyed", False): (REFUSE, REFUSE, CLOSE, CLOSE),
    ("foreign", "keyed, not compared", True): (REFUSE, REFUSE, REFUSE, REFUSE),
    ("foreign", "keyed, not compared", False): (REFUSE, REFUSE, REFUSE, REFUSE),
    ("foreign", "unsafe", True): (REFUSE, REFUSE, REFUSE, REFUSE),
    ("foreign", "unsafe", False): (REFUSE, REFUSE, REFUSE, REFUSE),
}
# The values of Idempotent-Replay that say so, and those that do not.
REPLAYED = [["true"], ["True"], ["TRUE"]]
NOT_REPLAYED: list[list[str]] = [
    [],
    ["false"],
    [""],
    ["1"],
    ["yes"],
    ["true, true"],
    ["true", "true"],
]


def verdict_on(
    operation: str,
    status: int,
    returned: list[str],
    replay: list[str],
    *,
    reused: bool = False,
    verify: bool = True,
) -> Verdict:
    """Return the verdict on a response to a call of the operation."""
    call = make_call(OPERATIONS[operation], trace_id=UUID(OWN))
    call.defaults = attrs.evolve(call.defaults, verify_trace_id=verify)
    headers = [
        (b"Content-Type", b"application/json"),
        *((b"Trace-Id", value.encode("latin-1")) for value in returned),
        *((b"idempotent-REPLAY", value.encode()) for value in replay),
        (b"X-Trace-Id", OTHER.encode()),
    ]
    return check_trace_id(call, status, headers, reused=reused)


def test_table_is_complete() -> None:
    """The table has each combination."""
    assert set(TABLE) == set(itertools.product(RETURNED, OPERATIONS, [True, False]))


@pytest.mark.parametrize("statuses", STATUSES)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", RETURNED)
def test_verdict(kind: str, operation: str, statuses: str) -> None:
    """The verdict is that of the table."""
    verdicts = TABLE[kind, operation, statuses == "2xx"]
    columns = itertools.product([NOT_REPLAYED, REPLAYED], [False, True])
    for verdict, (replays, reused) in zip(verdicts, columns, strict=True):
        for case in itertools.product(STATUSES[statuses], RETURNED[kind], replays):
            assert verdict_on(operation, *case, reused=reused) is verdict, case


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_verification(operation: str) -> None:
    """Without verification each response is delivered, and its connection kept."""
    statuses = itertools.chain(*STATUSES.values())
    values = [*RETURNED["own"], *RETURNED["missing"], *RETURNED["foreign"]]
    replays = [*REPLAYED, *NOT_REPLAYED]
    for case in itertools.product(statuses, values, replays):
        for reused in (False, True):
            verdict = verdict_on(operation, *case, reused=reused, verify=False)
            assert verdict is KEEP, case


@pytest.mark.parametrize("operation", OPERATIONS)
def test_untraced(operation: str) -> None:
    """Where the contract promises no trace ID, a response without one is taken."""
    call = make_call(
        attrs.evolve(OPERATIONS[operation], traced=False), trace_id=UUID(OWN)
    )
    foreign = [(b"Trace-Id", OTHER.encode())]
    for reused in (False, True):
        assert check_trace_id(call, 200, [], reused=reused) is CLOSE
        assert check_trace_id(call, 404, [], reused=reused) is KEEP
        assert check_trace_id(call, 200, foreign, reused=reused) is REFUSE


def test_not_reused_by_default() -> None:
    """A caller that cannot tell takes the connection for a new one."""
    call = make_call(OPERATIONS["harmless"])
    assert check_trace_id(call, 200, []) is CLOSE


def test_error_holds_no_data() -> None:
    """The error for a refused response quotes nothing of it."""
    assert str(ForeignResponseError()) == (
        "the response carries another call's trace ID, or none; "
        "if it was recorded, see docs/recorded-responses.md"
    )
