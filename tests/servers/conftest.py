"""Wirings, and fakes in processes of their own, for tests with real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
import trustme

from plastiq_async import PlastiqSession
from tests.support.callers import Callers, accounted_for
from tests.support.fake_program import fake_program
from tests.support.programs import Program
from tests.support.sessions import TOKEN
from tests.support.wirings import WIRINGS, Connect

MakeCallers = Callable[..., AbstractAsyncContextManager[Callers]]


@pytest.fixture(params=WIRINGS, ids="-".join)
def wiring(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Run each test on all wirings."""
    backend, transport = request.param
    return backend, transport


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Return the event loop for the test."""
    return wiring[0]


@pytest.fixture
def callers_of(wiring: tuple[str, str]) -> MakeCallers:
    """Return a function that makes callers of a base URL on this wiring."""
    return partial(accounted_for, transport=wiring[1])


@pytest.fixture
def connect(wiring: tuple[str, str]) -> Connect:
    """Return a function that makes sessions on this wiring."""
    options: dict[str, Any] = {"transport": wiring[1], "trust_env": False}
    return partial(PlastiqSession, TOKEN, **options)


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run a fake for all tests."""
    with fake_program(tmp_path_factory.mktemp("fake")) as program:
        yield program


@pytest.fixture(scope="session")
def tls_fake(
    tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA
) -> Iterator[Program]:
    """Run a fake with https for all tests."""
    folder = tmp_path_factory.mktemp("tls-fake")
    with fake_program(folder, authority=authority) as program:
        yield program
