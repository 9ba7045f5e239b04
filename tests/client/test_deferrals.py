"""How a phone keeps the slot that a server in an emergency gave it, in virtual time."""

import pytest
import trio
from tests.client.fakeserver import (
    DeferFor,
    FakeServer,
    HangUp,
    RefuseWith,
    Scripted,
    Silence,
    open_server,
    wall_clock,
)
from trio.testing import MockClock

from hwangso_client.backoff import NoJitter
from hwangso_client.config import LinkState
from hwangso_client.device import Device
from hwangso_client.events import AppReady, AttemptEnded, DeviceEvent, Outcome
from hwangso_client.link import HELD_AFTER_S
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.answer import RefuseReason

HOUR_S = 3_600.0


async def defer(server: FakeServer, phone: Device, *answers: Scripted) -> float:
    """Cut the phone's session and put it off; gives when that was. What follows the session is
    without chance where the phone has no jitter: 1 s of back-off, and then the slot."""
    phone.wake()
    await phone.wait_ready()
    await trio.sleep(HELD_AFTER_S)
    server.answers.extend(answers)
    (await server.online("alice")).cut()
    await phone.wait_state(LinkState.WAITING)
    await phone.wait_state(LinkState.CONNECTING)
    await phone.wait_state(LinkState.WAITING)
    assert server.intents()[-1] == ("RESUME", "BG")
    return trio.current_time()


def hellos_since(server: FakeServer, start: float) -> list[tuple[float, str, bytes]]:
    """Those after `start`: seconds later, intent, deferral ticket."""
    return [
        (round(hello.at - start, 3), hello.intent.tag, hello.deferral_ticket)
        for hello in server.hellos
        if hello.at > start
    ]


# The slot


@pytest.mark.parametrize(
    ("wait_s", "after_s"), [(0.0, 0.05), (0.5, 0.5), (42.5, 42.5), (42.501, 42.501), (3_000, 3_000)]
)
async def test_a_slot_is_kept_to_within_100_ms(
    autojump_clock: MockClock, wait_s: float, after_s: float
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(wait_s, b"slot"))
        assert (server.hellos[-1].deferral_ticket, server.hellos[-1].attempt) == (b"", 1)
        await phone.wait_ready()
        assert hellos_since(server, start) == [(after_s, "BG", b"slot")]
        assert server.hellos[-1].attempt == 2


async def test_a_device_says_when_it_comes_back(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        assert phone.next_attempt_at is None, "the app is closed"
        start = await defer(server, phone, DeferFor(42.5, b"slot"))
        assert phone.next_attempt_at == pytest.approx(start + 42.5)
        phone.radio.airplane_mode = True
        assert phone.next_attempt_at is None, "nobody knows when there is service again"
        phone.radio.airplane_mode = False
        assert phone.next_attempt_at == pytest.approx(start + 42.5)
        await phone.wait_ready()
        assert phone.next_attempt_at is None


async def test_a_slot_does_not_depend_on_the_failures_before_it(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice", backoff=NoJitter()) as phone:
        server.answers.extend([HangUp(), HangUp(), HangUp(), DeferFor(20, b"slot"), HangUp()])
        phone.wake()
        await phone.wait_ready()
        assert [hello.at for hello in server.hellos] == [0, 1, 3, 7, 27, 35], "1, 2, 4, slot, 8"


async def test_each_deferral_is_kept_and_its_ticket_replaces_the_last(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(
            server, phone, DeferFor(100, b"1"), DeferFor(7, b"2"), DeferFor(3, b"3")
        )
        await phone.wait_ready()
        assert hellos_since(server, start) == [
            (100, "BG", b"1"),
            (107, "BG", b"2"),
            (110, "BG", b"3"),
        ]


async def test_a_deferral_that_anybody_may_have_forged_is_short(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(10_000, b"forged", authentic=False))
        await phone.wait_ready()
        assert hellos_since(server, start) == [(30, "BG", b"forged")]


async def test_a_forged_deferral_at_the_slot_costs_no_more_than_its_wait(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        forged = DeferFor(10_000, b"forged", authentic=False)
        start = await defer(server, phone, DeferFor(600, b"slot"), forged)
        await phone.wait_ready()
        assert hellos_since(server, start) == [(600, "BG", b"slot"), (630, "BG", b"slot")]


@pytest.mark.parametrize("authentic", [True, False])
async def test_a_server_that_says_now_without_end_is_not_asked_without_end(
    autojump_clock: MockClock, authentic: bool
) -> None:
    async with open_server() as server, server.phone("alice", backoff=NoJitter()) as phone:
        now = [DeferFor(0.0, b"now", authentic=authentic)] * 20
        start = await defer(server, phone, *now)
        await trio.sleep(60)
        came_at = [at for at, _, _ in hellos_since(server, start)]
        if authentic:
            assert came_at == pytest.approx([0.05, 0.1, 0.15, 2.15, 6.15, 14.15, 30.15])
        else:
            assert came_at == [2, 6, 14, 30]


async def test_deferrals_are_reported_with_their_wait_and_intended_start(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.answers.append(DeferFor(20))
        phone.wake()
        await phone.wait_ready()
        first, second = [event for event in events if isinstance(event, AttemptEnded)]
        assert (first.outcome, first.detail, first.wait_s) == (Outcome.DEFERRED, "busy", 20)
        assert second.attempt.intended_at == first.ended_at + 20
        assert second.attempt.started_at == second.attempt.intended_at


# A phone does not come back early by itself


async def test_a_push_does_not_bring_it_back_early(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"))
        for _ in range(5):
            await trio.sleep(20)
            await phone.kill_app()
            await trio.sleep(20)
            phone.wake()
        await phone.wait_ready()
        assert hellos_since(server, start) == [(600, "BG", b"slot")]


@pytest.mark.parametrize("outage", ["cut", "silent cut", "airplane", "handover"])
async def test_a_radio_that_comes_and_goes_does_not_bring_it_back_early(
    autojump_clock: MockClock, outage: str
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"))
        await trio.sleep(200)
        match outage:
            case "airplane":
                phone.radio.airplane_mode = True
            case "handover":
                phone.radio.handover()
            case _:
                phone.radio.cut(silently=outage == "silent cut")
        await trio.sleep(300)
        phone.radio.airplane_mode = False
        phone.radio.restore()
        await phone.wait_ready()
        assert hellos_since(server, start) == [(600, "BG", b"slot")]


async def test_phones_whose_slots_pass_in_an_outage_come_back_by_their_back_off(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice", backoff=NoJitter()) as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"))
        phone.radio.cut(silently=False)
        await trio.sleep(900)
        phone.radio.restore()
        await phone.wait_ready()
        assert hellos_since(server, start) == [(901, "BG", b"slot")]


async def test_a_user_who_comes_and_goes_in_vain_leaves_the_slot(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"), Silence())
        await trio.sleep(100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.open_app)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await phone.leave_app()
        await phone.wait_ready()
        assert hellos_since(server, start) == [(100, "FG", b"slot"), (600, "BG", b"slot")]


async def test_a_user_who_swipes_the_app_away_leaves_the_slot(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"), Silence())
        await trio.sleep(100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.open_app)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await phone.kill_app()
        phone.wake()
        await phone.wait_ready()
        assert hellos_since(server, start) == [(100, "FG", b"slot"), (600, "BG", b"slot")]


# A user who opens the app does not wait


async def test_opening_the_app_cancels_the_wait_and_takes_the_ticket_along(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"))
        await trio.sleep(100)
        await phone.open_app()
        assert trio.current_time() == start + 100
        await trio.sleep(1_000)
        assert hellos_since(server, start) == [(100, "FG", b"slot")], "nobody comes for the slot"


async def test_after_the_users_session_the_deferral_is_forgotten(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice", backoff=NoJitter()) as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"))
        await phone.open_app()
        await phone.leave_app()
        await trio.sleep(50)
        (await server.online("alice")).cut()
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        assert hellos_since(server, start) == [(51, "BG", b"")]
        assert server.hellos[-1].attempt == 1


async def test_a_user_in_a_shield_keeps_a_short_slot_and_stays_foreground(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        start = await defer(server, phone, DeferFor(600, b"1"), DeferFor(3, b"2"), DeferFor(1.5))
        await trio.sleep(10)
        await phone.open_app()
        assert hellos_since(server, start) == [
            (10, "FG", b"1"),
            (13, "FG", b"2"),
            (14.5, "FG", b"deferral"),
        ]
        (ready,) = [event for event in events if isinstance(event, AppReady)]
        assert (ready.intended_at, ready.ready_at) == (start + 10, start + 14.5)


async def test_a_user_is_not_refused_into_the_slot_of_before(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        refusal = RefuseWith(RefuseReason.FULL)
        start = await defer(server, phone, DeferFor(600, b"slot"), refusal, refusal)
        await trio.sleep(10)
        await phone.open_app()
        assert trio.current_time() - start <= 10 + 1 + 2
        assert [hello[1:] for hello in hellos_since(server, start)] == 3 * [("FG", b"slot")]


# Restarts


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.set_by_s = 0.0

    def __call__(self) -> float:
        return wall_clock() + self.set_by_s


async def test_a_slot_is_kept_through_a_restart_and_a_push(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile) as phone:
            start = await defer(server, phone, DeferFor(600, b"slot"))
            await trio.sleep(100)
        await trio.sleep(50)
        async with server.phone("alice", profile=profile) as phone:
            phone.wake()
            await phone.wait_ready()
            assert hellos_since(server, start) == [(600, "BG", b"slot")]


async def test_a_phone_that_was_off_at_its_slot_comes_when_it_is_on(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile) as phone:
            start = await defer(server, phone, DeferFor(600, b"slot"))
        await trio.sleep(5_000)
        async with server.phone("alice", profile=profile) as phone:
            phone.wake()
            await phone.wait_ready()
            assert hellos_since(server, start) == [(5_000, "BG", b"slot")]


async def test_after_a_restart_a_user_does_not_wait_either(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile) as phone:
            start = await defer(server, phone, DeferFor(600, b"slot"))
            await trio.sleep(100)
        async with server.phone("alice", profile=profile) as phone:
            await phone.open_app()
            assert hellos_since(server, start) == [(100, "FG", b"slot")]


@pytest.mark.parametrize(
    ("set_by_s", "after_s"),
    [
        (-24 * HOUR_S, 100 + 600),
        (-300, 100 + 600),
        (-60, 660),
        (60, 540),
        (24 * HOUR_S, 100),
    ],
)
async def test_a_clock_that_was_set_while_the_phone_was_off_makes_the_wait_no_longer(
    autojump_clock: MockClock, set_by_s: float, after_s: float
) -> None:
    clock = Clock()
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile, wall_clock=clock) as phone:
            start = await defer(server, phone, DeferFor(600, b"slot"))
            await trio.sleep(100)
        clock.set_by_s = set_by_s
        async with server.phone("alice", profile=profile, wall_clock=clock) as phone:
            phone.wake()
            await phone.wait_ready()
            assert [(at, ticket) for at, _, ticket in hellos_since(server, start)] == [
                (after_s, b"slot")
            ]


async def test_a_clock_that_is_set_while_the_phone_runs_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    clock = Clock()
    async with open_server() as server, server.phone("alice", wall_clock=clock) as phone:
        start = await defer(server, phone, DeferFor(600, b"slot"))
        clock.set_by_s = -24 * HOUR_S
        await phone.wait_ready()
        assert hellos_since(server, start) == [(600, "BG", b"slot")]


async def test_a_forged_deferral_is_short_after_a_restart_too(autojump_clock: MockClock) -> None:
    clock = Clock()
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile, wall_clock=clock) as phone:
            start = await defer(server, phone, DeferFor(10_000, b"forged", authentic=False))
        clock.set_by_s = -24 * HOUR_S
        async with server.phone("alice", profile=profile, wall_clock=clock) as phone:
            phone.wake()
            await phone.wait_ready()
            assert hellos_since(server, start) == [(30, "BG", b"forged")]
