"""The connection is cut at every step of every handshake; the phone recovers by itself.

Each round is one cut. While alice is away bob writes to her; she comes back through a proxy that
cuts, reads, and answers. Both get every message once and in order: the next one is always the one
of this round, and its `seq`, which the server gives out once for each message stored, has gone up
by one.
"""

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.e2e.phones import Diary, phone, saved, within
from tests.e2e.proxy import Direction, Proxy, places_to_cut, proxy_to
from tests.e2e.servers import Server

from hwangso_client.profile import MemoryProfile
from hwangso_protocol.hello import Kind

DIRECTIONS = pytest.mark.parametrize("direction", list(Direction), ids=lambda one: one.name)


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with proxy_to(server.network) as running:
        yield running


@DIRECTIONS
@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME], ids=lambda one: one.name)
@within(60)
async def test_login_and_resume(
    server: Server, proxy: Proxy, kind: Kind, direction: Direction
) -> None:
    profile, diary = MemoryProfile(), Diary()
    rounds = 0

    async def come_back() -> None:
        nonlocal rounds
        rounds += 1
        await bob.send("alice", f"to alice {rounds}")
        if kind is Kind.LOGIN:
            profile.state = msgspec.structs.replace(saved(profile), resume=None)
        async with phone(
            server, "alice", profile=profile, network=proxy.network, observer=diary
        ) as alice:
            entry = await alice.next_message()
            assert (entry.seq, entry.body) == (rounds, f"to alice {rounds}")
            assert alice.inbox == ()
            await alice.send("bob", f"to bob {rounds}")
        entry = await bob.next_message()
        assert (entry.seq, entry.body) == (rounds, f"to bob {rounds}")

    async with phone(server, "bob") as bob:
        async with phone(server, "alice", profile=profile):
            pass
        await come_back()
        assert [ended.attempt.kind for ended in diary.attempts] == [kind]
        # One way the hello, the proof and the message; the other way the answer and what follows.
        for place in places_to_cut(proxy.conversations[-1].boundaries(direction)[:2]):
            proxy.cut(direction, after_bytes=place)
            await come_back()
            assert proxy.fault_happened
        assert bob.inbox == ()


@DIRECTIONS
@within(60)
async def test_enrol(server: Server, proxy: Proxy, direction: Direction) -> None:
    """A new user each time. However often it was tried: one account and one device."""
    rounds = 0

    async def enrol() -> None:
        nonlocal rounds
        rounds += 1
        async with phone(server, f"user-{rounds:03}", network=proxy.network) as newcomer:
            (device,) = await newcomer.list_devices()
            assert device.this
            await newcomer.send("bob", f"from {rounds}")
        entry = await bob.next_message()
        assert (entry.seq, entry.body) == (rounds, f"from {rounds}")

    async with phone(server, "bob") as bob:
        await enrol()
        # One way the hello and the password; the other way the answer and the Welcome.
        for place in places_to_cut(proxy.conversations[-1].boundaries(direction)[:2]):
            proxy.cut(direction, after_bytes=place)
            await enrol()
            assert proxy.fault_happened
        assert bob.inbox == ()
