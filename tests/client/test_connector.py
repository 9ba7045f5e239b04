"""How a phone keeps itself connected: reconnects, deferrals, refusals, radio; in virtual time."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
import trio
from tests.client.fakeserver import (
    Admit,
    DeferFor,
    DenyWith,
    FakeServer,
    Garble,
    HangUp,
    HangUpAfterAnswer,
    RefuseWith,
    Scripted,
    Silence,
    bodies,
    open_server,
)
from trio.testing import MockClock

from hwangso_client.attempt import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from hwangso_client.backoff import NoJitter
from hwangso_client.config import DeviceConfig, LinkState
from hwangso_client.device import Device
from hwangso_client.errors import DeviceStopped
from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    DeviceEvent,
    Outcome,
    SessionEnd,
    SessionEnded,
)
from hwangso_client.keepalive import PONG_TIMEOUT_S
from hwangso_client.link import HELD_AFTER_S
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ByeReason, ErrorCode, Policy, Received


def ended(events: Sequence[DeviceEvent]) -> list[AttemptEnded]:
    return [event for event in events if isinstance(event, AttemptEnded)]


def outcomes(events: Sequence[DeviceEvent]) -> list[tuple[Outcome, str]]:
    return [(event.outcome, event.detail) for event in ended(events)]


def session_ends(events: Sequence[DeviceEvent]) -> list[tuple[SessionEnd, str]]:
    return [(event.end, event.detail) for event in events if isinstance(event, SessionEnded)]


class Upper(Random):
    """Draws the upper end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return b


async def connect_by_itself(server: FakeServer, phone: Device) -> None:
    """Enrolled, and connected in the background for long enough that the session has held."""
    phone.wake()
    await phone.wait_ready()
    await trio.sleep(HELD_AFTER_S)


# Reconnects


async def test_after_a_cut_it_resumes_in_the_background_by_back_off(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect_by_itself(server, phone)
        cut_at = trio.current_time()
        (await server.online("alice")).cut()
        server.put("alice", "missed")
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        again = server.hellos[-1]
        assert (again.kind, again.intent, again.lane) == (
            Kind.RESUME,
            Intent.BACKGROUND,
            Intent.BACKGROUND,
        )
        assert cut_at + 1.0 < again.at <= cut_at + 3.0, "from the base to three times as long"
        assert again.attempt == 1
        assert (await phone.next_message()).body == "missed"


async def test_a_cut_while_the_app_is_on_the_screen_leaves_somebody_waiting(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await phone.open_app()
        await trio.sleep(HELD_AFTER_S)
        cut_at = trio.current_time()
        (await server.online("alice")).cut()
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        again = server.hellos[-1]
        assert (again.intent, again.lane) == (Intent.FOREGROUND, Intent.FOREGROUND)
        assert cut_at < again.at <= cut_at + 1.0, "a server cuts many together"
        ready = [event for event in events if isinstance(event, AppReady)]
        assert [event.intended_at for event in ready] == [0, cut_at]
        await phone.leave_app()
        (await server.online("alice")).cut()
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        assert server.intents()[-1] == ("RESUME", "BG")


async def test_a_server_that_drops_people_is_not_tried_faster_and_faster(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        for _ in range(30):
            (await server.online("alice")).cut()
            await phone.wait_state(LinkState.WAITING)
            await phone.wait_ready()
        assert trio.current_time() > 15, "half a second on average at first, and then a second"


async def test_each_resume_takes_a_new_ticket(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect_by_itself(server, phone)
        for _ in range(5):
            old = set(server.tickets)
            (await server.online("alice")).cut()
            await phone.wait_state(LinkState.WAITING)
            await phone.wait_ready()
            for ticket in old:
                del server.tickets[ticket]
        assert server.intents() == [("ENROL", "BG")] + 5 * [("RESUME", "BG")]


async def test_attempts_thin_out_while_the_server_is_away(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        server.reachable = False
        (await server.online("alice")).cut()
        away_at = trio.current_time()
        await trio.sleep(3_600)
        attempts = [e for e in events if isinstance(e, AttemptStarted)][1:]
        gaps = [late.started_at - early.started_at for early, late in pairwise(attempts)]
        assert 60 < len(attempts) < 120, "on average one in 35 s to 45 s, at least one in 60 s"
        assert round(max(gaps), 6) <= 60
        assert max(gaps[:2]) <= 27
        assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
        assert attempts[0].started_at - away_at <= 3
        assert {attempt.intent for attempt in attempts} == {Intent.BACKGROUND}
        assert phone.last_failure == "connect failed: connection refused"


async def test_a_server_that_drops_its_phones_at_once_is_given_time(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect_by_itself(server, phone)
        (await server.online("alice")).cut()
        server.answers.extend([HangUpAfterAnswer()] * 12)
        await trio.sleep(700)
        assert server.hellos[11].at - server.hellos[6].at > 30, "no reset on a mere Welcome"
        assert server.hellos[12].attempt == 12


@pytest.mark.parametrize(
    "reason", [ByeReason.SHUTTING_DOWN, ByeReason.IDLE, ByeReason.SLOW_READER, ByeReason.OTHER]
)
async def test_after_a_bye_it_comes_back_by_itself(
    autojump_clock: MockClock, reason: ByeReason
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        (await server.online("alice")).say_bye(reason)
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        assert server.intents()[-1] == ("RESUME", "BG")
        assert session_ends(events) == [(SessionEnd.BYE, reason.value)]


async def test_two_phones_with_one_key_do_not_fight(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile) as first:
            await first.open_app()
            copy = MemoryProfile(profile.state)
            async with server.phone("alice", profile=copy) as second:
                await second.open_app()
                await first.wait_state(LinkState.OFF)
                first.wake()
                await trio.sleep(10_000)
                assert (first.link_state, second.link_state) == (LinkState.OFF, LinkState.READY)
                await first.open_app()
                await second.wait_state(LinkState.OFF)


async def test_a_revoked_phone_stops(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        (await server.online("alice")).say_bye(ByeReason.REVOKED)
        with pytest.raises(DeviceStopped, match="device_revoked"):
            await phone.next_message()


# Open the app while it waits


async def test_opening_the_app_cancels_a_back_off(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.reachable = False
        phone.wake()
        await trio.sleep(500)
        await phone.wait_state(LinkState.WAITING)
        server.reachable = True
        opened_at = trio.current_time()
        await phone.open_app()
        assert server.hellos[0].at == opened_at
        assert server.intents() == [("ENROL", "FG")]
        assert server.hellos[0].attempt > 5


async def test_opening_the_app_takes_over_from_a_background_attempt(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.answers.append(Silence())
        phone.wake()
        await trio.sleep(2)
        await phone.open_app()
        assert [(hello.at, hello.intent.tag) for hello in server.hellos] == [(0, "BG"), (2, "FG")]
        assert outcomes(events) == [(Outcome.ABANDONED, ""), (Outcome.WELCOMED, "")]


async def test_opening_the_app_twice_does_not_disturb_a_foreground_attempt(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        phone.radio.latency_s = 1
        with trio.move_on_after(3.5):
            await phone.open_app()
        assert len(server.hellos) == 1
        await phone.leave_app()
        await phone.open_app()
        await phone.open_app()
        assert len(server.hellos) == 1


async def test_a_user_who_waits_stays_foreground_through_failures(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.answers.extend([HangUp(), RefuseWith(RefuseReason.FULL), DeferFor(20, b"short")])
        await phone.open_app()
        assert server.intents() == 4 * [("ENROL", "FG")]
        assert server.hellos[3].at - server.hellos[2].at == 20
        (ready,) = [event for event in events if isinstance(event, AppReady)]
        assert (ready.intended_at, ready.ready_at) == (0, trio.current_time())


async def test_a_user_who_waits_is_tried_for_every_few_seconds(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice", rng=Upper()) as phone:
        server.answers.extend(5 * [Silence()])
        await phone.open_app()
        tries = [(hello.at, hello.intent.tag) for hello in server.hellos]
        assert tries == [(0, "FG"), (6, "FG"), (13, "FG"), (20, "FG"), (27, "FG"), (34, "FG")]


async def test_a_user_who_gives_up_leaves_the_back_off_of_a_phone_by_itself(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_server() as server,
        server.phone("alice", backoff=NoJitter(), rng=Upper()) as alice,
    ):
        server.answers.extend(5 * [Silence()])
        with trio.move_on_after(14):
            await alice.open_app()
        await alice.leave_app()
        await alice.wait_ready()
        tries = [(hello.at, hello.intent.tag) for hello in server.hellos]
        assert tries == [(0, "FG"), (6, "FG"), (13, "FG"), (19, "BG"), (26, "BG"), (35, "BG")]


def impatient(config: DeviceConfig) -> DeviceConfig:
    return dataclasses.replace(config, connect_timeout_s=1, answer_timeout_s=1)


async def test_an_impatient_phone_keeps_its_bounds_and_its_slots(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with (
        open_server() as server,
        server.phone("alice", events=events, config=impatient, backoff=NoJitter()) as phone,
    ):
        server.policy = Policy(60_000, 100, 1_000)
        await connect_by_itself(server, phone)
        server.answers.extend([Silence(), Silence(), DeferFor(20), Silence(), Admit()])
        session = await server.online("alice")
        start = trio.current_time()
        session.cut()
        await trio.sleep(200)
        assert [
            (round(e.attempt.started_at - start, 3), e.outcome, round(e.ended_at - start, 3))
            for e in ended(events)[1:]
        ] == [
            (0.1, Outcome.ANSWER_TIMEOUT, 1.1),
            (1.3, Outcome.ANSWER_TIMEOUT, 2.3),
            (2.7, Outcome.DEFERRED, 2.7),
            (22.7, Outcome.ANSWER_TIMEOUT, 23.7),
            (24.5, Outcome.WELCOMED, 24.5),
        ]


async def test_an_impatient_phone_does_not_wait_for_a_connection_either(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with (
        open_server() as server,
        server.phone("alice", events=events, config=impatient, backoff=NoJitter()) as phone,
    ):
        phone.radio.cut()
        phone.wake()
        await trio.sleep(4.5)
        phone.radio.restore()
        await phone.wait_ready()
        times = [(e.attempt.started_at, e.outcome, e.ended_at) for e in ended(events)]
        assert times == [
            (0, Outcome.CONNECT_TIMEOUT, 1),
            (2, Outcome.CONNECT_TIMEOUT, 3),
            (5, Outcome.WELCOMED, 5),
        ]


async def test_opening_a_warm_app_on_a_dead_connection_finds_out_and_reconnects(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        phone.radio.handover(silently=True)
        assert phone.link_state is LinkState.READY, "nobody has told the phone"
        opened_at = trio.current_time()
        await phone.open_app()
        assert trio.current_time() == opened_at + PONG_TIMEOUT_S
        assert server.intents()[-1] == ("RESUME", "FG")
        assert session_ends(events) == [(SessionEnd.DEAD_PEER, "no answer to a ping")]
        (ready,) = [event for event in events if isinstance(event, AppReady)]
        assert ready.ready_at - ready.intended_at == PONG_TIMEOUT_S


# Answers and failures


async def test_a_ticket_from_another_key_falls_back_to_login(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        server.tickets.clear()
        (await server.online("alice")).cut()
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        assert [kind for kind, _ in server.intents()] == ["ENROL", "RESUME", "LOGIN"]
        assert (Outcome.REFUSED, "ticket_invalid") in outcomes(events)


async def test_a_user_gets_the_login_at_once(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        await phone.kill_app()
        server.tickets.clear()
        await phone.open_app()
        assert trio.current_time() == 0
        assert server.intents()[1:] == [("RESUME", "FG"), ("LOGIN", "FG")]


async def test_a_garbled_answer_to_a_resume_falls_back_to_login(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        server.answers.append(Garble())
        (await server.online("alice")).cut()
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        assert [kind for kind, _ in server.intents()] == ["ENROL", "RESUME", "LOGIN"]
        assert outcomes(events)[1][0] is Outcome.FAULT


async def test_an_expired_ticket_is_not_even_tried(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.ticket_lifetime_s = 100
        await phone.open_app()
        await phone.kill_app()
        await trio.sleep(101)
        await phone.open_app()
        assert [kind for kind, _ in server.intents()] == ["ENROL", "LOGIN"]


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
    [
        (HangUp(), Outcome.LOST, "the server closed the connection"),
        (Silence(), Outcome.ANSWER_TIMEOUT, "no answer within 5 s"),
        (RefuseWith(RefuseReason.FULL), Outcome.REFUSED, "full"),
        (RefuseWith(RefuseReason.UNKNOWN_VERSION), Outcome.REFUSED, "unknown_version"),
        (DenyWith(ErrorCode.BUSY), Outcome.DENIED, "busy"),
    ],
)
async def test_failures_are_tried_again(
    autojump_clock: MockClock, answer: Scripted, outcome: Outcome, detail: str
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        server.answers.extend([answer, answer])
        (await server.online("alice")).cut()
        await phone.wait_state(LinkState.WAITING)
        await phone.wait_ready()
        assert outcomes(events)[1:] == [
            (outcome, detail),
            (outcome, detail),
            (Outcome.WELCOMED, ""),
        ]
        assert [kind for kind, _ in server.intents()] == ["ENROL", "RESUME", "RESUME", "RESUME"]


async def test_a_hint_when_to_come_back_is_followed(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.answers.append(RefuseWith(RefuseReason.UNAVAILABLE, 12.5))
        phone.wake()
        await phone.wait_ready()
        assert 12.5 + 6.25 <= server.hellos[1].at <= 12.5 + 18.75, "spread as the hint is long"


@pytest.mark.parametrize(
    "code", [ErrorCode.DEVICE_UNKNOWN, ErrorCode.DEVICE_REVOKED, ErrorCode.USER_DISABLED]
)
async def test_final_answers_stop_the_phone(autojump_clock: MockClock, code: ErrorCode) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect_by_itself(server, phone)
        server.answers.append(DenyWith(code))
        (await server.online("alice")).cut()
        with pytest.raises(DeviceStopped, match=code.value):
            await phone.next_message()
        await trio.sleep(10_000)
        assert len(server.hellos) == 2


async def test_a_wait_for_an_answer_is_bounded(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.answers.append(Silence())
        phone.wake()
        await phone.wait_ready()
        first = ended(events)[0]
        assert first.ended_at - first.attempt.started_at == ANSWER_TIMEOUT_S


async def test_an_enrolment_may_take_longer(autojump_clock: MockClock) -> None:
    """Its answer waits for a password to be hashed."""
    async with open_server() as server, server.phone("alice") as phone:
        server.enrol_takes_s = 50
        await phone.open_app()
        assert trio.current_time() == 50
        assert len(server.hellos) == 1


async def test_a_lost_answer_to_an_enrolment_makes_no_second_device(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.lose_answers = True
        phone.wake()
        await phone.wait_state(LinkState.CONNECTING)
        await phone.wait_state(LinkState.WAITING)
        server.put("alice", "sent in between")
        server.lose_answers = False
        await phone.wait_ready()
        assert [kind for kind, _ in server.intents()] == ["ENROL", "ENROL"]
        assert len(server.devices) == 1
        assert (await phone.next_message()).body == "sent in between"


# The inbox, across sessions


async def test_a_new_phone_begins_where_it_enrolled(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.put("alice", "history")
        async with server.phone("alice") as phone:
            await phone.open_app()
            server.put("alice", "news")
            assert (await phone.next_message()).body == "news"


async def test_what_was_missed_comes_in_pages(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.page_limit = 7
        await phone.open_app()
        await phone.kill_app()
        server.put("alice", *[str(number) for number in range(50)])
        await phone.open_app()
        got = [(await phone.next_message()).body for _ in range(50)]
        assert got == [str(number) for number in range(50)]
        await trio.sleep(10)
        assert server.sent(Received)[-1] == Received(50)
        assert server.devices.popitem()[1].received == 50


async def test_received_is_said_once_for_many(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        for number in range(20):
            server.put("alice", str(number))
            await trio.sleep(0.04)
        await trio.sleep(10)
        assert server.sent(Received) == [Received(20)]


async def test_messages_in_a_cut_session_come_once(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        for number in range(30):
            server.put("alice", str(number))
            if number % 3 == 0:
                (await server.online("alice")).cut()
                await phone.wait_state(LinkState.WAITING)
            if number % 3 == 1:
                await phone.wait_ready()
        got = [(await phone.next_message()).body for _ in range(30)]
        assert got == [str(number) for number in range(30)]
        assert phone.duplicates == 0


async def test_a_server_with_an_old_backup_is_followed(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        server.put("alice", "one", "two", "three")
        await trio.sleep(1)
        await phone.kill_app()
        del server.user("alice").inbox[1:]
        await phone.open_app()
        server.put("alice", "new two")
        await trio.sleep(1)
        assert bodies(tuple(phone.inbox)) == ["one", "two", "three", "new two"]


async def test_pruned_entries_are_skipped(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        await phone.kill_app()
        server.put("alice", "one", "two", "three")
        server.user("alice").pruned_to = 2
        await phone.open_app()
        assert (await phone.next_message()).body == "three"
        await phone.kill_app()
        server.put("alice", "four")
        server.user("alice").pruned_to = 4
        await phone.open_app()
        await trio.sleep(1)
        server.put("alice", "five")
        assert (await phone.next_message()).body == "five"


# The radio


async def test_in_an_outage_that_it_sees_the_phone_does_not_try(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect_by_itself(server, phone)
        phone.radio.cut(silently=False)
        assert phone.link_state is LinkState.WAITING
        await trio.sleep(10_000)
        assert len(server.hellos) == 1
        restored_at = trio.current_time()
        phone.radio.restore()
        await phone.wait_ready()
        assert restored_at + 1 < server.hellos[1].at <= restored_at + 3, "spread by the back-off"
        assert server.intents()[1] == ("RESUME", "BG")
        assert session_ends(events) == [(SessionEnd.LOST, "the radio lost its network")]


async def test_a_radio_that_fails_during_an_attempt_is_one_failure(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.answers.append(Silence())
        phone.wake()
        await trio.sleep(1)
        phone.radio.handover()
        await phone.wait_ready()
        assert outcomes(events) == [
            (Outcome.LOST, "the radio lost its network"),
            (Outcome.WELCOMED, ""),
        ]
        assert ended(events)[0].ended_at == 1
        assert 1 + 1 < server.hellos[1].at <= 1 + 3


async def test_after_airplane_mode_a_user_who_waits_is_first(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        phone.radio.airplane_mode = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.open_app)
            await trio.sleep(50)
            assert phone.link_state is LinkState.WAITING
            phone.radio.airplane_mode = False
        assert [(hello.at, hello.intent.tag) for hello in server.hellos] == [(50, "FG")]


async def test_a_silent_outage_is_found_by_keepalive(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.policy = Policy(60_000, 1_000, 60_000)
        await connect_by_itself(server, phone)
        phone.radio.cut()
        cut_at = trio.current_time()
        await phone.wait_state(LinkState.WAITING)
        assert trio.current_time() - cut_at <= 60 + PONG_TIMEOUT_S
        assert session_ends(events) == [(SessionEnd.DEAD_PEER, "no answer to a ping")]
        await trio.sleep(200)
        assert set(outcomes(events)[1:]) == {(Outcome.CONNECT_TIMEOUT, "no connection within 10 s")}
        first = ended(events)[1]
        assert first.ended_at - first.attempt.started_at == CONNECT_TIMEOUT_S
        phone.radio.restore()
        await phone.wait_ready()


async def test_a_handover_is_a_resume(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect_by_itself(server, phone)
        server.user("bob")
        for number in range(10):
            phone.radio.handover()
            await phone.wait_ready()
            await phone.send("bob", str(number))
        assert bodies(server.user("bob").inbox) == [str(number) for number in range(10)]


async def test_the_same_chance_gives_the_same_story(autojump_clock: MockClock) -> None:
    async def story() -> list[tuple[Outcome, float]]:
        events: list[DeviceEvent] = []
        start = trio.current_time()
        async with open_server() as server, server.phone("alice", events=events) as phone:
            await connect_by_itself(server, phone)
            server.answers.extend([HangUp(), DeferFor(9), RefuseWith(RefuseReason.FULL)])
            (await server.online("alice")).cut()
            await trio.sleep(500)
        return [(event.outcome, round(event.ended_at - start, 6)) for event in ended(events)]

    assert await story() == await story()
