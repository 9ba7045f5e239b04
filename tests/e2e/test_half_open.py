"""The other end is gone, and nobody was told: each side finds out by itself.

Minutes pass here, so most of it is in virtual time; the last test is on real sockets.
"""

import random
from pathlib import Path

import trio
from tests.e2e.phones import PASSWORD, Diary, phone, within
from tests.e2e.proxy import Direction, proxy_to
from tests.e2e.servers import running_server
from tests.virtual.lab import virtually

from hwangso_client.config import LinkState
from hwangso_client.device import Device
from hwangso_client.events import Observer, SessionEnd, ignore
from hwangso_client.keepalive import PATIENCE_S, PONG_TIMEOUT_S
from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Enrol
from hwangso_server.deadlines import TICK_S
from hwangso_server.limits import HELLO_TIMEOUT_S, IDLE_FACTOR, PROOF_TIMEOUT_S
from hwangso_tools.virtual.link import LinkProfile
from hwangso_tools.virtual.network import DEFER_ACCEPT_S
from hwangso_tools.virtual.world import World, virtual_world

KEEPALIVE_S = 60
HARDLY_ANY_S = 0.1
"""For what takes the modelled processor a few milliseconds."""
AT_ONCE = LinkProfile(0, 0)
"""So that what takes time here are the timeouts."""


async def opened(world: World, user: str, observer: Observer = ignore) -> Device:
    """A phone of `user` with its app open and a session ready."""
    device = await world.phone(user, observer=observer)
    await device.open_app()
    return device


@virtually
async def test_a_silent_phone_stays_online_by_its_keepalive() -> None:
    diary = Diary()
    async with virtual_world(seed=1, link=AT_ONCE, keepalive_s=KEEPALIVE_S) as world:
        alice = await opened(world, "alice", diary)
        await trio.sleep(3600)
        assert alice.link_state is LinkState.READY
        assert not diary.ended


@virtually
async def test_the_server_finds_a_phone_that_is_gone() -> None:
    """After two and a half keepalives of silence. The phone is found no sooner, and no session of
    it is left."""
    async with virtual_world(seed=1, link=AT_ONCE, keepalive_s=KEEPALIVE_S) as world:
        alice = await opened(world, "alice")
        await trio.sleep(HARDLY_ANY_S)  # the proof of its keys arrives, and the session is online
        alice.radio.cut(silently=True)
        idle_s = KEEPALIVE_S * IDLE_FACTOR
        await trio.sleep(idle_s - TICK_S)
        assert len(world.server.core.presence) == 1
        await trio.sleep(3 * TICK_S)
        assert len(world.server.core.presence) == 0
        assert world.server.count("ended.idle") == 1


@virtually
async def test_the_phone_finds_a_server_that_is_gone() -> None:
    """By its next keepalive and the Pong that does not come; then it resumes, as BACKGROUND."""
    diary = Diary()
    async with virtual_world(seed=1, link=AT_ONCE, keepalive_s=KEEPALIVE_S) as world:
        alice = await opened(world, "alice", diary)
        alice.radio.handover(silently=True)
        with trio.fail_after(KEEPALIVE_S + PONG_TIMEOUT_S + HARDLY_ANY_S):
            await diary.until(lambda: diary.ended)
        assert diary.ended[0].end is SessionEnd.DEAD_PEER
        await alice.wait_ready()
        assert diary.logins[1:] == [(Kind.RESUME, Intent.FOREGROUND)]
        await alice.send("alice", "back")
        assert (await alice.next_message()).body == "back"
        assert len(world.server.core.presence) == 1


@virtually
async def test_a_message_finds_it_sooner() -> None:
    """A user who has sent something should not wait for the next keepalive."""
    diary = Diary()
    async with virtual_world(seed=1, link=AT_ONCE, keepalive_s=3600) as world:
        alice = await opened(world, "alice", diary)
        alice.radio.handover(silently=True)
        alice.post("alice", "hello?")
        with trio.fail_after(PATIENCE_S + PONG_TIMEOUT_S + HARDLY_ANY_S):
            await diary.until(lambda: diary.ended)
        assert diary.ended[0].end is SessionEnd.DEAD_PEER
        await alice.wait_sent()
        assert (await alice.next_message()).body == "hello?"
        assert alice.duplicates == 0


@virtually
async def test_opening_the_app_asks_at_once() -> None:
    diary = Diary()
    async with virtual_world(seed=1, link=AT_ONCE, keepalive_s=3600) as world:
        alice = await opened(world, "alice", diary)
        await alice.leave_app()
        alice.radio.handover(silently=True)
        with trio.fail_after(PONG_TIMEOUT_S + HARDLY_ANY_S):
            await alice.open_app()
        assert diary.logins[1:] == [(Kind.RESUME, Intent.FOREGROUND)]
        assert len(world.server.core.presence) == 1


@virtually
async def test_a_network_that_comes_and_goes() -> None:
    """An hour of outages of all kinds while two phones write to each other: all is there, once."""
    count = 60
    bodies = [f"{number}" for number in range(count)]
    async with (
        virtual_world(seed=1, link=AT_ONCE, keepalive_s=KEEPALIVE_S) as world,
        trio.open_nursery() as nursery,
    ):
        alice, bob = await opened(world, "alice"), await opened(world, "bob")

        async def write(device: Device, to: str) -> None:
            for body in bodies:
                device.post(to, body)
                await trio.sleep(60)

        async def break_things() -> None:
            for number in range(count):
                device = (alice, bob)[number % 2]
                device.radio.cut(silently=number % 3 == 0)
                await trio.sleep(7 * (number % 5))
                device.radio.restore()
                await trio.sleep(20)
                device.radio.handover(silently=number % 2 == 0)
                await trio.sleep(15)

        nursery.start_soon(write, alice, "bob")
        nursery.start_soon(write, bob, "alice")
        nursery.start_soon(break_things)
        for device in (alice, bob):
            assert [(await device.next_message()).body for _ in bodies] == bodies
        await alice.wait_sent()
        await bob.wait_sent()
        assert alice.inbox == bob.inbox == ()
        assert world.server.count("stored") == 2 * count


async def listened_s(world: World, at_once: bytes, trickle: bytes) -> float:
    """Say something in one go and the rest a byte a second; how long until the server closes."""
    began = trio.current_time()
    stream = await world.network.connect(world.network.link(AT_ONCE), Intent.FOREGROUND)

    async def speak() -> None:
        await stream.send_all(at_once)
        for byte in trickle:
            await stream.send_all(bytes([byte]))
            await trio.sleep(1.0)

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        while await stream.receive_some():
            pass
        nursery.cancel_scope.cancel()
    assert not world.server.core.sessions
    return trio.current_time() - began


@virtually
async def test_a_slow_trickle() -> None:
    """Every byte a sign of life, but the whole hello has to come in time."""
    async with virtual_world(seed=1) as world:
        waited_s = await listened_s(world, b"HWNG", b"\1BFF" + bytes(500))
        assert HELLO_TIMEOUT_S <= waited_s <= HELLO_TIMEOUT_S + 2 * TICK_S
        assert world.server.count("hello_timeout") == 1


@virtually
async def test_a_hello_that_says_nothing() -> None:
    """The kernel keeps it to itself for DEFER_ACCEPT_S, in case something comes."""
    async with virtual_world(seed=1) as world:
        waited_s = await listened_s(world, b"", b"")
        expected_s = DEFER_ACCEPT_S + HELLO_TIMEOUT_S
        assert expected_s <= waited_s <= expected_s + 2 * TICK_S


@virtually
async def test_a_trickle_behind_a_hello() -> None:
    """A hello seen on the path, then a record byte by byte: it proves nothing in time."""
    async with virtual_world(seed=1) as world:
        key = world.server.keys.public
        enrol = EnrolWith(key, Enrol("alice", PASSWORD, "phone", bytes(32)))
        seen = ClientConnection(enrol, Attempt(Intent.FOREGROUND), random.Random(1).randbytes)
        waited_s = await listened_s(world, seen.data_to_send(), b"\x40\0" + bytes(500))
        assert PROOF_TIMEOUT_S <= waited_s <= PROOF_TIMEOUT_S + 2 * TICK_S
        assert world.server.count("proof_timeout") == 1


@within(30)
async def test_on_real_sockets(folder: Path) -> None:
    """A proxy lets nothing through and tells nobody. With the shortest keepalive that there is."""
    diary = Diary()
    async with (
        running_server(folder, keepalive_s=1) as server,
        proxy_to(server.network) as proxy,
        phone(server, "alice", network=proxy.network, observer=diary) as alice,
    ):
        proxy.hold_everything()
        await proxy.wait_held(Direction.TO_PHONE)
        assert await server.count("ended.idle") == 1
        assert await server.count("now.sessions") == 0
        alice.post("alice", "hello?")
        await diary.until(lambda: diary.ended)
        assert diary.ended[0].end is SessionEnd.DEAD_PEER
        proxy.let_pass()
        await alice.wait_sent()
        assert (await alice.next_message()).body == "hello?"
