"""The door: a caller is accepted, heard, and most often sent away, without a session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.server.harness import Identity, Server, running_server
from tests.server.scripted import (
    LANES,
    ROOM_FOR_ALL,
    FollowedAdmission,
    ScriptedCaller,
    ScriptedGround,
    ScriptedProcessor,
    hello_of,
)
from trio.testing import MockClock

from hwangso_protocol.answer import DeferReason, Refuse, RefuseReason, parse_answer
from hwangso_protocol.client import Attempt, ClientConnection, LoginWith, ResumeWith
from hwangso_protocol.events import Answered, Deferred, Event
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Login, Welcome
from hwangso_server.admission import Deferral, Refusal
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS
from hwangso_server.door import Door
from hwangso_server.handshakes import Handshake, HandshakeQueues
from hwangso_server.processor import Work

FOREGROUND, BACKGROUND = LANES
SLOT = Deferral(90_000, DeferReason.EMERGENCY, b"slot")


@dataclass
class House:
    """A server with a door, and nobody who opens it but the test."""

    server: Server
    admission: FollowedAdmission
    ground: ScriptedGround
    processor: ScriptedProcessor
    queues: HandshakeQueues
    door: Door

    def open(
        self, first: bytes | None, lane: Intent | None = FOREGROUND, at_s: float = 0.0
    ) -> ScriptedCaller:
        """Somebody calls, says this, and is heard."""
        (caller,) = self.ground.call(lane, "caller", first=first, at_s=at_s)
        assert self.door.open(lane)
        return caller

    def next(self) -> Handshake:
        """Who waits."""
        handshake = self.queues.next(FOREGROUND) or self.queues.next(BACKGROUND)
        assert handshake is not None
        assert len(self.queues) == 0
        return handshake


@asynccontextmanager
async def house(
    connections_max: int = ROOM_FOR_ALL, lanes: tuple[Intent | None, ...] = LANES
) -> AsyncIterator[House]:
    processor = ScriptedProcessor()
    ground = ScriptedGround(processor, lanes)
    admission = FollowedAdmission()
    async with running_server(admission=admission) as server:
        queues = HandshakeQueues()
        server.core.submit = queues.submit
        door = Door(server.core, ground, processor, queues, connections_max)
        yield House(server, admission, ground, processor, queues, door)


def refusal(heard: bytes | bytearray) -> Refuse:
    parsed = parse_answer(bytes(heard))
    assert parsed is not None
    answer, size = parsed
    assert size == len(heard)
    assert isinstance(answer, Refuse)
    return answer


# Hellos


async def test_nobody_is_there(mock_clock: MockClock) -> None:
    async with house() as at:
        at.ground.call(BACKGROUND, "crowd")
        assert not at.door.open(FOREGROUND)
        assert at.server.core.counts.snapshot() == {}
        assert at.processor.done == []


@pytest.mark.parametrize(
    ("lane", "name"), [(FOREGROUND, "FG"), (BACKGROUND, "BG"), (None, "single")]
)
async def test_a_whole_hello_waits_for_its_turn(
    mock_clock: MockClock, lane: Intent | None, name: str
) -> None:
    """Without a session, and with nobody watching its connection."""
    async with house(lanes=(lane,)) as at:
        at.processor.now_s = 0.25
        caller = at.open(hello_of(BACKGROUND), lane)
        admitted = at.next().admitted
        assert (admitted.kind, admitted.hello.intent) == (Kind.ENROL, BACKGROUND)
        assert (admitted.intent, admitted.ticket, admitted.device_id) == (BACKGROUND, None, None)
        (arrival,) = at.admission.arrivals
        assert (arrival.lane, arrival.intent, arrival.waited_s) == (lane, BACKGROUND, 0.25)
        assert admitted.arrived_s == at.server.core.clock.now_s() - 0.25
        assert at.server.core.counts.snapshot() == {f"accepted.{name}": 1, "hello.BG": 1}
        assert at.processor.done == [Work.HELLO]
        assert not at.server.core.sessions
        assert not caller.is_closed
        caller.close()


@pytest.mark.parametrize("pieces", [1, 2, 7, 1_000])
async def test_a_hello_in_pieces(mock_clock: MockClock, pieces: int) -> None:
    """It is parked, and its session hears the rest."""
    async with house() as at:
        hello = hello_of(BACKGROUND)
        size = max(len(hello) // (pieces + 1), 1)
        caller = at.open(hello[:size])
        transport = caller.transport
        assert transport is not None
        (session,) = at.server.core.sessions
        assert session.lane is FOREGROUND
        assert len(at.queues) == 0
        for start in range(size, len(hello), size):
            transport.feed(hello[start : start + size])
        handshake = at.next()
        assert handshake.admitted.intent is BACKGROUND
        assert at.server.core.counts.snapshot() == {"accepted.FG": 1, "hello.BG": 1}
        assert not handshake.is_gone()
        handshake.begin()
        at.server.core.flush_touched()
        assert transport.sent[0] == ord("A")
        assert at.admission.told == []
        transport.lose()
        assert handshake.is_gone()
        assert at.admission.told == ["handshake_failed"]


async def test_a_hello_that_has_not_come_yet(mock_clock: MockClock) -> None:
    async with house() as at:
        caller = at.open(None)
        assert caller.transport is not None
        caller.transport.feed(hello_of(FOREGROUND))
        at.next().begin()
        at.server.core.flush_touched()
        assert caller.transport.sent[0] == ord("A")


async def test_a_caller_that_has_hung_up(mock_clock: MockClock) -> None:
    async with house() as at:
        caller = at.open(b"")
        assert (caller.is_closed, caller.heard) == (True, b"")
        assert at.server.core.counts.snapshot() == {"accepted.FG": 1, "gone.hello": 1}
        assert at.admission.arrivals == []
        assert not at.server.core.sessions


@pytest.mark.parametrize(
    ("said", "fault", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bad_magic", None),
        (b"HWNG\xff" + bytes(100), "unknown_version", RefuseReason.UNKNOWN_VERSION),
        (hello_of(FOREGROUND) + b"!", "bad_hello", RefuseReason.BAD_HELLO),
    ],
)
async def test_garbage(
    mock_clock: MockClock, said: bytes, fault: str, reason: RefuseReason | None
) -> None:
    async with house() as at:
        caller = at.open(said)
        assert caller.is_closed
        assert (refusal(caller.heard).reason if caller.heard else None) is reason
        assert at.server.count(f"fault.{fault}") == 1
        assert at.admission.arrivals == []
        assert not at.server.core.sessions


async def test_a_stranger_whose_connection_cannot_be_watched(mock_clock: MockClock) -> None:
    """The system has no room for one more, and the ground has closed it."""
    async with house() as at:
        (caller,) = at.ground.call(FOREGROUND, "caller", first=None)
        caller.has_room = False
        assert at.door.open(FOREGROUND)
        assert not at.server.core.sessions
        assert at.admission.told == []


# Deferred and refused on the spot


async def known_device(at: House) -> Identity:
    """One that has been here, and is not online."""
    at.server.core.submit = lambda handshake: handshake.begin()
    await at.server.add_user("alice")
    phone = await at.server.enrol("alice")
    phone.lose()
    at.server.core.submit = at.queues.submit
    at.admission.told.clear()
    at.admission.arrivals.clear()
    return phone.identity


def client(at: House, kind: Kind, identity: Identity) -> ClientConnection:
    login = Login(0)
    credentials = (
        ResumeWith(identity.ticket, identity.psk, login)
        if kind is Kind.RESUME
        else LoginWith(at.server.public_key, identity.key, login)
    )
    return ClientConnection(credentials, Attempt(BACKGROUND), lambda size: bytes([7]) * size)


def no_more_randomness(at: House) -> None:
    """From now on a server that begins a Diffie-Hellman fails: each takes a new key."""

    def random_bytes(size: int) -> bytes:
        raise AssertionError(f"{size} random bytes for a hello that was not admitted")

    at.server.core.random_bytes = random_bytes


@pytest.mark.parametrize(("kind", "wait_s"), [(Kind.RESUME, 90.0), (Kind.LOGIN, 30.0)])
async def test_a_deferral_is_said_on_the_spot(
    mock_clock: MockClock, kind: Kind, wait_s: float
) -> None:
    """Authentic for a device with a ticket; to others it is a hint, honoured for a while."""
    async with house() as at:
        device = client(at, kind, await known_device(at))
        no_more_randomness(at)
        at.admission.answer = lambda _: SLOT
        caller = at.open(device.data_to_send(), BACKGROUND)
        events: list[Event] = list(device.receive_data(caller.heard))
        assert events == [Deferred(wait_s, DeferReason.EMERGENCY, b"slot", kind is Kind.RESUME)]
        assert caller.is_closed
        assert at.processor.done == [Work.HELLO, Work.DEFER]
        assert not at.server.core.sessions
        assert len(at.queues) == 0
        assert at.admission.told == []
        assert at.server.count("deferred.BG") == 1


async def test_the_device_is_known_before_any_diffie_hellman(mock_clock: MockClock) -> None:
    async with house() as at:
        identity = await known_device(at)
        no_more_randomness(at)
        for kind in (Kind.RESUME, Kind.LOGIN):
            at.open(client(at, kind, identity).data_to_send()).close()
        assert [arrival.device_id for arrival in at.admission.arrivals] == [identity.device, None]


async def test_a_refusal_is_said_on_the_spot(mock_clock: MockClock) -> None:
    async with house() as at:
        at.admission.answer = lambda _: Refusal(RefuseReason.FULL, 5_000)
        caller = at.open(hello_of(FOREGROUND))
        assert refusal(caller.heard) == Refuse(RefuseReason.FULL, 5_000)
        assert at.server.count("refused.full") == 1
        assert not at.server.core.sessions


async def test_a_bad_ticket_is_refused_on_the_spot(mock_clock: MockClock) -> None:
    async with house() as at:
        identity = await known_device(at)
        identity.ticket = bytes(len(identity.ticket))
        caller = at.open(client(at, Kind.RESUME, identity).data_to_send())
        assert refusal(caller.heard) == Refuse(RefuseReason.TICKET_INVALID)
        assert at.admission.arrivals == []


@pytest.mark.parametrize("whole", [True, False])
async def test_a_server_that_is_stopping_says_so(mock_clock: MockClock, whole: bool) -> None:
    async with house() as at:
        hello = hello_of(FOREGROUND)
        caller = at.open(hello if whole else hello[:10])
        at.server.core.is_stopping = True
        if whole:
            caller.close()
            caller = at.open(hello)
            heard = bytearray(caller.heard)
        else:
            assert caller.transport is not None
            caller.transport.feed(hello[10:])
            at.server.core.flush_touched()
            heard = caller.transport.sent
        assert refusal(heard) == Refuse(RefuseReason.SHUTTING_DOWN)


# A full server


async def test_a_full_server_says_so(mock_clock: MockClock) -> None:
    """Who is online is never pushed out by who is not."""
    async with house(connections_max=1) as at:
        await known_device(at)
        at.server.core.submit = lambda handshake: handshake.begin()
        phone = await at.server.enrol("alice")
        caller = at.open(hello_of(FOREGROUND))
        assert refusal(caller.heard) == Refuse(RefuseReason.FULL, FULL_RETRY_AFTER_MS)
        assert caller.is_closed
        assert at.server.count("refused.full") == 1
        assert phone.is_live
        assert len(at.queues) == 0
        assert at.admission.gone == [FOREGROUND], "it was admitted"


@pytest.mark.parametrize("whole", [True, False])
async def test_a_full_server_ends_the_handshakes_that_it_began(
    mock_clock: MockClock, whole: bool
) -> None:
    """Answered, they are strangers for no more than a round trip; a newcomer would soon be dropped
    for the next one."""
    async with house(connections_max=2) as at:
        identity = await known_device(at)
        at.server.core.submit = lambda handshake: handshake.begin()
        answered = [at.open(client(at, Kind.RESUME, identity).data_to_send()) for _ in range(2)]
        await at.server.settle()
        caller = at.open(hello_of(FOREGROUND) if whole else b"HW")
        assert refusal(caller.heard).reason is RefuseReason.FULL
        assert caller.transport is None
        assert at.server.count("dropped") == 0
        assert at.server.count("refused.full") == 1
        for waiting in answered:
            assert waiting.transport is not None
            assert waiting.transport.is_open


async def test_only_who_has_not_said_a_whole_hello_is_dropped(mock_clock: MockClock) -> None:
    """The oldest of those, however old the others are."""
    async with house(connections_max=3) as at:
        hello = hello_of(FOREGROUND)
        at.server.core.submit = lambda handshake: handshake.begin()
        heard, older, newer = at.open(hello[:10]), at.open(hello[:10]), at.open(hello[:10])
        assert heard.transport is not None
        assert older.transport is not None
        assert newer.transport is not None
        heard.transport.feed(hello[10:])
        at.server.core.flush_touched()
        assert heard.transport.sent[0] == ord("A")
        at.open(b"HW")
        assert not older.transport.is_open
        at.open(hello)
        assert not newer.transport.is_open
        assert heard.transport.is_open
        assert at.server.count("dropped") == 2
        assert at.server.count("refused.full") == 0


async def test_who_is_deferred_needs_no_room(mock_clock: MockClock) -> None:
    async with house(connections_max=1) as at:
        at.admission.answer = lambda _: SLOT
        stranger = at.open(b"HW")
        caller = at.open(hello_of(BACKGROUND))
        assert caller.heard[0] == ord("D")
        assert stranger.transport is not None
        assert stranger.transport.is_open
        assert at.server.count("deferred.BG") == 1
        assert at.server.count("dropped") == 0
        assert at.admission.gone == []


async def test_a_full_server_drops_the_oldest_stranger(mock_clock: MockClock) -> None:
    async with house(connections_max=2) as at:
        older, newer = at.open(b"HW"), at.open(b"HW")
        third = at.open(hello_of(FOREGROUND))
        assert older.transport is not None
        assert newer.transport is not None
        assert (older.transport.is_open, newer.transport.is_open) == (False, True)
        assert at.server.count("dropped") == 1
        assert at.next().admitted.hello.intent is FOREGROUND
        third.close()


async def test_who_waits_for_a_handshake_takes_room(mock_clock: MockClock) -> None:
    async with house(connections_max=2) as at:
        waiting = [at.open(hello_of(FOREGROUND)) for _ in range(2)]
        third = at.open(hello_of(FOREGROUND))
        assert refusal(third.heard).reason is RefuseReason.FULL
        assert len(at.queues) == 2
        for caller in waiting:
            caller.close()


# The handshake of a caller


async def test_a_handshake_makes_a_session(mock_clock: MockClock) -> None:
    async with house() as at:
        identity = await known_device(at)
        device = client(at, Kind.RESUME, identity)
        caller = at.open(device.data_to_send())
        handshake = at.next()
        assert handshake.admitted.device_id == identity.device
        handshake.begin()
        await at.server.settle()
        at.server.core.flush_touched()
        transport = caller.transport
        assert transport is not None
        (answered,) = device.receive_data(bytes(transport.sent))
        assert isinstance(answered, Answered)
        assert isinstance(answered.answer, Welcome)
        (session,) = at.server.core.sessions
        assert (session.lane, session.intent, session.kind) == (FOREGROUND, BACKGROUND, Kind.RESUME)
        assert transport.receiver is session


async def test_a_handshake_whose_connection_cannot_be_watched(mock_clock: MockClock) -> None:
    async with house() as at:
        caller = at.open(hello_of(FOREGROUND))
        caller.has_room = False
        at.next().begin()
        assert not at.server.core.sessions
        assert at.admission.told == ["handshake_failed"]


async def test_a_handshake_that_fails(mock_clock: MockClock) -> None:
    async with house() as at:
        identity = await known_device(at)
        identity.psk = bytes(32)
        caller = at.open(client(at, Kind.RESUME, identity).data_to_send())
        at.next().begin()
        at.server.core.flush_touched()
        assert caller.transport is not None
        assert refusal(caller.transport.sent).reason is RefuseReason.HANDSHAKE_FAILED
        assert not caller.transport.is_open
        assert not at.server.core.sessions
        assert at.admission.told == ["handshake_failed"]


@pytest.mark.parametrize("reason", [None, RefuseReason.SHUTTING_DOWN])
async def test_giving_up(mock_clock: MockClock, reason: RefuseReason | None) -> None:
    async with house() as at:
        caller = at.open(hello_of(FOREGROUND))
        handshake = at.next()
        assert not handshake.is_gone()
        caller.gone_at_s = 0.0
        assert handshake.is_gone()
        handshake.give_up(reason)
        assert caller.is_closed
        assert (refusal(caller.heard).reason if caller.heard else None) is reason
        assert not at.server.core.sessions


@pytest.mark.parametrize("look_first", [True, False])
async def test_a_byte_more_while_it_waits_for_its_turn(
    mock_clock: MockClock, look_first: bool
) -> None:
    """The connection is closed by then and cannot be decided about, but its session is still there
    until the turn ends."""
    async with house() as at:
        hello = hello_of(FOREGROUND)
        caller = at.open(hello[:10])
        assert caller.transport is not None
        caller.transport.feed(hello[10:])
        handshake = at.next()
        caller.transport.feed(b"x")
        if look_first:
            assert handshake.is_gone()
            handshake.give_up(RefuseReason.SHUTTING_DOWN)
            told = []
        else:
            handshake.begin()
            told = ["handshake_failed"]
        at.server.core.flush_touched()
        assert at.admission.told == told
        assert not caller.transport.is_open
        assert not at.server.core.sessions


@pytest.mark.parametrize("peer_check", [True, False])
async def test_who_has_hung_up_meanwhile_is_not_decided_about(
    mock_clock: MockClock, peer_check: bool
) -> None:
    """Their hellos are there, but they lay in the kernel for longer than some phones wait."""
    async with house() as at:
        door = Door(
            at.server.core, at.ground, at.processor, at.queues, 1_000, peer_check=peer_check
        )
        for name, at_s in (("early", 0.0), ("late", 9.5)):
            (caller,) = at.ground.call(BACKGROUND, name, first=hello_of(BACKGROUND), at_s=at_s)
            caller.gone_at_s = at_s + 0.1
        (alive,) = at.ground.call(BACKGROUND, "alive", first=hello_of(BACKGROUND))
        at.processor.now_s = 10.0
        while door.open(BACKGROUND):
            pass
        assert at.server.count("gone.hello") == peer_check
        assert len(at.queues) == 3 - peer_check
        assert not alive.is_gone()
