"""Real phones and the real core of the server in virtual time, for what takes minutes.

    async def test_it(autojump_clock: MockClock) -> None:
        async with virtual_server() as server, virtual_phone(server, "alice") as alice:
            await trio.sleep(3600)      # takes no time

No thread and no socket appears here: the store is the one in memory, passwords are hashed inline,
and a connection is a pair of streams in memory.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from tests.e2e.phones import PASSWORD
from tests.server import harness

from hwangso_client.config import DeviceConfig
from hwangso_client.device import Device
from hwangso_client.events import Observer, ignore
from hwangso_client.profile import Profile
from hwangso_protocol.hello import Intent
from hwangso_server.streaming import serve_stream


class VirtualServer:
    """A core, and the streams that lead to it: a Network for phones."""

    def __init__(self, inside: harness.Server, nursery: trio.Nursery) -> None:
        self.inside = inside
        self._nursery = nursery

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        """A new connection."""
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        core = self.inside.core
        self._nursery.start_soon(serve_stream, theirs, lane, core.greet, core.flush_touched)
        return ours

    def count(self, name: str) -> int:
        """One of the server's counts."""
        return self.inside.count(name)


@asynccontextmanager
async def virtual_server(**changes: Any) -> AsyncIterator[VirtualServer]:
    """A server; `changes` are keys of its configuration. Needs the fixture `autojump_clock`."""
    async with harness.running_server(**changes) as inside, trio.open_nursery() as nursery:
        yield VirtualServer(inside, nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def virtual_phone(
    server: VirtualServer,
    user: str,
    *,
    profile: Profile | None = None,
    observer: Observer = ignore,
    seed: int = 1,
) -> AsyncIterator[Device]:
    """A phone with its app open and a session ready."""
    rng = random.Random(seed)
    config = DeviceConfig(server.inside.public_key, user, password=PASSWORD, register=True)
    async with Device(
        config,
        server,
        profile=profile,
        observer=observer,
        rng=rng,
        random_bytes=rng.randbytes,
        wall_clock=lambda: harness.EPOCH_MS / 1000 + trio.current_time(),
    ) as device:
        await device.open_app()
        yield device
