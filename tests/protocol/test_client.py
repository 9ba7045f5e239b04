"""The client's side: what it makes of every answer, and whom it believes."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.protocol.sides import (
    DEVICE_STATIC,
    ENROL,
    LOGIN,
    PSK,
    SERVER_KEY,
    SERVER_STATIC,
    TICKET,
    WELCOME,
    FixedRandom,
    live_pair,
    make_client,
    make_server,
    pass_on,
    psk_for,
    server_in,
)

from hwangso_protocol.answer import (
    Accept,
    Defer,
    DeferReason,
    Refuse,
    RefuseReason,
    defer_authenticator,
    encode_answer,
)
from hwangso_protocol.client import Attempt, ClientConnection, LoginWith, ResumeWith
from hwangso_protocol.connection import Connection
from hwangso_protocol.errors import Fault
from hwangso_protocol.events import (
    Answered,
    Deferred,
    Event,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Refused,
)
from hwangso_protocol.hello import Intent, Kind, parse_hello
from hwangso_protocol.limits import UNAUTHENTICATED_DEFER_MAX_S
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Error,
    ErrorCode,
    Login,
    Message,
    More,
    Ping,
    Pong,
    encode,
)
from hwangso_protocol.noise import IK, HandshakeState
from hwangso_protocol.states import State

KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())


def fault_of(events: list[Event]) -> Fault:
    last = events[-1]
    assert isinstance(last, PeerFault)
    return last.error.fault


def sealed(connection: Connection, message: bytes) -> bytes:
    assert connection._records is not None
    return connection._records.seal(message)


@KINDS
def test_the_hello_says_what_the_attempt_is(kind: Kind) -> None:
    client = make_client(kind, intent=Intent.BACKGROUND, number=300, deferral_ticket=b"slot")
    raw = client.data_to_send()
    parsed = parse_hello(raw)
    assert parsed is not None
    hello, size = parsed
    assert size == len(raw)
    assert (hello.intent, hello.kind, hello.attempt) == (Intent.BACKGROUND, kind, 255)
    assert hello.deferral_ticket == b"slot"
    assert hello.resume_ticket == (TICKET if kind is Kind.RESUME else b"")
    assert client.state is State.HELLO


@KINDS
def test_the_hello_shows_nothing_of_its_payload(kind: Kind) -> None:
    raw = make_client(kind, login=Login(since=1, agent="tell-tale")).data_to_send()
    for secret in (b"tell-tale", PSK, b"alice", DEVICE_STATIC.public_key().public_bytes_raw()):
        assert secret not in raw


def test_a_hello_that_cannot_be_is_not_made() -> None:
    with pytest.raises(ValueError, match="hello too long"):
        make_client(Kind.LOGIN, login=Login(since=0, agent="x" * 1024))
    with pytest.raises(ValueError, match="exactly where"):
        ClientConnection(
            ResumeWith(b"", PSK, LOGIN), Attempt(Intent.FOREGROUND), FixedRandom("client")
        )


@KINDS
def test_a_key_made_beforehand_is_the_ephemeral_key(kind: Kind) -> None:
    key = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    client, server = make_client(kind, ephemeral=key), make_server()
    raw = client.data_to_send()
    parsed = parse_hello(raw)
    assert parsed is not None
    assert parsed[0].noise_message.startswith(key.public_key().public_bytes_raw())
    server.receive_data(raw)
    server.read_first_message(psk_for(kind))
    server.accept(None if kind is Kind.ENROL else WELCOME)
    assert pass_on(server, client) == [Answered(None if kind is Kind.ENROL else WELCOME)]


def test_the_password_is_sent_only_to_the_true_server_and_not_kept() -> None:
    client = make_client(Kind.ENROL)
    impostor = make_server(static=DEVICE_STATIC)
    raw = client.data_to_send()
    assert b"correct horse" not in raw
    impostor.receive_data(raw)
    # It cannot read the first message; what it could answer is no handshake.
    assert fault_of(client.receive_data(encode_answer(Accept(bytes(48))))) is (
        Fault.HANDSHAKE_FAILED
    )
    assert client.data_to_send() == b""
    enrolled = live_pair(Kind.ENROL)[0]
    assert enrolled._enrol is None
    resumed = live_pair(Kind.RESUME)[0]
    assert (resumed._psk, resumed._raw_hello) == (None, b"")


def test_an_enrolment_sends_its_request_by_itself() -> None:
    client, server = server_in(State.UNPROVEN, Kind.ENROL)
    assert pass_on(server, client) == [Answered(None)]
    assert client.state is State.ENROLLING
    assert MessageReceived(ENROL) in pass_on(client, server)


def test_records_right_behind_the_accept_are_read() -> None:
    client, server = server_in(State.UNPROVEN, Kind.LOGIN)
    answer = server.data_to_send()
    server.close(ByeReason.SHUTTING_DOWN)
    events = client.receive_data(answer + server.data_to_send())
    assert events == [Answered(WELCOME), PeerClosed(ByeReason.SHUTTING_DOWN)]


# ACCEPT


@KINDS
def test_every_flipped_bit_of_an_accept_is_a_fault(kind: Kind) -> None:
    server = server_in(State.UNPROVEN, kind)[1]
    answer = server.data_to_send()
    for at in range(len(answer)):
        for bit in range(8):
            client = make_client(kind)
            client.data_to_send()
            flipped = bytearray(answer)
            flipped[at] ^= 1 << bit
            events = client.receive_data(bytes(flipped))
            if at < 3:
                # Type and length are not authenticated: a longer answer is waited for, and an
                # ACCEPT's bytes read as a DEFER or REFUSE mean at most a bounded wait.
                assert_harmless(client, events)
            else:
                assert fault_of(events) is Fault.HANDSHAKE_FAILED
                assert client.state is State.CLOSED
            assert client.data_to_send() == b""


def assert_harmless(client: ClientConnection, events: list[Event]) -> None:
    assert client.state in {State.HELLO, State.CLOSED}
    for event in events:
        match event:
            case PeerFault():
                assert event.error.fault in {Fault.BAD_ANSWER, Fault.HANDSHAKE_FAILED}
            case Deferred():
                assert not event.authentic
                assert event.wait_s <= UNAUTHENTICATED_DEFER_MAX_S
            case _:
                assert isinstance(event, Refused)
                assert event.retry_after_s <= UNAUTHENTICATED_DEFER_MAX_S


@KINDS
def test_an_accept_for_another_hello_is_a_fault(kind: Kind) -> None:
    answer = server_in(State.UNPROVEN, kind)[1].data_to_send()
    client = make_client(kind, number=2)
    assert fault_of(client.receive_data(answer)) is Fault.HANDSHAKE_FAILED


@KINDS
@pytest.mark.parametrize("size", [0, 31, 32, 47])
def test_a_short_accept_is_a_fault(kind: Kind, size: int) -> None:
    client = make_client(kind)
    events = client.receive_data(encode_answer(Accept(bytes(size))))
    assert fault_of(events) is Fault.HANDSHAKE_FAILED


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", Fault.BAD_MESSAGE),
        (b"\xff", Fault.BAD_MESSAGE),
        (encode(Ping()), Fault.UNEXPECTED_MESSAGE),
        (encode(Login(since=0)), Fault.UNEXPECTED_MESSAGE),
        (b"\xa1\x61t\x66typing", Fault.UNEXPECTED_MESSAGE),
    ],
)
def test_an_accept_must_hold_a_welcome_or_an_error(payload: bytes, fault: Fault) -> None:
    client = make_client(Kind.LOGIN)
    parsed = parse_hello(client.data_to_send())
    assert parsed is not None
    handshake = HandshakeState(
        IK,
        initiator=False,
        prologue=parsed[0].prologue,
        random_bytes=FixedRandom("mad server"),
        static=SERVER_STATIC,
    )
    handshake.read_message(parsed[0].noise_message)
    answer = encode_answer(Accept(handshake.write_message(payload)))
    assert fault_of(client.receive_data(answer)) is fault
    assert client.state is State.CLOSED
    assert client.data_to_send() == b""


def test_a_denial_closes_and_nothing_behind_it_is_read() -> None:
    client, server = server_in(State.OPENED, Kind.LOGIN)
    error = Error(ErrorCode.USER_DISABLED)
    server.deny(error)
    assert client.receive_data(server.data_to_send() + b"more") == [Answered(error)]
    assert client.state is State.CLOSED


# DEFER


def test_a_deferral_of_a_resume_is_honoured_in_full() -> None:
    client, server = server_in(State.DECIDING, Kind.RESUME)
    server.defer(3_600_000, DeferReason.EMERGENCY, b"slot", PSK)
    assert pass_on(server, client) == [
        Deferred(3600.0, DeferReason.EMERGENCY, b"slot", authentic=True)
    ]
    assert client.state is State.CLOSED


@KINDS
@pytest.mark.parametrize(
    ("wait_ms", "honoured_s"), [(0, 0.0), (2_000, 2.0), (30_000, 30.0), (3_600_000, 30.0)]
)
def test_an_unauthenticated_deferral_is_honoured_in_bounds(
    kind: Kind, wait_ms: int, honoured_s: float
) -> None:
    client, server = server_in(State.DECIDING, kind)
    server.defer(wait_ms, DeferReason.BUSY, b"slot")
    assert pass_on(server, client) == [
        Deferred(honoured_s, DeferReason.BUSY, b"slot", authentic=False)
    ]


def test_every_flipped_bit_of_a_deferral_takes_its_authenticity() -> None:
    server = server_in(State.DECIDING, Kind.RESUME)[1]
    server.defer(3_600_000, DeferReason.SHIELD, b"slot", PSK)
    answer = server.data_to_send()
    for at in range(len(answer)):
        for bit in range(8):
            client = make_client(Kind.RESUME)
            flipped = bytearray(answer)
            flipped[at] ^= 1 << bit
            assert_harmless(client, client.receive_data(bytes(flipped)))


def test_a_deferral_of_another_attempt_is_not_authentic() -> None:
    """Recorded on the wire and played again at the next attempt."""
    server = server_in(State.DECIDING, Kind.RESUME)[1]
    server.defer(3_600_000, DeferReason.BUSY, b"slot", PSK)
    client = make_client(Kind.RESUME, number=2)
    assert client.receive_data(server.data_to_send()) == [
        Deferred(30.0, DeferReason.BUSY, b"slot", authentic=False)
    ]


def test_an_unknown_reason_is_covered_by_the_authenticator() -> None:
    client = make_client(Kind.RESUME)
    raw = client.data_to_send()
    authenticator = defer_authenticator(PSK, raw, 60_000, 77, b"")
    answer = Defer(60_000, DeferReason(77), b"", authenticator)
    events = client.receive_data(encode_answer(answer))
    assert events == [Deferred(60.0, DeferReason(77), b"", authentic=True)]


# REFUSE and garbage


@KINDS
@pytest.mark.parametrize(
    ("retry_after_ms", "honoured_s"), [(0, 0.0), (1_500, 1.5), (2**32 - 1, 30.0)]
)
def test_a_refusal_is_one_failed_attempt(
    kind: Kind, retry_after_ms: int, honoured_s: float
) -> None:
    """Anybody on the path can say it, so its wait is bounded like an unauthenticated DEFER's."""
    for reason in (*RefuseReason, RefuseReason(200)):
        client = make_client(kind)
        events = client.receive_data(encode_answer(Refuse(reason, retry_after_ms)))
        assert events == [Refused(reason, honoured_s)]
        assert client.state is State.CLOSED


@KINDS
@pytest.mark.parametrize("data", [b"HTTP/1.1 400", b"\x00", b"R\x00\x01\x01", b"D\x00\x00"])
def test_another_answer_is_a_fault(kind: Kind, data: bytes) -> None:
    client = make_client(kind)
    client.data_to_send()
    assert fault_of(client.receive_data(data)) is Fault.BAD_ANSWER
    assert client.data_to_send() == b""


# Messages out of place


@pytest.mark.parametrize(
    ("kind", "message"), [(Kind.LOGIN, WELCOME), (Kind.RESUME, WELCOME), (Kind.ENROL, WELCOME)]
)
def test_a_second_welcome_is_a_fault(kind: Kind, message: Message) -> None:
    client, server = live_pair(kind)
    events = client.receive_data(sealed(server, encode(message)))
    assert fault_of(events) is Fault.UNEXPECTED_MESSAGE
    assert pass_on(client, server) == [PeerClosed(ByeReason.PROTOCOL_ERROR)]


def test_while_enrolling_few_messages_may_come() -> None:
    for message in (Ping(n=1), Pong(n=1)):
        client, server = server_in(State.ENROLLING, Kind.ENROL)
        assert client.receive_data(sealed(server, encode(message))) == [MessageReceived(message)]
        assert client.state is State.ENROLLING
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    events = client.receive_data(sealed(server, encode(More(head=1))))
    assert fault_of(events) is Fault.UNEXPECTED_MESSAGE
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    bye = sealed(server, encode(Bye(ByeReason.SHUTTING_DOWN)))
    assert client.receive_data(bye) == [PeerClosed(ByeReason.SHUTTING_DOWN)]


def test_an_error_ends_an_enrolment_and_not_a_session() -> None:
    error = Error(ErrorCode.ENROL_REFUSED)
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    assert client.receive_data(sealed(server, encode(error)) + b"more") == [MessageReceived(error)]
    assert client.state is State.CLOSED
    client, server = live_pair()
    assert client.receive_data(sealed(server, encode(error))) == [MessageReceived(error)]
    assert client.state is State.LIVE


def test_credentials_are_what_the_server_needs() -> None:
    """The same device logs in with its key and resumes with its ticket."""
    login = LoginWith(SERVER_KEY, DEVICE_STATIC, LOGIN)
    client = ClientConnection(login, Attempt(Intent.FOREGROUND), FixedRandom("a"))
    server = make_server()
    pass_on(client, server)
    assert server.read_first_message(psk_for(Kind.LOGIN)).login == LOGIN
