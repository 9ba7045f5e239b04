"""What the user of a phone does, against a fake server in virtual time."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.client.fakeserver import (
    DenyWith,
    HangUp,
    Silence,
    bodies,
    open_server,
)
from trio.testing import MockClock

from hwangso_client.config import AppState, DeviceConfig, LinkState
from hwangso_client.device import READY_TIMEOUT_S, Device
from hwangso_client.errors import (
    DeviceStopped,
    NotReady,
    OutboxFull,
    ProfileError,
    RequestFailed,
    SendRefused,
)
from hwangso_client.events import (
    AppReady,
    DeviceEvent,
    MessageAcknowledged,
    MessageArrived,
    MessageRefused,
)
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import (
    Background,
    ByeReason,
    ErrorCode,
    Foreground,
    Ready,
    Send,
)


def change(**changes: int) -> Callable[[DeviceConfig], DeviceConfig]:
    return lambda config: dataclasses.replace(config, **changes)  # type: ignore[arg-type]


async def test_two_phones_chat(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as alice, server.phone("bob") as bob:
        await alice.open_app()
        await bob.open_app()
        await alice.send("bob", "안녕")
        message = await bob.next_message()
        assert (message.sender, message.to, message.body) == ("alice", "bob", "안녕")
        assert (alice.user, alice.link_state) == ("alice", LinkState.READY)


# The app


async def test_a_phone_does_nothing_until_its_app_is_opened_or_woken(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await trio.sleep(1_000)
        assert (phone.app_state, phone.link_state) == (AppState.CLOSED, LinkState.OFF)
        assert server.hellos == []


async def test_opening_connects_on_the_foreground_lane(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        assert phone.app_state is AppState.FOREGROUND
        (hello,) = server.hellos
        assert (hello.lane, hello.intent) == (Intent.FOREGROUND, Intent.FOREGROUND)


async def test_a_push_connects_on_the_background_lane(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        phone.wake()
        await phone.wait_ready()
        assert phone.app_state is AppState.BACKGROUND
        (hello,) = server.hellos
        assert (hello.lane, hello.intent) == (Intent.BACKGROUND, Intent.BACKGROUND)
        phone.wake()
        await trio.sleep(10)
        assert len(server.hellos) == 1


async def test_opening_and_leaving_a_warm_app_needs_no_connect(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        phone.wake()
        await phone.wait_ready()
        await phone.open_app()
        await phone.leave_app()
        assert phone.app_state is AppState.BACKGROUND
        await trio.sleep(1)
        told = [seen.message for seen in server.messages]
        assert [type(m) for m in told if isinstance(m, Foreground | Background)] == [
            Foreground,
            Background,
        ]
        assert len(server.hellos) == 1


async def test_leaving_an_app_that_is_not_open_does_nothing(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.leave_app()
        assert phone.app_state is AppState.CLOSED
        assert server.hellos == []


async def test_an_app_left_before_it_was_ready_is_not_ready(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.answers.append(Silence())

        async def leave() -> None:
            await trio.sleep(1)
            await phone.leave_app()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            with pytest.raises(NotReady, match="left"):
                await phone.open_app()
        await phone.wait_ready()
        assert server.intents() == [("ENROL", "FG"), ("ENROL", "BG")]


async def test_a_killed_app_has_no_connection_until_it_is_opened_again(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        session = await server.online("alice")
        await phone.kill_app()
        assert (phone.app_state, phone.link_state) == (AppState.CLOSED, LinkState.OFF)
        await session.ended.wait()
        assert session.bye is None, "a killed app says nothing"
        await trio.sleep(1_000)
        assert len(server.hellos) == 1
        await phone.open_app()
        assert server.intents() == [("ENROL", "FG"), ("RESUME", "FG")]


async def test_a_killed_app_that_is_woken_connects_at_once(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        await phone.kill_app()
        await trio.sleep(100)
        now = trio.current_time()
        phone.wake()
        await phone.wait_ready()
        assert server.hellos[-1].at == now
        assert server.intents()[-1] == ("RESUME", "BG")


async def test_an_app_can_be_killed_at_any_time(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.kill_app()
        server.answers.append(Silence())
        phone.wake()
        await trio.sleep(1)
        await phone.kill_app()
        await trio.sleep(100)
        assert len(server.hellos) == 1


async def test_open_app_says_why_it_gives_up_and_the_phone_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.reachable = False
        start = trio.current_time()
        with pytest.raises(NotReady, match="120 s: connect failed: connection refused"):
            await phone.open_app()
        assert trio.current_time() - start == READY_TIMEOUT_S
        server.reachable = True
        await phone.wait_ready()
        assert {intent for _, intent in server.intents()} == {"FG"}


async def test_the_time_that_a_user_waits_counts_from_the_intended_start(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await trio.sleep(10)
        server.answers.append(HangUp())
        await phone.open_app(intended_at=7.0)
        (ready,) = [event for event in events if isinstance(event, AppReady)]
        assert ready.intended_at == 7.0
        assert ready.ready_at == trio.current_time() > 10


# Messages


async def test_a_message_posted_offline_goes_out_when_there_is_a_session(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        phone.post("bob", "one")
        phone.post("bob", "two")
        await trio.sleep(100)
        await phone.open_app()
        await phone.wait_sent()
        assert bodies(server.user("bob").inbox) == ["one", "two"]
        assert server.sent(Ready) == [], "a Send proves the keys just as well"


async def test_an_outbox_that_is_full_says_so(autojump_clock: MockClock) -> None:
    async with (
        open_server() as server,
        server.phone("alice", config=change(outbox_limit=2)) as phone,
    ):
        phone.post("bob", "one")
        phone.post("bob", "two")
        with pytest.raises(OutboxFull):
            phone.post("bob", "three")


async def test_a_final_refusal_reaches_the_sender(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await phone.open_app()
        with pytest.raises(SendRefused, match="unknown_user") as refused:
            await phone.send("nobody", "hello")
        assert refused.value.code is ErrorCode.UNKNOWN_USER
        assert [type(event) for event in events][-1] is MessageRefused
        server.user("bob")
        await phone.send("bob", "the next one is sent")


async def test_a_busy_server_gets_the_message_later_once(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await phone.open_app()
        server.user("bob")
        server.send_answers.extend([ErrorCode.BUSY, ErrorCode.UNAVAILABLE])
        await phone.send("bob", "hello")
        assert bodies(server.user("bob").inbox) == ["hello"]
        assert len({send.id for send in server.sent(Send) if isinstance(send, Send)}) == 1
        (event,) = [event for event in events if isinstance(event, MessageAcknowledged)]
        assert event.tries == 3


async def test_a_send_retried_after_a_lost_answer_is_one_message(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        server.user("bob")
        server.lose_answers = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.send, "bob", "hello")
            await phone.wait_state(LinkState.WAITING)
            server.lose_answers = False
        assert len(server.sent(Send)) == 2
        assert bodies(server.user("bob").inbox) == ["hello"]


async def test_a_cancelled_send_is_sent_all_the_same(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        with trio.move_on_after(5) as scope:
            await phone.send("bob", "hello")
        assert scope.cancelled_caught
        await phone.open_app()
        await phone.wait_sent()
        assert bodies(server.user("bob").inbox) == ["hello"]


@pytest.mark.parametrize(
    ("to", "body"), [("Bob!", "x"), ("", "x"), ("bob", ""), ("bob", "x" * 4_097), ("bob", "\ud800")]
)
async def test_what_the_wire_cannot_carry_is_not_queued(
    autojump_clock: MockClock, to: str, body: str
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        with pytest.raises(ValueError, match=r"bob|Bob|''|surrogates"):
            phone.post(to, body)
        await phone.wait_sent()


async def test_latency_of_a_message_counts_from_the_intended_start(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.user("bob")
        await phone.open_app()
        await trio.sleep(5)
        await phone.send("bob", "late", intended_at=2.0)
        (event,) = [event for event in events if isinstance(event, MessageAcknowledged)]
        assert (event.intended_at, event.acknowledged_at) == (2.0, 5.0)


async def test_messages_come_in_order_to_several_readers_each_once(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        got: list[str] = []

        async def read() -> None:
            async for message in phone:
                got.append(message.body)

        await phone.open_app()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(read)
            server.put("alice", *[str(number) for number in range(20)])
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert sorted(got, key=int) == [str(number) for number in range(20)]
        assert phone.inbox == ()


async def test_unread_messages_can_be_looked_at(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()
        server.put("alice", "one", "two")
        await trio.sleep(1)
        assert bodies(tuple(phone.inbox)) == ["one", "two"]
        assert (await phone.next_message()).body == "one"
        assert bodies(tuple(phone.inbox)) == ["two"]
        assert phone.duplicates == 0


async def test_a_user_who_does_not_read_loses_nothing(autojump_clock: MockClock) -> None:
    async with (
        open_server() as server,
        server.phone("alice", config=change(inbox_limit=10)) as phone,
    ):
        await phone.open_app()
        server.put("alice", *[str(number) for number in range(50)])
        await trio.sleep(100)
        assert len(phone.inbox) == 10
        assert [(await phone.next_message()).body for _ in range(50)] == [
            str(number) for number in range(50)
        ]
        assert phone.duplicates == 0


async def test_with_no_inbox_the_observer_is_the_app(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server:
        async with server.phone("alice", events=events, config=change(inbox_limit=0)) as phone:
            await phone.open_app()
            server.put("alice", *[str(number) for number in range(2_000)])
            await trio.sleep(100)
            assert phone.inbox == ()
        arrived = [event.entry.body for event in events if isinstance(event, MessageArrived)]
        assert arrived == [str(number) for number in range(2_000)]


# Requests


async def test_devices_can_be_listed_and_revoked(autojump_clock: MockClock) -> None:
    async with (
        open_server() as server,
        server.phone("alice") as old,
        server.phone("alice") as new,
    ):
        await old.open_app()
        await new.open_app()
        listed = await new.list_devices()
        assert [(info.device, info.this) for info in listed] == [(1, False), (2, True)]
        assert [info.device for info in await new.revoke_device(1)] == [2]


async def test_a_request_needs_a_session_and_ends_with_it(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        with pytest.raises(RequestFailed, match="no session"):
            await phone.list_devices()
        await phone.open_app()
        session = await server.online("alice")
        session.frozen = True
        async with trio.open_nursery() as nursery:

            async def cut() -> None:
                await trio.sleep(1)
                session.cut()

            nursery.start_soon(cut)
            with pytest.raises(RequestFailed, match="ended"):
                await phone.list_devices()


# The end


async def test_leaving_says_bye_and_ends_every_wait(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        closed: list[str] = []

        async def wait(name: str, wait: Callable[[], Awaitable[object]]) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await wait()
            closed.append(name)

        server.user("bob")
        server.withhold_answers = True
        async with trio.open_nursery() as nursery, server.phone("alice") as phone:
            await phone.open_app()
            session = await server.online("alice")
            nursery.start_soon(wait, "message", phone.next_message)
            nursery.start_soon(wait, "send", lambda: phone.send("bob", "hello"))
            nursery.start_soon(wait, "sent", phone.wait_sent)
            nursery.start_soon(wait, "state", lambda: phone.wait_state(LinkState.STOPPED))
            await trio.sleep(1)
        assert sorted(closed) == ["message", "send", "sent", "state"]
        await session.ended.wait()
        assert session.bye is ByeReason.CLOSED
        with pytest.raises(trio.ClosedResourceError):
            phone.post("bob", "too late")
        with pytest.raises(trio.ClosedResourceError):
            await phone.open_app()


async def test_leaving_a_phone_whose_server_takes_no_bytes_is_bounded(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server:
        async with server.phone("alice") as phone:
            await phone.open_app()
            phone.radio.cut()
            start = trio.current_time()
        assert trio.current_time() - start <= 1


@pytest.mark.parametrize("state", ["off", "waiting", "connecting", "ready"])
async def test_an_error_of_the_test_comes_out_as_it_is(
    autojump_clock: MockClock, state: str
) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        server.reachable = state != "waiting"
        if state == "connecting":
            server.answers.append(Silence())

        async def use_and_fail() -> None:
            async with server.phone("alice", profile=profile) as phone:
                if state != "off":
                    phone.wake()
                    await phone.wait_state(LinkState(state))
                phone.post("bob", "kept")
                raise AssertionError("mine")

        with pytest.raises(AssertionError, match="mine"):
            await use_and_fail()
        assert profile.state is not None
        assert [unsent.body for unsent in profile.state.outbox] == ["kept"]


async def test_a_phone_that_the_server_does_not_want_stops_and_says_why(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.answers.append(DenyWith(ErrorCode.ENROL_REFUSED))
        with pytest.raises(DeviceStopped, match="enrol_refused") as stopped:
            await phone.open_app()
        assert stopped.value.code is ErrorCode.ENROL_REFUSED
        assert await phone.wait_state(LinkState.STOPPED) is LinkState.STOPPED
        for wait in (phone.wait_ready, phone.next_message, phone.open_app, phone.list_devices):
            with pytest.raises(DeviceStopped):
                await wait()
        await trio.sleep(10_000)
        assert len(server.hellos) == 1


async def test_a_send_that_waits_is_told_that_the_phone_has_stopped(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        await phone.open_app()
        server.withhold_answers = True

        async def revoke() -> None:
            await trio.sleep(1)
            server.session_of("alice").say_bye(ByeReason.REVOKED)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(revoke)
            with pytest.raises(DeviceStopped, match="device_revoked"):
                await phone.send("bob", "hello")


# The profile


async def test_a_profile_of_somebody_else_is_refused(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        async with server.phone("alice", profile=profile):
            pass
        with pytest.raises(ProfileError, match="belongs to user 'alice', not 'bob'"):
            async with server.phone("bob", profile=profile):
                pytest.fail("entered")
        other = DeviceConfig(bytes(32), "alice", "secret")
        with pytest.raises(ProfileError, match="server with another key"):
            async with Device(other, server, profile=profile):
                pytest.fail("entered")


async def test_a_new_phone_needs_a_password_and_an_enrolled_one_does_not(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server:
        profile = MemoryProfile()
        no_password = DeviceConfig(server.key, "alice")
        with pytest.raises(ProfileError, match="needs the password"):
            async with Device(no_password, server, profile=profile):
                pytest.fail("entered")
        async with server.phone("alice", profile=profile) as phone:
            await phone.open_app()
        async with Device(no_password, server, profile=profile) as phone:
            await phone.open_app()


async def test_a_profile_that_cannot_be_saved_ends_the_phone(autojump_clock: MockClock) -> None:
    class FullDisk(MemoryProfile):
        full = False

        def save(self, state: object) -> None:
            if self.full:
                raise ProfileError("no space left")

    async with open_server() as server:
        profile = FullDisk()

        async def use() -> None:
            async with server.phone("alice", profile=profile) as phone:
                profile.full = True
                await phone.open_app()

        with pytest.raises(ProfileError, match="no space left"):
            await use()


async def test_outside_its_life_a_phone_does_nothing(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        phone = server.phone("alice")
        phone.radio.airplane_mode = True
        with pytest.raises(trio.ClosedResourceError, match="async with"):
            await phone.open_app()
