"""One connection of one device: its timeouts, its end, what it is pushed, and slow readers."""

import pytest
import trio
from tests.server.harness import Phone, running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import (
    Background,
    Bye,
    ByeReason,
    Deliver,
    DeviceList,
    Error,
    ErrorCode,
    Foreground,
    ListDevices,
    Ping,
    Pong,
    Ready,
    Received,
    Sync,
)
from hwangso_protocol.states import State
from hwangso_server.admission import CapacityAdmission
from hwangso_server.deadlines import TICK_S
from hwangso_server.limits import (
    CLOSE_LINGER_S,
    ENROL_TIMEOUT_S,
    HELLO_TIMEOUT_S,
    PROOF_TIMEOUT_S,
)
from hwangso_server.store import StoreBusy, StoreClosed, StoreFailed

IDLE_S = 150
"""2.5 keepalive intervals of 60 s."""


async def closed_at(phone: Phone) -> float:
    """Wait until the server closes the connection; when that was, within a tick."""
    await phone.transport.ended.wait()
    return trio.current_time()


def is_on_time(at_s: float, timeout_s: float) -> bool:
    """Late by a tick at most, never early."""
    return timeout_s <= at_s <= timeout_s + 2 * TICK_S


# Timeouts


async def test_silence_instead_of_a_hello(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = server.replay(b"", server.new_identity("alice"))
        assert is_on_time(await closed_at(phone), HELLO_TIMEOUT_S)
        assert server.count("hello_timeout") == 1
        assert not server.core.sessions


async def test_a_trickle_does_not_move_the_hello_timeout(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        hello = server.connect(Kind.ENROL, server.new_identity("alice")).hello
        started_s = trio.current_time()
        slow = server.replay(b"", server.new_identity("alice"))
        for at in range(len(hello)):
            slow.feed(hello[at : at + 1])
            await trio.sleep(HELLO_TIMEOUT_S / 20)
            if not slow.transport.is_open:
                break
        assert is_on_time(trio.current_time() - started_s, HELLO_TIMEOUT_S)
        assert server.count("hello_timeout") == 1


@pytest.mark.parametrize("kind", list(Kind))
async def test_no_proof_of_the_keys(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        known.lose()
        hello = server.connect(kind, known.identity).hello
        started_s = trio.current_time()
        silent = server.replay(hello, known.identity)
        assert is_on_time(await closed_at(silent) - started_s, PROOF_TIMEOUT_S)
        assert server.count("proof_timeout") >= 1


async def test_half_a_record_is_no_proof(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        started_s = trio.current_time()
        phone = server.connect(Kind.RESUME, known.identity)
        await server.settle()
        phone.connection.send(Ready())
        record = phone.connection.data_to_send()
        for at in range(len(record) - 1):
            phone.feed(record[at : at + 1])
            await trio.sleep(1)
        assert server.count("proof_timeout") == 1
        assert is_on_time(await closed_at(phone), trio.current_time())
        assert trio.current_time() - started_s > PROOF_TIMEOUT_S
        assert known.is_live


async def test_an_enrolment_that_takes_too_long(autojump_clock: MockClock) -> None:
    async with running_server(password_work=trio.sleep_forever) as server:
        phone = server.connect(Kind.ENROL, server.new_identity("alice"), register=True)
        await server.settle()
        assert is_on_time(await closed_at(phone), ENROL_TIMEOUT_S)
        assert not server.core.sessions
        assert server.count("proof_timeout") == 1


async def test_an_enrolment_may_take_longer_than_a_proof(autojump_clock: MockClock) -> None:
    async def password_work() -> None:
        await trio.sleep(ENROL_TIMEOUT_S - 2)

    async with running_server(password_work=password_work) as server:
        phone = server.connect(Kind.ENROL, server.new_identity("alice"), register=True)
        await server.settle()
        await trio.sleep(ENROL_TIMEOUT_S - 1)
        assert phone.is_live


async def test_idle(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        assert is_on_time(await closed_at(phone), IDLE_S)
        assert phone.goodbye is ByeReason.IDLE
        assert server.count("ended.idle") == 1
        assert not server.core.sessions
        assert not server.core.presence


async def test_every_sign_of_life_keeps_a_session(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        for _ in range(10):
            await trio.sleep(IDLE_S - 5)
            phone.say(Ping())
        assert phone.is_live
        last_s = trio.current_time()
        assert is_on_time(await closed_at(phone) - last_s, IDLE_S)


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_short_keepalive_counts_from_the_first_moment(
    autojump_clock: MockClock, kind: Kind
) -> None:
    """Its timeout is shorter than those of the handshake, which were set before."""
    async with running_server(keepalive_s=1) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        known.say(Bye())
        started_s = trio.current_time()
        phone = await server.prove(server.connect(kind, known.identity))
        assert is_on_time(await closed_at(phone) - started_s, 2.5)
        assert phone.goodbye is ByeReason.IDLE


async def test_waiting_for_an_enrolment_is_not_idleness(autojump_clock: MockClock) -> None:
    async def password_work() -> None:
        await trio.sleep(20)

    async with running_server(password_work=password_work, keepalive_s=4) as server:
        phone = server.connect(Kind.ENROL, server.new_identity("alice"), register=True)
        await server.settle()
        await trio.sleep(20 + 9)
        assert phone.is_live


async def test_closing_lingers_for_a_peer_that_does_not_read(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.transport.room = 3
        phone.session.end(ByeReason.REVOKED)
        assert phone.transport.is_open
        assert not server.core.sessions
        started_s = trio.current_time()
        assert is_on_time(await closed_at(phone) - started_s, CLOSE_LINGER_S)
        assert phone.transport.aborted


async def test_closing_ends_as_soon_as_the_peer_has_read(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.transport.room = 3
        phone.session.end(ByeReason.REVOKED)
        phone.transport.make_room()
        assert not phone.transport.is_open
        assert phone.goodbye is ByeReason.REVOKED
        await trio.sleep(2 * CLOSE_LINGER_S)
        assert not phone.transport.aborted
        assert not len(server.core.deadlines)


# Ends


@pytest.mark.parametrize(
    ("end", "name"),
    [
        (lambda phone: phone.say(Bye()), "closed"),
        (lambda phone: phone.lose(), "lost"),
        (lambda phone: phone.session.end(ByeReason.REVOKED), "revoked"),
        (lambda phone: phone.feed(b"\x00\x20" + bytes(32)), "closed"),
    ],
)
async def test_ends_are_counted_by_reason(
    autojump_clock: MockClock, end: object, name: str
) -> None:
    assert callable(end)
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        end(phone)
        assert server.count(f"ended.{name}") == 1
        assert not phone.transport.is_open
        assert not server.core.sessions
        phone.session.end(ByeReason.OTHER)
        phone.session.connection_lost()
        phone.session.deadline_passed(trio.current_time())
        assert [n for n in server.core.counts.snapshot() if n.startswith("ended")] == [
            f"ended.{name}"
        ]
        assert isinstance(server.admission, CapacityAdmission)
        assert (server.admission.handshakes, server.admission.sessions) == (0, 0)


async def test_a_fault_is_counted_and_answered(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.feed(b"\x00\x20" + bytes(32))
        assert phone.goodbye is ByeReason.PROTOCOL_ERROR
        assert server.count("fault.bad_record") == 1


async def test_what_came_before_a_fault_counts(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        phone = await server.enrol("alice")
        bob = await server.enrol("bob")
        phone.text(1, "bob")
        phone.connection.send(Ping())
        phone.feed(phone.connection.data_to_send() + b"\x00\x20" + bytes(32))
        await server.settle()
        assert bob.take(Deliver).entries[0].seq == 1


async def test_messages_before_a_bye_count_and_are_not_answered(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        for message in (Ping(1), Sync(0), ListDevices(), Received(0), Bye()):
            # The phone's own state machine would not send after its Bye; a stranger might.
            phone.connection.send(message)
        phone.connection.send(Ping(2))
        phone.flush()
        await server.settle()
        assert phone.messages == []
        assert server.count("ended.closed") == 1


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_proof_and_a_bye_in_one_go_never_go_online(
    autojump_clock: MockClock, kind: Kind
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        phone = server.connect(kind, known.identity)
        await server.settle()
        phone.say(Ready(), Bye())
        assert known.is_live
        assert not phone.transport.is_open
        assert list(server.core.sessions) == [known.session]


async def test_lost_in_the_middle_of_a_request(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        with server.held("page"):
            phone.say(Sync(0))
            phone.lose()
        await server.settle()
        assert phone.messages == []


async def test_a_write_that_breaks_the_connection(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")

        def broken(_: bytes) -> None:
            phone.transport.lose()

        phone.transport._on_sent = broken
        phone.say(Ping())
        assert server.count("ended.lost") == 1
        assert not server.core.sessions
        assert not server.core.presence


# Small talk


async def test_pings_are_answered_while_live_only(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.say(Ping(1), Ping(2))
        assert [phone.take(Pong).n, phone.take(Pong).n] == [1, 2]
        phone.say(Pong(3), Error(ErrorCode.OTHER), Ready())
        assert phone.messages == []
        assert phone.is_live


async def test_the_intent_of_a_live_session_changes(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        phone = await server.prove(
            server.connect(Kind.RESUME, known.identity, intent=Intent.BACKGROUND)
        )
        assert server.count("session.resume.BG") == 1
        intents = [phone.session.intent]
        for message in (Foreground(), Background()):
            phone.say(message)
            intents.append(phone.session.intent)
        assert intents == [Intent.BACKGROUND, Intent.FOREGROUND, Intent.BACKGROUND]


async def test_an_unknown_message_is_answered_and_counted(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.connection._seal_bytes(b"\xa1\x61t\x64wink")
        phone.flush()
        assert phone.take(Error).code is ErrorCode.UNKNOWN_MESSAGE
        assert server.count("unknown_message") == 1
        assert phone.is_live


# Requests


async def test_one_request_at_a_time(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        with server.held("devices"):
            phone.say(ListDevices(), Sync(0), ListDevices())
            await server.settle()
            assert [phone.take(Error).code, phone.take(Error).code] == [ErrorCode.BUSY] * 2
        await server.settle()
        assert len(phone.take(DeviceList).devices) == 1
        phone.say(ListDevices())
        await server.settle()
        assert len(phone.take(DeviceList).devices) == 1
        assert phone.messages == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreBusy("busy"), ErrorCode.BUSY),
        (StoreFailed("broken"), ErrorCode.UNAVAILABLE),
        (StoreClosed("closing"), ErrorCode.UNAVAILABLE),
    ],
)
async def test_a_request_to_a_store_in_trouble(
    autojump_clock: MockClock, error: StoreBusy | StoreFailed | StoreClosed, code: ErrorCode
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        server.trouble("devices", error)
        for _ in range(2):  # the next request is not in the way of the last
            phone.say(ListDevices())
            await server.settle()
            assert phone.take(Error).code is code
        assert server.count(f"error.{code.value}") == 2
        assert phone.is_live


# Hellos that fail


async def test_a_stranger_who_speaks_something_else(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"H" * 2_000):
            phone = server.replay(junk, server.new_identity("x"))
            assert not phone.transport.is_open
        assert server.count("fault.bad_magic") == 3
        assert not server.core.sessions


async def test_an_unknown_version_is_answered(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        hello = server.connect(Kind.ENROL, server.new_identity("alice")).hello
        newer = server.connect(Kind.ENROL, server.new_identity("alice"))
        newer.lose()
        phone = server.connect(Kind.ENROL, server.new_identity("alice"))
        stranger = Phone(server, phone.identity, phone.connection, Intent.FOREGROUND)
        phone.connection.state = State.HELLO
        stranger.feed(hello[:4] + b"\x09" + hello[5:])
        assert server.count("fault.unknown_version") == 1
        assert not stranger.transport.is_open


async def test_bytes_behind_a_hello_are_refused(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        known.lose()
        other = server.connect(Kind.LOGIN, known.identity)
        replayed = server.replay(other.hello + b"!", known.identity)
        assert server.count("fault.bad_hello") == 1
        assert not replayed.transport.is_open
