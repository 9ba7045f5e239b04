"""Keepalive, timers and the end of a live session, in virtual time."""

import pytest
import trio
from tests.client.fakeserver import FakeServer, open_server
from trio.testing import MockClock

from hwangso_client.config import LinkState
from hwangso_client.device import Device
from hwangso_client.errors import RequestFailed
from hwangso_client.events import DeviceEvent, SessionEnd, SessionEnded
from hwangso_client.keepalive import PATIENCE_S, PONG_TIMEOUT_S, UNANSWERED_MAX_S
from hwangso_client.session import SEND_TIMEOUT_S
from hwangso_protocol.messages import (
    Deliver,
    DeviceList,
    Entry,
    Error,
    ErrorCode,
    ListDevices,
    More,
    Page,
    Ping,
    Policy,
    Pong,
    Ready,
    Received,
    Send,
    Sync,
)

POLICY = Policy(keepalive_ms=30_000, backoff_base_ms=1_000, backoff_cap_ms=60_000)


def end_of(events: list[DeviceEvent]) -> tuple[SessionEnd, str]:
    (event,) = [event for event in events if isinstance(event, SessionEnded)]
    return event.end, event.detail


async def connect(server: FakeServer, phone: Device) -> None:
    server.policy = POLICY
    phone.wake()
    await phone.wait_ready()
    await server.online(phone.user)


async def test_a_silent_session_says_something_in_every_interval(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        await trio.sleep(3_000)
        assert 100 <= len(server.sent(Ping)) <= 134
        assert len(server.hellos) == 1


async def test_phones_that_connected_together_do_not_ping_together(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server:
        after_s = []
        for number in range(20):
            async with server.phone(f"user{number}") as phone:
                await connect(server, phone)
                start = trio.current_time()
                await trio.sleep(31)
                pings = [seen.at for seen in server.messages if isinstance(seen.message, Ping)]
                after_s.append(round(pings[0] - start, 1))
                server.messages.clear()
        assert 22.5 <= min(after_s) < 25
        assert 28 < max(after_s) <= 30
        assert len(set(after_s)) > 15


async def test_a_busy_session_does_not_ping(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        await connect(server, phone)
        for number in range(100):
            await phone.send("bob", str(number))
            await trio.sleep(10)
        assert server.sent(Ping) == []


async def test_a_dead_peer_is_found_and_left(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect(server, phone)
        server.session_of("alice").frozen = True
        await phone.wait_state(LinkState.WAITING)
        assert 22.5 + PONG_TIMEOUT_S <= trio.current_time() <= 30 + PONG_TIMEOUT_S
        assert end_of(events) == (SessionEnd.DEAD_PEER, "no answer to a ping")
        await phone.wait_ready()
        assert server.intents()[-1] == ("RESUME", "BG")


async def test_a_send_into_a_dead_connection_is_not_held_up_by_the_keepalive(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        await connect(server, phone)
        server.session_of("alice").frozen = True
        start = trio.current_time()
        await phone.send("bob", "hello")
        assert trio.current_time() - start <= PATIENCE_S + PONG_TIMEOUT_S + 3
        assert [entry.body for entry in server.user("bob").inbox] == ["hello"]


async def test_a_server_that_pings_but_does_not_answer_is_left_in_the_end(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        server.user("bob")
        server.withhold_answers = True
        await connect(server, phone)
        start = trio.current_time()
        phone.post("bob", "hello")
        await phone.wait_state(LinkState.WAITING)
        assert trio.current_time() - start == UNANSWERED_MAX_S
        server.withhold_answers = False
        await phone.wait_sent()
        assert len(server.user("bob").inbox) == 1


async def test_a_peer_that_takes_no_bytes_is_dead(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server:
        server.stream_bytes = 2_000
        async with server.phone("alice", events=events) as phone:
            server.user("bob")
            await connect(server, phone)
            server.session_of("alice").frozen = True
            start = trio.current_time()
            for _ in range(10):
                phone.post("bob", "x" * 1_000)
            await phone.wait_state(LinkState.WAITING)
            # The last read of the server takes what was posted; the ping after it is stuck.
            assert trio.current_time() - start == PATIENCE_S + SEND_TIMEOUT_S
            assert end_of(events) == (SessionEnd.DEAD_PEER, "the server takes no bytes")
            await phone.wait_sent()


async def test_pings_of_the_server_are_answered(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        server.session_of("alice").send(Ping(77))
        await trio.sleep(1)
        assert server.sent(Pong) == [Pong(77)]


async def test_a_ping_just_before_the_end_does_no_harm(autojump_clock: MockClock) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect(server, phone)
        session = server.session_of("alice")
        session.connection.send(Ping(1))
        session.send_raw(session.connection.data_to_send() + b"\0\1\0")
        await phone.wait_state(LinkState.WAITING)
        end, detail = end_of(events)
        assert end is SessionEnd.FAULT
        assert detail.startswith("bad_record")
        await phone.wait_ready()


async def test_a_server_that_breaks_the_protocol_is_told_and_left(
    autojump_clock: MockClock,
) -> None:
    events: list[DeviceEvent] = []
    async with open_server() as server, server.phone("alice", events=events) as phone:
        await connect(server, phone)
        session = server.session_of("alice")
        session.send_raw(b"\0\x20" + bytes(32))
        await session.ended.wait()
        assert session.bye is not None
        assert session.bye.value == "protocol_error"
        await phone.wait_ready()
        assert end_of(events)[0] is SessionEnd.FAULT


async def test_the_first_message_proves_the_session_and_is_not_wasted(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        await connect(server, phone)
        assert server.sent(Ready) == []
        await phone.kill_app()
        await connect(server, phone)
        assert server.sent(Ready) == [Ready()], "nothing else to say"
        await phone.kill_app()
        server.put("alice", "missed")
        await connect(server, phone)
        assert server.sent(Ready) == [Ready()]
        assert server.sent(Received) == [Received(1)]


async def test_a_window_of_sends_is_kept_full_and_not_exceeded(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        server.withhold_answers = True
        await connect(server, phone)
        for number in range(40):
            phone.post("bob", str(number))
        await trio.sleep(1)
        assert len(server.sent(Send)) == 16
        server.withhold_answers = False
        server.session_of("alice").cut()
        await phone.wait_sent()
        assert [entry.body for entry in server.user("bob").inbox] == [str(n) for n in range(40)]


async def test_a_sync_that_the_server_puts_off_is_asked_again(autojump_clock: MockClock) -> None:
    """A store that is busy for a moment costs a moment, not the session."""
    async with open_server() as server, server.phone("alice") as phone:
        server.page_limit = 2
        await connect(server, phone)
        await phone.kill_app()
        server.put("alice", "one", "two", "three")
        server.sync_answers.extend([ErrorCode.BUSY, ErrorCode.UNAVAILABLE])
        await connect(server, phone)
        start = trio.current_time()
        assert [(await phone.next_message()).body for _ in range(3)] == ["one", "two", "three"]
        assert trio.current_time() - start <= 0.5 + 1.0
        await trio.sleep(1_000)
        assert server.sent(Sync) == 3 * [Sync(2)]
        assert len(server.hellos) == 2


async def test_a_request_waits_for_the_answer_to_a_sync(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        server.withhold_pages = True
        server.session_of("alice").send(More(3))
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.list_devices)
            await trio.sleep(1)
            assert server.sent(ListDevices) == []
            server.session_of("alice").send(Page(3))
        assert server.sent(ListDevices) == [ListDevices()]


async def test_a_sync_waits_for_the_answer_to_a_request(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        server.withhold_lists = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.list_devices)
            await trio.sleep(1)
            server.session_of("alice").send(More(3))
            await trio.sleep(1)
            assert server.sent(Sync) == []
            server.session_of("alice").send(DeviceList(()))
        await trio.sleep(1)
        assert server.sent(Sync) == [Sync(0)]


async def test_a_request_that_the_server_refuses_fails(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        server.withhold_lists = True

        async def refuse() -> None:
            await trio.sleep(1)
            server.session_of("alice").send(Error(ErrorCode.BUSY, "one at a time"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            with pytest.raises(RequestFailed, match="busy one at a time") as failed:
                await phone.list_devices()
        assert failed.value.code is ErrorCode.BUSY
        assert server.sent(ListDevices) == [ListDevices()]


async def test_errors_and_answers_that_nobody_asked_for_are_ignored(
    autojump_clock: MockClock,
) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        session = server.session_of("alice")
        session.send(Error(ErrorCode.BUSY))
        session.send(Error(ErrorCode.UNKNOWN_USER, id=bytes(16)))
        session.send(Pong(99))
        await trio.sleep(10)
        assert phone.link_state is LinkState.READY


async def test_a_hole_in_what_is_pushed_is_filled(autojump_clock: MockClock) -> None:
    async with open_server() as server, server.phone("alice") as phone:
        await connect(server, phone)
        session = server.session_of("alice")
        session.online = False
        server.put("alice", "one", "two")
        session.online = True
        session.send(Deliver((Entry(2, server.user("alice").inbox[1].id, "x", "alice", "two", 0),)))
        assert [(await phone.next_message()).body for _ in range(2)] == ["one", "two"]
