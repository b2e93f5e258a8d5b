"""The tests that `docs/testing.md` shows, run as a user's test suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"^```py\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# As the page says.
SETTINGS = {
    "anyio": "anyio_mode = auto",
    "asyncio": """
        asyncio_mode = auto
        asyncio_default_fixture_loop_scope = function
    """,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "passed"),
    [
        # Each async test runs on asyncio and trio, that of aiohttp on asyncio only.
        ("anyio", 2 * 2 + 2 + 2 + 1 + 2 * 3),
        ("asyncio", 2 + 2 + 1 + 1 + 3),
    ],
)
def test_recipes(plugin: str, passed: int, pytester: pytest.Pytester) -> None:
    """All tests of the page pass as they are, with each of the pytest plugins."""
    for name, code in FILE.findall((ROOT / "docs" / "testing.md").read_text("utf-8")):
        pytester.path.joinpath(name).write_text(code, "utf-8")
    pytester.makeini(
        f"""
        [pytest]
        {SETTINGS[plugin]}
        filterwarnings =
            error
            ignore:Using .httpx. with .starlette.testclient. is deprecated
            ignore:The anyio.abc.BlockingPortal alias is deprecated
        pythonpath = {ROOT / "examples"}
        """
    )
    (other,) = SETTINGS.keys() - {plugin}
    result = pytester.runpytest_subprocess("-p", f"no:{other}")
    result.assert_outcomes(passed=passed)
