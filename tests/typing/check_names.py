"""Type checks of the names that can be imported; nothing here runs.

A `type: ignore` marks an expected error: both checkers report an unused one.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
# ruff: noqa: F401 -- the imports are what is checked

from __future__ import annotations

import plastiq_async
import plastiq_async.testing
from plastiq_async import PlastiqSesion  # type: ignore[attr-defined]
from plastiq_async import __version__ as version
from plastiq_async.errors import PlastiqEror  # type: ignore[attr-defined]
from plastiq_async.middleware import MidleWare  # type: ignore[attr-defined]
from plastiq_async.models import EndUsr  # type: ignore[attr-defined]
from plastiq_async.testing import FakePlastik  # type: ignore[attr-defined]
from plastiq_async.tracing import trace_contxt  # type: ignore[attr-defined]


def use_names() -> None:
    """Use names of the package, and names that it does not have."""
    text: str = version or plastiq_async.__version__
    text.split(".")
    plastiq_async.PlastiqSesion()  # type: ignore[attr-defined]
    plastiq_async.testing.FakePlastik()  # type: ignore[attr-defined]
