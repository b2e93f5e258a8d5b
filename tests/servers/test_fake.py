"""Calls to a fake whose process stops, dies, or cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
import trustme

from tests.servers.conftest import MakeCallers
from tests.support.callers import count_descriptors
from tests.support.fake_program import fake_program
from tests.support.networks import Network, network
from tests.support.programs import Program, give_up
from tests.support.timing import eventually


async def test_short_stop(fake: Program, callers_of: MakeCallers) -> None:
    """Calls outlast a server that stands still for less than their time."""
    async with callers_of(f"http://{fake.netloc}/api") as callers:
        async with callers.calling(50):
            await callers.see("succeeded")
            with fake.suspended():
                await anyio.sleep(0.5)
            await callers.see("succeeded")
        assert set(callers.ledger.outcomes) == {("succeeded", 1)}


async def test_long_stop(fake: Program, callers_of: MakeCallers) -> None:
    """Exactly the calls in flight time out if the server stands still for longer."""
    async with callers_of(f"http://{fake.netloc}/api") as callers:
        await callers.call_together(20)
        with fake.suspended():
            await callers.call_together(20, timeout=1)
        assert callers.outcomes == {"succeeded": 20, "APITimeoutError": 20}


async def test_stop_with_tls(
    tls_fake: Program, callers_of: MakeCallers, ca_file: Path
) -> None:
    """Calls that time out over TLS leave no descriptor, though the server is silent."""
    before = count_descriptors()
    async with callers_of(
        f"https://{tls_fake.netloc}/api", verify=str(ca_file), max_connections=5
    ) as callers:
        for _ in range(2):
            await callers.call_together(5)
            assert count_descriptors() <= before + 5
            with tls_fake.suspended():
                # First on connections whose peer has the request, then on new ones.
                for _ in range(2):
                    await callers.call_together(5, timeout=0.3)
                    await eventually(lambda: count_descriptors() <= before)
        assert callers.outcomes == {"succeeded": 10, "APITimeoutError": 20}


async def test_killed_server(tmp_path: Path, callers_of: MakeCallers) -> None:
    """Calls fail with connection errors only while the server is gone."""
    with fake_program(tmp_path) as fake:
        async with callers_of(f"http://{fake.netloc}/api", max_retries=1) as callers:
            async with callers.calling(50):
                await callers.see("succeeded")
                await anyio.to_thread.run_sync(fake.kill)
                await callers.see("APIConnectionError")
                await anyio.to_thread.run_sync(fake.start)
                await callers.see("succeeded")
            assert set(callers.outcomes) == {"succeeded", "APIConnectionError"}


@pytest.fixture
def lossy_network() -> Iterator[Network]:
    """Make a network that can lose everything."""
    try:
        with network() as made:
            yield made
    except OSError as error:
        give_up(f"a black hole needs root and network namespaces: {error}")


async def test_black_hole(
    lossy_network: Network,
    callers_of: MakeCallers,
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
) -> None:
    """Exactly the calls in flight fail while a network loses everything."""
    before = count_descriptors()
    with fake_program(
        tmp_path,
        host=lossy_network.host,
        authority=authority,
        prefix=lossy_network.prefix,
    ) as fake:
        async with callers_of(
            f"https://{fake.netloc}/api",
            verify=str(ca_file),
            max_connections=30,
            attempt_timeout=1.0,
        ) as callers:
            await callers.call_together(30)
            async with anyio.create_task_group() as group:
                call_in_vain = partial(callers.call_together, 10, timeout=4)
                fake.suspend()
                group.start_soon(call_in_vain)
                await eventually(lambda: fake.pending_requests() == 10)
                with lossy_network.losing_everything():
                    fake.resume()
                    group.start_soon(call_in_vain)
                    await anyio.sleep(6)
                restored = anyio.current_time()
                await callers.call_together(20)
                # Within a second, and half of one more because the machine may be busy.
                assert anyio.current_time() < restored + 1.5
            assert callers.outcomes == {"succeeded": 50, "APITimeoutError": 20}
            assert count_descriptors() <= before + 30
