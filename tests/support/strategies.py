"""Settings and strategies for the hypothesis tests."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

# No deadline, because machines may be slow. In CI the examples are deterministic.
many = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# For slow examples: a failing example is not simplified.
few = settings(many, max_examples=50, phases=set(Phase) - {Phase.shrink, Phase.explain})


def mostly(
    first: st.SearchStrategy[Any], second: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Draw twice as often from the first strategy as from the second."""
    return st.sampled_from([first, first, second]).flatmap(lambda chosen: chosen)
