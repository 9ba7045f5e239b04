"""The connection is cut at every step of every handshake; the phone recovers by itself.

Each round is one cut. While alice is away bob writes to her; she comes back through a proxy that
cuts, reads, and answers. Both get every message once and in order: the next one is always the one
of this round, and its `seq`, which the server gives out once for each message stored, has gone up
by one.
"""

from collections.abc import AsyncIterator

import pytest
import trio
from tests.e2e.phones import Diary, forget_ticket, phone, within
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
            forget_ticket(profile)
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


@within(20)
async def test_a_phone_that_is_switched_off_while_it_enrols(server: Server, proxy: Proxy) -> None:
    """The server knows its key already, the phone does not know that: it made the key before it
    asked, and asks again with the same."""
    profile, diary = MemoryProfile(), Diary()

    async def try_to_enrol() -> None:
        async with phone(server, "alice", profile=profile, network=proxy.network, observer=diary):
            raise AssertionError("its Welcome was lost")

    # The answer to the hello passes, of the Welcome half.
    proxy.cut(Direction.TO_PHONE, after_bytes=200)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(try_to_enrol)
        await diary.until(lambda: diary.attempts)
        proxy.hold_everything()
        nursery.cancel_scope.cancel()
    assert await server.count("session.enrol.FG") == 1

    async with phone(server, "alice", profile=profile) as alice:
        (device,) = await alice.list_devices()
        assert device.this
