"""Settings and strategies for the hypothesis tests."""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st

# In CI the examples are deterministic.
many = settings(max_examples=500)
# For slow examples: a failing example is not simplified.
few = settings(many, max_examples=50, phases=set(Phase) - {Phase.shrink, Phase.explain})


def mostly(
    first: st.SearchStrategy[Any], second: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Draw twice as often from the first strategy as from the second."""
    return st.sampled_from([first, first, second]).flatmap(lambda chosen: chosen)
