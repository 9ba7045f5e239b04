"""The server's side: what it answers, whom it believes, and what a caller may not do."""

import struct
from collections.abc import Callable

import pytest
from tests.protocol.sides import (
    DEVICE_KEY,
    DEVICE_STATIC,
    ENROL,
    LOGIN,
    PSK,
    SERVER_KEY,
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

from hwangso_protocol.answer import Accept, DeferReason, Refuse, RefuseReason, parse_answer
from hwangso_protocol.connection import Connection
from hwangso_protocol.errors import Fault, LocalProtocolError, ProtocolError
from hwangso_protocol.events import (
    Answered,
    Deferred,
    Event,
    HelloReceived,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Proven,
)
from hwangso_protocol.hello import HEADER, Hello, Intent, Kind, encode_header, prologue_of
from hwangso_protocol.limits import (
    ANSWER_PAYLOAD_MAX_BYTES,
    HELLO_MAX_BYTES,
    PAGE_MAX_ENTRIES,
)
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Deliver,
    Entry,
    Error,
    ErrorCode,
    Login,
    Message,
    Ping,
    Pong,
    Ready,
    Send,
    Welcome,
    encode,
)
from hwangso_protocol.noise import IK, NNPSK0, HandshakeState
from hwangso_protocol.server import FirstMessage, ServerConnection
from hwangso_protocol.states import State

KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
DENIED = Error(ErrorCode.DEVICE_REVOKED, "revoked")


def refusal_in(server: ServerConnection) -> RefuseReason:
    """The reason of the REFUSE that waits to be sent."""
    parsed = parse_answer(server.data_to_send())
    assert parsed is not None
    answer = parsed[0]
    assert isinstance(answer, Refuse)
    return answer.reason


def fault_of(events: list[Event]) -> Fault:
    last = events[-1]
    assert isinstance(last, PeerFault)
    return last.error.fault


def hello_with(payload: bytes, kind: Kind) -> bytes:
    """A hello with any payload, by a client that holds the true keys."""
    pattern = IK if kind is Kind.LOGIN else NNPSK0
    size = len(payload) + (96 if kind is Kind.LOGIN else 48)
    ticket = TICKET if kind is Kind.RESUME else b""
    header = encode_header(Intent.FOREGROUND, kind, 1, ticket, b"", size)
    handshake = HandshakeState(
        pattern,
        initiator=True,
        prologue=prologue_of(header),
        random_bytes=FixedRandom("mad"),
        static=DEVICE_STATIC,
        remote_static=SERVER_KEY,
        psk=psk_for(kind),
    )
    return header + handshake.write_message(payload)


# The course of a session


@KINDS
def test_a_hello_is_there_to_decide_about(kind: Kind) -> None:
    client = make_client(kind, intent=Intent.BACKGROUND, number=4, deferral_ticket=b"slot")
    server = make_server()
    raw = client.data_to_send()
    events = server.receive_data(raw)
    assert len(events) == 1
    assert isinstance(events[0], HelloReceived)
    hello: Hello = events[0].hello
    assert (hello.intent, hello.kind, hello.attempt) == (Intent.BACKGROUND, kind, 4)
    assert hello.deferral_ticket == b"slot"
    assert hello.resume_ticket == (TICKET if kind is Kind.RESUME else b"")
    assert hello.raw == raw
    assert server.data_to_send() == b""


def test_a_login() -> None:
    client, server = server_in(State.DECIDING, Kind.LOGIN)
    assert server.read_first_message() == FirstMessage(device_key=DEVICE_KEY, login=LOGIN)
    server.accept(WELCOME)
    assert pass_on(server, client) == [Answered(WELCOME)]
    client.send(Ready())
    assert pass_on(client, server) == [Proven(), MessageReceived(Ready())]
    assert server.state is State.LIVE


def test_a_resume() -> None:
    client, server = server_in(State.DECIDING, Kind.RESUME)
    assert server.read_first_message(PSK) == FirstMessage(device_key=None, login=LOGIN)
    server.accept(WELCOME)
    assert pass_on(server, client) == [Answered(WELCOME)]
    send = Send(bytes(16), "bob", "first of all")
    client.send(send)
    assert pass_on(client, server) == [Proven(), MessageReceived(send)]


def test_an_enrolment() -> None:
    client, server = server_in(State.DECIDING, Kind.ENROL)
    assert server.read_first_message() == FirstMessage(device_key=None, login=None)
    server.accept(None)
    assert pass_on(server, client) == [Answered(None)]
    assert pass_on(client, server) == [Proven(), MessageReceived(ENROL)]
    server.welcome_enrolled(WELCOME)
    assert server.state is State.LIVE
    assert pass_on(server, client) == [MessageReceived(WELCOME)]
    assert client.state is State.LIVE


def test_an_enrolment_that_fails() -> None:
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    error = Error(ErrorCode.ENROL_REFUSED, "name or password")
    server.fail_enrolment(error)
    assert server.state is State.CLOSED
    assert pass_on(server, client) == [MessageReceived(error)]
    assert client.state is State.CLOSED


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
def test_a_denial_is_authenticated(kind: Kind) -> None:
    client, server = server_in(State.OPENED, kind)
    server.deny(DENIED)
    assert server.state is State.CLOSED
    answer = bytearray(server.data_to_send())
    assert client.receive_data(bytes(answer)) == [Answered(DENIED)]
    answer[-1] ^= 1
    other = make_client(kind)
    assert fault_of(other.receive_data(bytes(answer))) is Fault.HANDSHAKE_FAILED


@KINDS
@pytest.mark.parametrize("state", [State.DECIDING, State.OPENED])
def test_a_refusal_after_the_hello(kind: Kind, state: State) -> None:
    client, server = server_in(state, kind)
    server.refuse(RefuseReason.FULL, 2_500)
    assert server.state is State.CLOSED
    assert server.data_to_send() == b"R\x00\x05\x05\x00\x00\x09\xc4"
    assert client.state is State.HELLO


def test_a_server_may_refuse_before_the_hello_is_whole() -> None:
    server = make_server()
    server.receive_data(b"HWNG")
    server.refuse(RefuseReason.SHUTTING_DOWN)
    assert refusal_in(server) is RefuseReason.SHUTTING_DOWN


@pytest.mark.parametrize("wait_ms", [0, 1_500, 600_000])
def test_a_deferral_is_authentic_for_who_resumes(wait_ms: int) -> None:
    client, server = server_in(State.DECIDING, Kind.RESUME)
    server.defer(wait_ms, DeferReason.EMERGENCY, b"slot", PSK)
    assert server.state is State.CLOSED
    assert pass_on(server, client) == [
        Deferred(wait_ms / 1000, DeferReason.EMERGENCY, b"slot", authentic=True)
    ]


# Faults before the handshake


@pytest.mark.parametrize(
    ("data", "fault", "reason"),
    [
        (b"HWNG\x02", Fault.UNKNOWN_VERSION, RefuseReason.UNKNOWN_VERSION),
        (HEADER.pack(b"HWNG", 1, 0x46, 9, 1, 0, 0, 48), Fault.BAD_HELLO, RefuseReason.BAD_HELLO),
        (
            HEADER.pack(b"HWNG", 1, 0x46, 2, 1, 0, 0, 9_999),
            Fault.BAD_HELLO,
            RefuseReason.BAD_HELLO,
        ),
    ],
)
def test_a_bad_hello_is_refused_in_clear(data: bytes, fault: Fault, reason: RefuseReason) -> None:
    server = make_server()
    assert fault_of(server.receive_data(data)) is fault
    assert server.state is State.CLOSED
    assert refusal_in(server) is reason


def test_a_stranger_is_not_answered_at_all() -> None:
    server = make_server()
    assert fault_of(server.receive_data(b"GET / HTTP/1.1\r\n")) is Fault.BAD_MAGIC
    assert server.data_to_send() == b""
    assert server.state is State.CLOSED


def test_a_trickle_is_buffered_up_to_one_hello_only() -> None:
    server = make_server()
    size = HELLO_MAX_BYTES - HEADER.size
    for byte in HEADER.pack(b"HWNG", 1, 0x46, 2, 1, 0, 0, size) + bytes(size - 1):
        assert server.receive_data(bytes([byte])) == []
    assert len(server._incoming) == HELLO_MAX_BYTES - 1


def test_bytes_behind_the_hello_are_a_fault() -> None:
    raw = make_client(Kind.LOGIN).data_to_send()
    server = make_server()
    assert fault_of(server.receive_data(raw + b"x")) is Fault.BAD_HELLO
    assert refusal_in(server) is RefuseReason.BAD_HELLO


@pytest.mark.parametrize("state", [State.DECIDING, State.OPENED])
def test_bytes_before_the_answer_are_a_fault(state: State) -> None:
    server = server_in(state, Kind.LOGIN)[1]
    assert fault_of(server.receive_data(b"x")) is Fault.BAD_HELLO
    assert refusal_in(server) is RefuseReason.BAD_HELLO
    with pytest.raises(LocalProtocolError):
        server.accept(WELCOME)
    with pytest.raises(LocalProtocolError):
        server.read_first_message()


# Faults in the handshake


def handshake_outcome(raw: bytes, kind: Kind) -> tuple[str, Hello | None]:
    """How far a server gets with these bytes: what stopped it, or "opened"."""
    server = make_server()
    events = server.receive_data(raw)
    if not events:
        return "incomplete", None
    if isinstance(events[0], PeerFault):
        return events[0].error.fault, None
    assert isinstance(events[0], HelloReceived)
    hello = events[0].hello
    if hello.kind is not kind:
        # A flipped kind alone: a server that goes on would use another pattern, as here.
        kind = hello.kind
    try:
        server.read_first_message(psk_for(kind))
    except ProtocolError as error:
        assert server.state is State.CLOSED
        assert refusal_in(server) in {RefuseReason.HANDSHAKE_FAILED, RefuseReason.BAD_HELLO}
        return error.fault, hello
    return "opened", hello


@KINDS
def test_every_flipped_bit_of_a_hello_ends_in_a_documented_fault(kind: Kind) -> None:
    raw = make_client(kind, deferral_ticket=b"a slot").data_to_send()
    assert handshake_outcome(raw, kind)[0] == "opened"
    seen = set()
    for at in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[at] ^= 1 << bit
            outcome, _ = handshake_outcome(bytes(flipped), kind)
            seen.add(outcome)
    assert seen == {
        Fault.BAD_MAGIC,
        Fault.UNKNOWN_VERSION,
        Fault.BAD_HELLO,
        Fault.HANDSHAKE_FAILED,
        "incomplete",  # a longer Noise message was announced; the hello deadline ends that
    }


@KINDS
@pytest.mark.parametrize("intent", [*range(256)])
def test_no_flipped_intent_opens(kind: Kind, intent: int) -> None:
    raw = bytearray(make_client(kind, intent=Intent.BACKGROUND).data_to_send())
    is_true = raw[5] == intent
    raw[5] = intent
    outcome, hello = handshake_outcome(bytes(raw), kind)
    assert hello is not None
    assert hello.intent is (Intent.FOREGROUND if intent == 0x46 else Intent.BACKGROUND)
    assert outcome == ("opened" if is_true else Fault.HANDSHAKE_FAILED)


@KINDS
def test_a_cut_hello_stays_incomplete(kind: Kind) -> None:
    raw = make_client(kind).data_to_send()
    for length in range(len(raw)):
        server = make_server()
        assert server.receive_data(raw[:length]) == []
        assert server.data_to_send() == b""
        assert server.state is State.HELLO


def test_a_hello_for_another_server_is_refused() -> None:
    client = make_client(Kind.LOGIN)
    server = make_server(static=DEVICE_STATIC)
    pass_on(client, server)
    with pytest.raises(ProtocolError) as caught:
        server.read_first_message()
    assert caught.value.fault is Fault.HANDSHAKE_FAILED
    assert refusal_in(server) is RefuseReason.HANDSHAKE_FAILED


def test_a_resume_with_another_psk_is_refused() -> None:
    server = server_in(State.DECIDING, Kind.RESUME)[1]
    with pytest.raises(ProtocolError) as caught:
        server.read_first_message(bytes(32))
    assert caught.value.fault is Fault.HANDSHAKE_FAILED
    assert refusal_in(server) is RefuseReason.HANDSHAKE_FAILED


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", Fault.BAD_MESSAGE),
        (b"garbage", Fault.BAD_MESSAGE),
        (encode(Login(since=0)) + b"\x00", Fault.BAD_MESSAGE),
        (b"\xa1\x61t\x66typing", Fault.UNEXPECTED_MESSAGE),
        (encode(Ready()), Fault.UNEXPECTED_MESSAGE),
    ],
)
def test_a_first_message_must_hold_a_login(kind: Kind, payload: bytes, fault: Fault) -> None:
    server = make_server()
    server.receive_data(hello_with(payload, kind))
    with pytest.raises(ProtocolError) as caught:
        server.read_first_message(psk_for(kind))
    assert caught.value.fault is fault
    assert refusal_in(server) is RefuseReason.BAD_HELLO
    assert server.state is State.CLOSED


# Replays, and proof


@KINDS
def test_a_replayed_first_message_comes_to_unproven_and_no_further(kind: Kind) -> None:
    client = make_client(kind)
    raw = client.data_to_send()
    first = make_server()
    first.receive_data(raw)
    first.read_first_message(psk_for(kind))
    first.accept(None if kind is Kind.ENROL else WELCOME)
    pass_on(first, client)
    if kind is not Kind.ENROL:
        client.send(Ready())
    records = client.data_to_send()
    assert first.receive_data(records)[0] == Proven()

    replayed = ServerConnection(first._static, FixedRandom("another ephemeral"))
    assert isinstance(replayed.receive_data(raw)[0], HelloReceived)
    replayed.read_first_message(psk_for(kind))
    replayed.accept(None if kind is Kind.ENROL else WELCOME)
    with pytest.raises(LocalProtocolError, match="in state 'unproven'"):
        replayed.send(Ping())
    # Whoever replays has no keys: even the rest of what was seen on the wire is a fault.
    assert fault_of(replayed.receive_data(records)) is Fault.BAD_RECORD
    assert replayed.state is State.CLOSED


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
@pytest.mark.parametrize("message", [Ready(), Ping(n=1), Send(bytes(16), "bob", "hi")])
def test_any_known_message_proves_the_keys(kind: Kind, message: Message) -> None:
    client, server = server_in(State.UNPROVEN, kind)
    pass_on(server, client)
    client.send(message)
    assert pass_on(client, server) == [Proven(), MessageReceived(message)]


def test_a_bye_proves_nothing() -> None:
    client, server = server_in(State.UNPROVEN, Kind.LOGIN)
    pass_on(server, client)
    client.close(ByeReason.CLOSED)
    assert pass_on(client, server) == [PeerClosed(ByeReason.CLOSED)]


@pytest.mark.parametrize(
    ("state", "kind"), [(State.UNPROVEN, Kind.LOGIN), (State.ENROLLING, Kind.ENROL)]
)
def test_strangers_get_no_answer_to_unknown_messages(state: State, kind: Kind) -> None:
    client, server = server_in(state, kind)
    pass_on(server, client)
    (event,) = server.receive_data(sealed(client, b"\xa1\x61t\x66typing"))
    assert isinstance(event, PeerFault)
    assert event.error.fault is Fault.UNEXPECTED_MESSAGE
    assert server.state is State.CLOSED


def sealed(connection: Connection, message: bytes) -> bytes:
    assert connection._records is not None
    return connection._records.seal(message)


# Messages out of place


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        (State.UNPROVEN, Kind.LOGIN, LOGIN),
        (State.UNPROVEN, Kind.LOGIN, ENROL),
        (State.UNPROVEN, Kind.ENROL, Ready()),
        (State.UNPROVEN, Kind.ENROL, LOGIN),
        (State.UNPROVEN, Kind.ENROL, Send(bytes(16), "bob", "hi")),
        (State.ENROLLING, Kind.ENROL, ENROL),
        (State.ENROLLING, Kind.ENROL, Ready()),
        (State.ENROLLING, Kind.ENROL, Send(bytes(16), "bob", "hi")),
        (State.LIVE, Kind.LOGIN, LOGIN),
        (State.LIVE, Kind.LOGIN, ENROL),
        (State.LIVE, Kind.ENROL, ENROL),
    ],
)
def test_a_message_out_of_place_is_a_fault(state: State, kind: Kind, message: Message) -> None:
    client, server = server_in(state, kind)
    if state is State.UNPROVEN:
        pass_on(server, client)
        client.data_to_send()
        assert client._records is not None
        client._records._send.nonce = 0  # as if nothing had been sealed yet
    events = server.receive_data(sealed(client, encode(message)))
    assert [type(event) for event in events] == [PeerFault]
    assert fault_of(events) is Fault.UNEXPECTED_MESSAGE
    assert pass_on(server, client) == [PeerClosed(ByeReason.PROTOCOL_ERROR)]


@pytest.mark.parametrize(
    "message", [Ping(n=3), Pong(n=3), Error(ErrorCode.UNKNOWN_MESSAGE, "queued")]
)
def test_who_enrols_may_say_these(message: Message) -> None:
    """An Error too: an old client answers with one to what a newer server may say meanwhile."""
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    assert server.receive_data(sealed(client, encode(message))) == [MessageReceived(message)]
    assert server.state is State.ENROLLING


def test_who_enrols_may_leave() -> None:
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    assert server.receive_data(sealed(client, encode(Bye()))) == [PeerClosed(ByeReason.CLOSED)]
    assert server.state is State.CLOSED


# What a caller may not do


def test_calls_out_of_order_raise_and_send_nothing() -> None:
    calls: dict[str, tuple[Callable[[ServerConnection], object], set[State]]] = {
        "read_first_message": (lambda server: server.read_first_message(), {State.DECIDING}),
        "defer": (lambda server: server.defer(1, DeferReason.BUSY), {State.DECIDING}),
        "refuse": (
            lambda server: server.refuse(RefuseReason.FULL),
            {State.HELLO, State.DECIDING, State.OPENED},
        ),
        "accept": (lambda server: server.accept(WELCOME), {State.OPENED}),
        "deny": (lambda server: server.deny(DENIED), {State.OPENED}),
        "welcome_enrolled": (lambda server: server.welcome_enrolled(WELCOME), set()),
        "fail_enrolment": (lambda server: server.fail_enrolment(DENIED), set()),
    }
    for name, (call, allowed) in calls.items():
        for state in State:
            if state in {State.ENROLLING, *allowed}:
                continue
            server = server_in(State.LIVE if state is State.CLOSED else state, Kind.LOGIN)[1]
            if state is State.CLOSED:
                server.close(ByeReason.CLOSED)
            server.data_to_send()
            with pytest.raises(LocalProtocolError):
                call(server)
            assert server.state is state, name
            assert server.data_to_send() == b"", name


@pytest.mark.parametrize("state", [State.UNPROVEN, State.LIVE])
def test_an_enrolment_is_settled_once(state: State) -> None:
    server = server_in(state, Kind.ENROL)[1]
    server.data_to_send()
    with pytest.raises(LocalProtocolError):
        server.welcome_enrolled(WELCOME)
    with pytest.raises(LocalProtocolError):
        server.fail_enrolment(DENIED)
    assert server.state is state
    assert server.data_to_send() == b""


def test_an_answer_must_suit_the_kind() -> None:
    with pytest.raises(LocalProtocolError, match="exactly for a login or resume"):
        server_in(State.OPENED, Kind.ENROL)[1].accept(WELCOME)
    with pytest.raises(LocalProtocolError, match="exactly for a login or resume"):
        server_in(State.OPENED, Kind.LOGIN)[1].accept(None)
    with pytest.raises(LocalProtocolError, match="fail_enrolment"):
        server_in(State.OPENED, Kind.ENROL)[1].deny(DENIED)
    with pytest.raises(ValueError, match="a psk exactly where"):
        server_in(State.DECIDING, Kind.RESUME)[1].read_first_message()
    with pytest.raises(ValueError, match="a psk exactly where"):
        server_in(State.DECIDING, Kind.LOGIN)[1].read_first_message(PSK)


def welcome_of(payload_bytes: int) -> Welcome:
    """A Welcome whose encoding has exactly so many bytes."""

    def build(last_body: int) -> Welcome:
        bodies = [2_000] * 30 + [last_body]
        entries = tuple(
            Entry(seq=n, id=bytes(16), sender="bob", to="alice", body="x" * size, at_ms=1)
            for n, size in enumerate(bodies, 1)
        )
        return Welcome(
            user=WELCOME.user,
            device=WELCOME.device,
            ticket=WELCOME.ticket,
            psk=WELCOME.psk,
            ticket_lifetime_ms=1,
            since=0,
            head=31,
            policy=WELCOME.policy,
            entries=entries,
        )

    welcome = build(1_000 + payload_bytes - len(encode(build(1_000))))
    assert len(encode(welcome)) == payload_bytes
    return welcome


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
def test_the_largest_answer_fits_and_a_larger_one_changes_nothing(kind: Kind) -> None:
    client, server = server_in(State.OPENED, kind)
    with pytest.raises(ValueError, match="answer of 65488 bytes, at most 65487 fit"):
        server.accept(welcome_of(ANSWER_PAYLOAD_MAX_BYTES + 1))
    assert server.state is State.OPENED
    assert server.data_to_send() == b""
    largest = welcome_of(ANSWER_PAYLOAD_MAX_BYTES)
    server.accept(largest)
    data = server.data_to_send()
    parsed = parse_answer(data)
    assert parsed is not None
    assert isinstance(parsed[0], Accept)
    assert len(parsed[0].noise_message) == 65_535
    assert client.receive_data(data) == [Answered(largest)]


def test_an_enrolments_welcome_that_is_too_large_changes_nothing() -> None:
    client, server = server_in(State.ENROLLING, Kind.ENROL)
    bodies = tuple(
        Entry(seq=n, id=bytes(16), sender="bob", to="alice", body="x" * 4_096, at_ms=1)
        for n in range(PAGE_MAX_ENTRIES)
    )
    with pytest.raises(ValueError, match="at most"):
        server.welcome_enrolled(Welcome("alice", 3, TICKET, PSK, 1, 0, 128, WELCOME.policy, bodies))
    assert server.state is State.ENROLLING
    server.welcome_enrolled(WELCOME)
    assert pass_on(server, client) == [MessageReceived(WELCOME)]


def test_numbers_the_wire_cannot_carry_change_nothing() -> None:
    server = server_in(State.DECIDING, Kind.LOGIN)[1]
    with pytest.raises(struct.error):
        server.defer(2**32, DeferReason.BUSY)
    with pytest.raises(struct.error):
        server.refuse(RefuseReason.FULL, 2**32)
    assert server.state is State.DECIDING
    assert server.data_to_send() == b""


def test_a_live_server_delivers() -> None:
    client, server = live_pair(Kind.RESUME)
    deliver = Deliver((Entry(8, bytes(16), "bob", "alice", "안녕", 1),))
    server.send(deliver)
    assert pass_on(server, client) == [MessageReceived(deliver)]
