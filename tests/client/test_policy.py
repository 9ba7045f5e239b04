"""A phone does what the server's last Welcome asked of it, in virtual time."""

import trio
from tests.client.fakeserver import FakeServer, HangUp, bodies, open_server
from trio.testing import MockClock

from hwangso_client.backoff import NoJitter
from hwangso_client.config import LinkState
from hwangso_client.device import Device
from hwangso_client.link import HELD_AFTER_S
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.messages import Foreground, Message, More, Ping, Policy, Received, Sync

CALM = Policy(keepalive_ms=60_000, backoff_base_ms=500, backoff_cap_ms=16_000)
EMERGENCY = Policy(
    keepalive_ms=240_000, backoff_base_ms=2_000, backoff_cap_ms=10_000, background_sync=False
)


async def connect(server: FakeServer, phone: Device, policy: Policy) -> float:
    """A session that has held, in the background; gives when it was ready."""
    server.policy = policy
    phone.wake()
    await phone.wait_ready()
    ready_at = trio.current_time()
    await trio.sleep(HELD_AFTER_S)
    return ready_at


async def cut(server: FakeServer, phone: Device) -> float:
    (await server.online("alice")).cut()
    await phone.wait_state(LinkState.WAITING)
    return trio.current_time()


def seen(server: FakeServer, kind: type[Message]) -> list[float]:
    return [seen.at for seen in server.messages if isinstance(seen.message, kind)]


# Keepalive


async def test_the_keepalive_follows_each_welcome(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        ready_at = await connect(server, phone, CALM)
        await trio.sleep(60)
        first_s = seen(server, Ping)[0] - ready_at
        server.policy = EMERGENCY
        await cut(server, phone)
        await phone.wait_ready()
        ready_at = trio.current_time()
        server.messages.clear()
        await trio.sleep(240)
        assert 45 <= first_s <= 60
        assert round(seen(server, Ping)[0] - ready_at, 6) == round(4 * first_s, 6), "the same phase"


async def test_phones_made_at_once_ping_apart_and_a_restart_does_not_change_that(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server:
        profiles = [MemoryProfile(), MemoryProfile()]

        async def first_ping_s(profile: MemoryProfile) -> float:
            async with server.phone("alice", profile=profile) as phone:
                ready_at = await connect(server, phone, CALM)
                server.messages.clear()
                await trio.sleep(60)
                return round(seen(server, Ping)[0] - ready_at, 6)

        before = [await first_ping_s(profile) for profile in profiles]
        after = [await first_ping_s(profile) for profile in profiles]
        assert abs(before[0] - before[1]) > 0.5
        assert after == before


# Back-off


async def test_base_and_cap_follow_each_welcome_at_once(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice", backoff=NoJitter()) as phone:
        await connect(server, phone, CALM)
        for later, waits in ((EMERGENCY, [0.5, 1, 2]), (CALM, [2, 4, 8])):
            server.policy = later
            server.answers.extend([HangUp(), HangUp()])
            at = await cut(server, phone)
            await phone.wait_ready()
            for hello, wait_s in zip(server.hellos[-3:], waits, strict=True):
                at += wait_s
                assert hello.at == at
            await trio.sleep(HELD_AFTER_S)


async def test_a_policy_is_kept_through_a_restart(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile) as phone:
            await connect(server, phone, EMERGENCY)
        async with server.phone("alice", profile=profile, backoff=NoJitter()) as phone:
            start = trio.current_time()
            server.answers.extend(4 * [HangUp()])
            phone.wake()
            await phone.wait_ready()
            assert [hello.at - start for hello in server.hellos[1:]] == [0, 2, 6, 14, 24]


# Background sync


async def missing_three(server: FakeServer, phone: Device) -> None:
    """A phone in the background, welcomed in an emergency, that has missed three messages."""
    server.counts_only = True
    await connect(server, phone, EMERGENCY)
    await cut(server, phone)
    server.put("alice", "one", "two", "three")
    await phone.wait_ready()
    await trio.sleep(1_000)
    assert phone.missed == 3
    assert (server.sent(Sync), phone.inbox) == ([], ())


async def test_in_an_emergency_a_phone_in_the_background_is_content_with_a_number(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await missing_three(server, phone)
        assert server.sent(Received) == []
        assert phone.link_state is LinkState.READY


async def test_when_the_app_is_opened_it_asks_at_once(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await missing_three(server, phone)
        opened_at = trio.current_time()
        await phone.open_app()
        assert [(await phone.next_message()).body for _ in range(3)] == ["one", "two", "three"]
        assert (trio.current_time(), phone.missed) == (opened_at, 0)
        told = [seen.message for seen in server.messages if seen.at == opened_at]
        assert told[:2] == [Foreground(), Sync(0)], "the server hears first who asks"
        server.put("alice", "four")
        assert (await phone.next_message()).body == "four", "pushed again"


async def test_an_app_that_was_opened_and_left_asks_on(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.page_limit = 1
        await missing_three(server, phone)
        phone.radio.latency_s = 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.open_app)
            await trio.sleep(2.5)
            await phone.leave_app()
            nursery.cancel_scope.cancel()
        await trio.sleep(20)
        assert bodies(tuple(phone.inbox)) == ["one", "two", "three"]


async def test_a_user_who_connects_gets_the_messages_with_the_welcome(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.counts_only = True
        await connect(server, phone, EMERGENCY)
        await phone.kill_app()
        server.put("alice", "one", "two")
        await phone.open_app()
        assert bodies(tuple(phone.inbox)) == ["one", "two"]


async def test_an_app_on_the_screen_gets_what_it_missed_in_an_emergency_too(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.counts_only = True
        server.policy = EMERGENCY
        await phone.open_app()
        await trio.sleep(HELD_AFTER_S)
        await cut(server, phone)
        server.put("alice", "one", "two")
        await phone.wait_ready()
        assert server.intents()[-1] == ("RESUME", "FG")
        assert [(await phone.next_message()).body for _ in range(2)] == ["one", "two"]


async def test_more_is_the_servers_word_that_the_phone_may_ask(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await missing_three(server, phone)
        server.session_of("alice").send(More(3))
        assert [(await phone.next_message()).body for _ in range(3)] == ["one", "two", "three"]


async def test_the_next_welcome_decides_anew(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await missing_three(server, phone)
        await cut(server, phone)
        await phone.wait_ready()
        await trio.sleep(1_000)
        assert (phone.missed, server.sent(Sync)) == (3, [])
        server.policy = CALM
        await cut(server, phone)
        await phone.wait_ready()
        assert [(await phone.next_message()).body for _ in range(3)] == ["one", "two", "three"]


async def test_nothing_is_lost_or_out_of_order_through_many_emergencies(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone, CALM)
        for number in range(60):
            server.put("alice", str(number))
            await trio.sleep(20)
            match number % 6:
                case 0:
                    server.counts_only, server.policy = True, EMERGENCY
                    await cut(server, phone)
                case 2:
                    await phone.open_app()
                case 3:
                    await phone.leave_app()
                case 4:
                    server.counts_only, server.policy = False, CALM
                    await cut(server, phone)
                case _:
                    await phone.wait_ready()
        await phone.wait_ready()
        await trio.sleep(20)
        assert bodies(tuple(phone.inbox)) == [str(number) for number in range(60)]
        assert (phone.missed, phone.duplicates) == (0, 0)
