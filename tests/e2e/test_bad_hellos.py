"""Strangers and liars before a session: each gets the documented answer, is counted, costs nobody
else anything. In every test somebody is online the whole time, and still served at the end."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.e2e.phones import phone, saved, within, witnessed_server
from tests.e2e.proxy import Direction, places_to_cut, proxy_to
from tests.e2e.servers import Server, running_server
from tests.e2e.strangers import (
    READ_BYTES,
    connect,
    enrol_with,
    hello,
    last_words,
    live_client,
    login_with,
    raw_client,
    refusal,
    resume_with,
    say,
)

from hwangso_client.profile import MemoryProfile, ProfileState
from hwangso_protocol.answer import RefuseReason, parse_answer
from hwangso_protocol.client import Credentials, LoginWith, ResumeWith
from hwangso_protocol.events import Answered, Refused
from hwangso_protocol.hello import HEADER, MAGIC, VERSION, Intent, Kind
from hwangso_protocol.limits import (
    DEFERRAL_TICKET_MAX_BYTES,
    HELLO_MAX_BYTES,
    RESUME_TICKET_MAX_BYTES,
)
from hwangso_protocol.messages import Error, ErrorCode, Login, Ping, Pong, Welcome
from hwangso_protocol.ticket import ResumeTicket, TicketKey, TicketRing
from hwangso_server.config import Registration
from hwangso_server.folder import DataFolder


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    async with witnessed_server(folder) as running:
        yield running


@pytest.fixture
async def alice(server: Server) -> ProfileState:
    """An enrolled phone that is switched off."""
    profile = MemoryProfile()
    async with phone(server, "alice", profile=profile):
        pass
    return saved(profile)


def header(
    *,
    version: int = VERSION,
    kind: int = Kind.LOGIN,
    attempt: int = 1,
    resume_bytes: int = 0,
    deferral_bytes: int = 0,
    noise_bytes: int = 96,
) -> bytes:
    """The fixed part of a hello."""
    intent = Intent.FOREGROUND.value
    return HEADER.pack(
        MAGIC, version, intent, kind, attempt, resume_bytes, deferral_bytes, noise_bytes
    )


NOT_OURS = {
    "garbage": bytes(range(256)) * 16,
    "wrong magic": b"HWNX" + header()[4:],
    "nearly our magic": b"HWN\0",
    "HTTP": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000001fc0303") + bytes(500),
    "zeros": bytes(65_536),
}

BAD_HELLOS = {
    "unknown kind": header(kind=4),
    "kind 0": header(kind=0),
    "attempt 0": header(attempt=0),
    "resume without a ticket": header(kind=Kind.RESUME),
    "login with a ticket": header(resume_bytes=130),
    "ticket too long": header(kind=Kind.RESUME, resume_bytes=RESUME_TICKET_MAX_BYTES + 1),
    "deferral ticket too long": header(deferral_bytes=DEFERRAL_TICKET_MAX_BYTES + 1),
    "Noise message too short": header(noise_bytes=47),
    "hello too long": header(noise_bytes=HELLO_MAX_BYTES - HEADER.size + 1),
    "all lengths too long": header(
        kind=Kind.RESUME, resume_bytes=65_535, deferral_bytes=65_535, noise_bytes=65_535
    ),
    "bytes behind the hello": header() + bytes(96) + b"x",
}


@pytest.mark.parametrize("lane", list(Intent), ids=lambda lane: lane.tag)
@pytest.mark.parametrize("data", NOT_OURS.values(), ids=NOT_OURS.keys())
@within(20)
async def test_not_our_protocol(server: Server, data: bytes, lane: Intent) -> None:
    async with await connect(server, lane) as stream:
        await stream.send_all(data)
        assert await last_words(stream) == b""
    assert await server.count("fault.bad_magic") == 1


@pytest.mark.parametrize("data", BAD_HELLOS.values(), ids=BAD_HELLOS.keys())
@within(20)
async def test_a_hello_out_of_range(server: Server, data: bytes) -> None:
    async with await connect(server) as stream:
        await stream.send_all(data)
        answer = refusal(await last_words(stream))
    assert answer is not None
    assert answer.reason is RefuseReason.BAD_HELLO
    assert await server.count("fault.bad_hello") == 1


@pytest.mark.parametrize("version", [0, 2, 255])
@within(20)
async def test_unknown_version(server: Server, version: int) -> None:
    async with await connect(server) as stream:
        await stream.send_all(header(version=version))
        answer = refusal(await last_words(stream))
    assert answer is not None
    assert answer.reason is RefuseReason.UNKNOWN_VERSION
    assert await server.count("fault.unknown_version") == 1


@within(20)
async def test_half_a_hello(server: Server, alice: ProfileState) -> None:
    """Any part of one, then the end of the stream: no answer, and nothing is left behind."""
    whole = hello(login_with(server, alice))
    for size in range(1, len(whole)):
        assert await say(server, whole[:size]) == b""
    stats = await server.until(lambda stats: stats["now.connections"] == 1)
    assert not [name for name in stats if name.startswith(("fault", "refused"))]


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
@within(30)
async def test_a_flipped_bit_anywhere_in_a_hello(
    server: Server, alice: ProfileState, kind: Kind
) -> None:
    """Refused, or closed without an answer; accepted never."""
    credentials: Credentials
    match kind:
        case Kind.ENROL:
            credentials = enrol_with(server, "newcomer", register=True)
        case Kind.LOGIN:
            credentials = login_with(server, alice)
        case Kind.RESUME:
            credentials = resume_with(alice)
    heard = set()
    for at in range(len(hello(credentials))):
        data = bytearray(hello(credentials))
        data[at] ^= 1 << at % 8
        answer = refusal(await say(server, bytes(data)))
        heard.add(None if answer is None else answer.reason)
    expected = {
        None,  # the magic, or a length that has grown
        RefuseReason.UNKNOWN_VERSION,
        RefuseReason.BAD_HELLO,
        RefuseReason.HANDSHAKE_FAILED,
    }
    assert heard == expected | ({RefuseReason.TICKET_INVALID} if kind is Kind.RESUME else set())


@pytest.mark.parametrize("direction", list(Direction), ids=lambda one: one.name)
@within(60)
async def test_a_phone_recovers_from_flipped_bits(server: Server, direction: Direction) -> None:
    """Somebody on the path flips a bit of a handshake: the next attempt brings the message."""
    profile = MemoryProfile()
    async with proxy_to(server.network) as proxy, phone(server, "carol") as carol:

        async def come_back(number: int) -> None:
            await carol.send("bob", f"{number}")
            async with phone(
                server, "bob", profile=profile, network=proxy.network, answer_timeout_s=0.1
            ) as bob:
                assert (await bob.next_message()).body == f"{number}"
                assert bob.inbox == ()

        async with phone(server, "bob", profile=profile):
            pass
        await come_back(0)
        messages = {Direction.TO_SERVER: 2, Direction.TO_PHONE: 1}[direction]
        ends = proxy.conversations[-1].boundaries(direction)[:messages]
        for place in places_to_cut(ends)[:-1]:
            proxy.flip(direction, at_byte=place)
            await come_back(1 + place)
            assert proxy.fault_happened


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME], ids=lambda kind: kind.name)
@within(20)
async def test_a_replayed_first_message(server: Server, alice: ProfileState, kind: Kind) -> None:
    """Whoever saw a hello can say it again, and gets an answer that only the phone could read. That
    changes nothing: the phone's session goes on, and without one nobody is online."""
    credentials = login_with(server, alice) if kind is Kind.LOGIN else resume_with(alice)
    async with live_client(server, credentials) as client:
        async with await connect(server) as thief:
            await thief.send_all(client.hello)
            answer = bytes(await thief.receive_some(READ_BYTES))
            assert isinstance(parse_answer(answer), tuple)
            assert await server.count("now.sessions") == 2
            # Whatever the thief says now is a fault, for they have no keys.
            await thief.send_all(b"\0\x20" + bytes(32))
            await last_words(thief)
            assert await server.count("fault.bad_record") == 1
        await client.send(Ping(7))
        assert (await client.next_message(Pong)).n == 7
    await server.until(lambda stats: stats["now.connections"] == 1)

    async with await connect(server) as thief:
        await thief.send_all(client.hello)
        await thief.receive_some(READ_BYTES)
        assert await server.count("now.sessions") == 1
    assert await server.count("ended.replaced") == 0


@within(20)
async def test_a_ticket_of_another_server(
    server: Server, folder: Path, alice: ProfileState
) -> None:
    """Of one with the same users, and the same device numbers."""
    profile = MemoryProfile()
    async with (
        running_server(folder.with_name("other")) as other,
        phone(other, "alice", profile=profile),
    ):
        pass
    await is_refused(server, resume_with(saved(profile)), RefuseReason.TICKET_INVALID)
    assert await server.count("fault.ticket_invalid") == 1


@within(20)
async def test_an_expired_ticket(server: Server, alice: ProfileState) -> None:
    """Sealed with the server's own key, and a minute too old."""
    key_id, _, secret = DataFolder(server.data).ticket_keys.read_text().split()
    ring = TicketRing([TicketKey(int(key_id, 16), bytes.fromhex(secret))])
    now_ms = time.time_ns() // 1_000_000
    psk = bytes(32)
    for expires_at_ms, expected in ((now_ms - 60_000, False), (now_ms + 60_000, True)):
        ticket = ResumeTicket(2, "alice", 2, now_ms - 120_000, expires_at_ms, psk)
        credentials = ResumeWith(ring.seal(ticket, os.urandom), psk, Login(0))
        if expected:  # only the time is wrong with the other one
            async with live_client(server, credentials):
                pass
        else:
            await is_refused(server, credentials, RefuseReason.TICKET_INVALID)


@within(20)
async def test_a_ticket_without_its_key(server: Server, alice: ProfileState) -> None:
    """Tickets cross the network in clear; seeing one is not enough."""
    credentials = resume_with(alice)
    stolen = ResumeWith(credentials.ticket, bytes(32), Login(0))
    await is_refused(server, stolen, RefuseReason.HANDSHAKE_FAILED)


@within(20)
async def test_another_server_key(server: Server, alice: ProfileState) -> None:
    """A client that has pinned another server cannot be talked to, and learns nothing."""
    key = X25519PrivateKey.generate()
    credentials = login_with(server, alice)
    pinned = LoginWith(key.public_key().public_bytes_raw(), credentials.device_key, Login(0))
    await is_refused(server, pinned, RefuseReason.HANDSHAKE_FAILED)


@within(20)
async def test_an_unknown_device(server: Server) -> None:
    credentials = LoginWith(server.server_key, X25519PrivateKey.generate(), Login(0))
    async with raw_client(server, credentials) as client:
        assert await client.next_event() == Answered(Error(ErrorCode.DEVICE_UNKNOWN))
    assert await server.count("denied.device_unknown") == 1


@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("registration", list(Registration))
@within(20)
async def test_wrong_password_and_unknown_user(
    folder: Path, server: Server, registration: Registration, register: bool
) -> None:
    """Where strangers cannot register, the answer does not tell who has an account."""
    async with running_server(folder.with_name("other"), registration=registration) as other:
        await other.admin.add_user("carol", "carol's own")
        answers = []
        for user in ("carol", "nobody"):
            async with raw_client(other, enrol_with(other, user, "guess", register=register)) as c:
                assert await c.next_event() == Answered(None)
                await c.flush()
                answers.append(await c.any_message())
        wrong, unknown = answers
        closed = registration is Registration.CLOSED
        if register and not closed:
            assert wrong == Error(ErrorCode.ENROL_REFUSED)
            assert isinstance(unknown, Welcome)
        else:
            code = ErrorCode.REGISTRATION_CLOSED if register else ErrorCode.ENROL_REFUSED
            assert wrong == unknown == Error(code)
            assert await other.count(f"denied.{code}") == 2


async def is_refused(server: Server, credentials: Credentials, reason: RefuseReason) -> None:
    async with raw_client(server, credentials) as client:
        refused = await client.next_event()
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    assert await server.count("now.sessions") == 1
