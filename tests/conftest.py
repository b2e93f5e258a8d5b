"""Fixtures shared by all tests: both event loops and a clean environment."""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
import trustme
from hypothesis import HealthCheck, settings

# A busy machine is no failure. The rest is hypothesis' own, for CI or for elsewhere.
settings.register_profile(
    "unhurried",
    parent=settings(),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("unhurried")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every async test on each of the event loops."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        upper = name.upper()
        if upper.startswith(("PLASTIQ_", "SSL_CERT_")) or upper.endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def quick_retries() -> Iterator[None]:
    """Retry without waiting, up to the session's number of retries."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Make a certificate authority that nothing trusts by default."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the authority's certificate to a file."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return a TLS context for a loopback server, with the authority's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the jitter, so that each wait has its minimum length."""
    monkeypatch.setattr(random, "uniform", lambda low, _: low)
