"""What both sides share: bytes in any portions, the rules of closing, and no surprise ever."""

import gc

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.protocol import strategies
from tests.protocol.sides import (
    WELCOME,
    live_pair,
    make_client,
    make_server,
    pass_on,
    psk_for,
    server_in,
)

from hwangso_protocol.connection import Connection
from hwangso_protocol.errors import Fault, LocalProtocolError, ProtocolError
from hwangso_protocol.events import (
    Answered,
    Event,
    HelloReceived,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Proven,
    UnknownMessage,
)
from hwangso_protocol.hello import Kind
from hwangso_protocol.limits import MESSAGE_MAX_BYTES
from hwangso_protocol.messages import (
    FROM_CLIENT,
    FROM_SERVER,
    Bye,
    ByeReason,
    Deliver,
    Error,
    ErrorCode,
    Foreground,
    Message,
    Ping,
    Ready,
    Send,
    Sync,
    encode,
)
from hwangso_protocol.states import State

KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
SERVER_STATES = [
    (State.HELLO, Kind.LOGIN),
    (State.DECIDING, Kind.LOGIN),
    (State.OPENED, Kind.LOGIN),
    (State.UNPROVEN, Kind.LOGIN),
    (State.UNPROVEN, Kind.ENROL),
    (State.UNPROVEN, Kind.RESUME),
    (State.ENROLLING, Kind.ENROL),
    (State.LIVE, Kind.LOGIN),
    (State.LIVE, Kind.ENROL),
    (State.CLOSED, Kind.LOGIN),
]


def server_side(state: State, kind: Kind) -> Connection:
    if state is State.CLOSED:
        server = live_pair(kind)[1]
        server.close(ByeReason.CLOSED)
        return server
    return server_in(state, kind)[1]


def client_side(state: State, kind: Kind) -> Connection:
    if state is State.CLOSED:
        client = live_pair(kind)[0]
        client.close(ByeReason.CLOSED)
        return client
    if state is State.HELLO:
        client = make_client(kind)
        client.data_to_send()
        return client
    client = server_in(state, kind)[0]
    assert client.state is state
    return client


CLIENT_STATES = [
    (State.HELLO, Kind.ENROL),
    (State.HELLO, Kind.LOGIN),
    (State.HELLO, Kind.RESUME),
    (State.ENROLLING, Kind.ENROL),
    (State.LIVE, Kind.LOGIN),
    (State.LIVE, Kind.ENROL),
    (State.CLOSED, Kind.LOGIN),
]


class Channel:
    """A byte stream one way: what is written comes out in the order and portions one likes."""

    def __init__(self, sender: Connection, receiver: Connection) -> None:
        self.sender = sender
        self.receiver = receiver
        self.events: list[Event] = []
        self._on_the_way = b""

    def carry(self, size: int) -> None:
        """Bring up to `size` bytes over, in one portion."""
        self._on_the_way += self.sender.data_to_send()
        portion, self._on_the_way = self._on_the_way[:size], self._on_the_way[size:]
        if portion:
            self.events += self.receiver.receive_data(portion)

    @property
    def messages(self) -> list[Message]:
        return [event.message for event in self.events if isinstance(event, MessageReceived)]


class TwoSides(RuleBasedStateMachine):
    """A client and a server joined by two channels that split and join bytes as they like."""

    @initialize(kind=st.sampled_from(Kind), rekey_after=st.integers(1, 5))
    def connect(self, kind: Kind, rekey_after: int) -> None:
        self.kind = kind
        self.client = make_client(kind, rekey_after=rekey_after)
        self.server = make_server(rekey_after=rekey_after)
        self.up = Channel(self.client, self.server)
        self.down = Channel(self.server, self.client)
        self.sent_up: list[Message] = []
        self.sent_down: list[Message] = []
        self.ended = False

    @rule(size=st.integers(1, 5) | st.integers(1, 3000))
    def carry_up(self, size: int) -> None:
        self.up.carry(size)

    @rule(size=st.integers(1, 5) | st.integers(1, 3000))
    def carry_down(self, size: int) -> None:
        self.down.carry(size)

    @precondition(lambda self: self.server.state is State.DECIDING)
    @rule()
    def accept(self) -> None:
        self.server.read_first_message(psk_for(self.kind))
        self.server.accept(None if self.kind is Kind.ENROL else WELCOME)

    @precondition(lambda self: self.server.state is State.ENROLLING)
    @rule()
    def welcome(self) -> None:
        self.server.welcome_enrolled(WELCOME)
        self.sent_down.append(WELCOME)

    @precondition(lambda self: self.client.state is State.LIVE)
    @rule(message=st.one_of(*strategies.FROM_CLIENT.values()))
    def send_up(self, message: Message) -> None:
        if type(message).__name__ in {"Login", "Enrol"}:
            message = Ready()
        self.client.send(message)
        self.sent_up.append(message)

    @precondition(lambda self: self.server.state is State.LIVE)
    @rule(message=st.one_of(*strategies.FROM_SERVER.values()))
    def send_down(self, message: Message) -> None:
        if type(message).__name__ == "Welcome":
            message = Ping()
        self.server.send(message)
        self.sent_down.append(message)

    @rule()
    def cool(self) -> None:
        self.client.cool()
        self.server.cool()

    @precondition(lambda self: self.client.state is State.LIVE and not self.ended)
    @rule()
    def bye(self) -> None:
        self.client.close(ByeReason.CLOSED)
        self.ended = True

    @invariant()
    def nothing_is_lost_altered_or_reordered(self) -> None:
        got_up = self.up.messages
        if self.kind is Kind.ENROL:
            got_up = got_up[1:]
        assert got_up == self.sent_up[: len(got_up)]
        assert self.down.messages == self.sent_down[: len(self.down.messages)]
        assert not any(isinstance(event, PeerFault) for event in self.up.events)
        assert not any(isinstance(event, PeerFault) for event in self.down.events)

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        self.up.carry(10**9)
        if self.server.state is State.DECIDING:
            self.accept()
        self.down.carry(10**9)
        self.up.carry(10**9)
        if self.server.state is State.ENROLLING:
            self.welcome()
        self.down.carry(10**9)
        self.nothing_is_lost_altered_or_reordered()
        if not self.ended:
            assert self.client.state is State.LIVE
            assert self.down.messages == self.sent_down
        assert len(self.up.messages) == len(self.sent_up) + (self.kind is Kind.ENROL)
        assert self.server.state in {State.LIVE, State.UNPROVEN, State.CLOSED}
        if self.kind is not Kind.ENROL:
            # It is online exactly if the client said anything after the handshake.
            proofs = [event for event in self.up.events if isinstance(event, Proven)]
            assert len(proofs) == bool(self.sent_up)
        assert (self.server.state is State.CLOSED) == self.ended


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=60, stateful_step_count=30)


@KINDS
def test_a_session_byte_by_byte(kind: Kind) -> None:
    client, server = make_client(kind), make_server()
    up, down = Channel(client, server), Channel(server, client)

    def carry_all(channel: Channel) -> None:
        for _ in range(2000):
            channel.carry(1)

    carry_all(up)
    assert [type(event) for event in up.events] == [HelloReceived]
    server.read_first_message(psk_for(kind))
    server.accept(None if kind is Kind.ENROL else WELCOME)
    carry_all(down)
    assert down.events == [Answered(None if kind is Kind.ENROL else WELCOME)]
    if kind is not Kind.ENROL:
        client.send(Ready())
    carry_all(up)
    assert isinstance(up.events[1], Proven)
    assert len(up.messages) == 1


@KINDS
def test_a_whole_conversation_may_come_in_one_portion(kind: Kind) -> None:
    client, server = live_pair(kind)
    sent: list[Message] = [Foreground(), Send(bytes(16), "bob", "안녕"), Sync(since=4), Ping(n=1)]
    for message in sent:
        client.send(message)
    client.close(ByeReason.CLOSED)
    assert pass_on(client, server) == [
        *(MessageReceived(message) for message in sent),
        PeerClosed(ByeReason.CLOSED),
    ]


def test_the_answer_and_the_first_messages_may_come_in_one_portion() -> None:
    """A server may be proven and answer before the client has read what came before."""
    client, server = server_in(State.UNPROVEN, Kind.ENROL)
    answer = server.data_to_send()
    client.receive_data(answer)
    pass_on(client, server)
    server.welcome_enrolled(WELCOME)
    server.send(Ping(n=5))
    late = make_client(Kind.ENROL)
    late.data_to_send()
    events = late.receive_data(answer + server.data_to_send())
    assert events == [Answered(None), MessageReceived(WELCOME), MessageReceived(Ping(n=5))]


# Fuzz: whatever comes, at whatever moment, is told by documented events and never raises.


def assert_survives(connection: Connection, portions: list[bytes]) -> None:
    for portion in portions:
        was_closed = connection.state is State.CLOSED
        events = connection.receive_data(portion)
        assert not (was_closed and events)
        for event in events[:-1]:
            assert not isinstance(event, PeerFault | PeerClosed)
        if events and isinstance(events[-1], PeerFault):
            assert connection.state is State.CLOSED
            assert isinstance(events[-1].error, ProtocolError)
    connection.data_to_send()
    connection.receive_eof()
    assert connection.state is State.CLOSED


PORTIONS = st.lists(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda tail: b"HWNG\x01" + tail)
    | st.binary(max_size=300).map(lambda tail: len(tail).to_bytes(2, "big") + tail)
    | st.builds(
        lambda letter, body: letter + len(body).to_bytes(2, "big") + body,
        st.sampled_from([b"A", b"D", b"R"]),
        st.binary(max_size=300),
    ),
    max_size=4,
)


@pytest.mark.parametrize(("state", "kind"), SERVER_STATES)
@given(portions=PORTIONS)
@settings(max_examples=40)
def test_garbage_never_raises_at_a_server(state: State, kind: Kind, portions: list[bytes]) -> None:
    assert_survives(server_side(state, kind), portions)


@pytest.mark.parametrize(("state", "kind"), CLIENT_STATES)
@given(portions=PORTIONS)
@settings(max_examples=40)
def test_garbage_never_raises_at_a_client(state: State, kind: Kind, portions: list[bytes]) -> None:
    assert_survives(client_side(state, kind), portions)


def seal_raw(connection: Connection, message: bytes) -> bytes:
    """A record of any bytes under the true keys of this side: a peer gone mad, not a stranger."""
    assert connection._records is not None
    return connection._records.seal(message)


def mad_pair(state: State, kind: Kind) -> tuple[Connection, Connection]:
    """Both have keys, the server is in `state`, and the client has not sealed any record yet, or
    as many as the server has read."""
    client, server = server_in(state, kind)
    if state is State.UNPROVEN:
        pass_on(server, client)
        client.data_to_send()
        assert client._records is not None
        client._records._send.nonce = 0  # of an enrolment: as if Enrol had not been sealed
    return client, server


MAD_MESSAGES = st.binary(max_size=100) | st.one_of(
    strategies.CLIENT_MESSAGES, strategies.SERVER_MESSAGES
).map(encode)


@pytest.mark.parametrize(("state", "kind"), SERVER_STATES[3:9])
@given(data=MAD_MESSAGES)
@settings(max_examples=60)
def test_any_message_under_the_true_keys_never_raises_at_a_server(
    state: State, kind: Kind, data: bytes
) -> None:
    client, server = mad_pair(state, kind)
    assert_survives(server, [seal_raw(client, data), seal_raw(client, data)])


@pytest.mark.parametrize(("state", "kind"), CLIENT_STATES[3:6])
@given(data=MAD_MESSAGES)
@settings(max_examples=60)
def test_any_message_under_the_true_keys_never_raises_at_a_client(
    state: State, kind: Kind, data: bytes
) -> None:
    client, server = server_in(state, kind)
    assert_survives(client, [seal_raw(server, data), seal_raw(server, data)])


# Faults on a live connection


@KINDS
def test_each_side_says_why_it_gives_up_on_a_record(kind: Kind) -> None:
    for to_server in (True, False):
        client, server = live_pair(kind)
        sender, receiver = (client, server) if to_server else (server, client)
        record = bytearray(seal_raw(sender, b"\xa1\x61t\x64ping"))
        record[-1] ^= 1
        events = receiver.receive_data(bytes(record))
        assert [type(event) for event in events] == [PeerFault]
        assert fault_of(events) is Fault.BAD_RECORD
        assert receiver.state is State.CLOSED
        assert pass_on(receiver, sender) == [PeerClosed(ByeReason.PROTOCOL_ERROR)]


def fault_of(events: list[Event]) -> Fault | None:
    last = events[-1]
    return last.error.fault if isinstance(last, PeerFault) else None


def test_what_came_before_a_fault_is_not_lost() -> None:
    client, server = live_pair()
    client.send(Sync(since=1))
    client.send(Sync(since=2))
    good = client.data_to_send()
    bad = seal_raw(client, b"not CBOR at all")
    client.send(Sync(since=3))
    events = server.receive_data(good + bad + client.data_to_send())
    assert events[:-1] == [MessageReceived(Sync(since=1)), MessageReceived(Sync(since=2))]
    assert fault_of(events) is Fault.BAD_MESSAGE
    assert server.receive_data(b"more") == []


@pytest.mark.parametrize("to_server", [True, False])
def test_a_message_of_an_unknown_type_is_answered_and_no_more(to_server: bool) -> None:
    client, server = live_pair()
    sender, receiver = (client, server) if to_server else (server, client)
    events = receiver.receive_data(seal_raw(sender, cbor2.dumps({"t": "typing", "to": "bob"})))
    assert events == [UnknownMessage("typing")]
    assert receiver.state is State.LIVE
    answer = pass_on(receiver, sender)
    assert answer == [MessageReceived(Error(ErrorCode.UNKNOWN_MESSAGE, "typing"))]
    assert sender.data_to_send() == b""


def test_bytes_behind_a_bye_are_ignored() -> None:
    client, server = live_pair()
    client.send(Bye(ByeReason.CLOSED))
    client.send(Ping(n=1))
    assert pass_on(client, server) == [PeerClosed(ByeReason.CLOSED)]
    assert server.receive_data(b"x" * 100) == []


def test_every_altered_byte_of_a_record_closes_the_connection() -> None:
    client, server = live_pair()
    client.send(Send(bytes(16), "bob", "hi"))
    record = client.data_to_send()
    for at in range(len(record)):
        server = live_pair()[1]
        altered = bytearray(record)
        altered[at] ^= 0x01
        events = server.receive_data(bytes(altered))
        if not events:  # a longer record was announced: more bytes show that it is not one
            events = server.receive_data(bytes(2**16))
        assert fault_of(events) is Fault.BAD_RECORD
    assert live_pair()[1].receive_data(record) == [MessageReceived(Send(bytes(16), "bob", "hi"))]


# Our own side


@pytest.mark.parametrize(("state", "kind"), SERVER_STATES)
def test_a_server_sends_only_while_live(state: State, kind: Kind) -> None:
    server = server_side(state, kind)
    server.data_to_send()
    if state is State.LIVE:
        server.send(Ping())
        assert server.data_to_send()
    else:
        with pytest.raises(LocalProtocolError, match=f"send in state '{state.value}'"):
            server.send(Ping())
        assert server.data_to_send() == b""


@pytest.mark.parametrize(("state", "kind"), CLIENT_STATES)
def test_a_client_sends_only_while_live(state: State, kind: Kind) -> None:
    client = client_side(state, kind)
    client.data_to_send()
    if state is State.LIVE:
        client.send(Ping())
        assert client.data_to_send()
    else:
        with pytest.raises(LocalProtocolError, match=f"send in state '{state.value}'"):
            client.send(Ping())
        assert client.data_to_send() == b""


def test_a_message_too_large_is_not_sent_and_the_connection_goes_on() -> None:
    client, server = live_pair()
    with pytest.raises(ValueError, match="at most"):
        client.send(Send(bytes(16), "bob", "x" * MESSAGE_MAX_BYTES))
    client.send(Ping(n=1))
    assert pass_on(client, server) == [MessageReceived(Ping(n=1))]


@pytest.mark.parametrize(("state", "kind"), SERVER_STATES)
def test_closing_says_bye_where_the_peer_can_read_it(state: State, kind: Kind) -> None:
    server = server_side(state, kind)
    server.data_to_send()
    server.close(ByeReason.SHUTTING_DOWN)
    assert server.state is State.CLOSED
    has_keys = state in {State.UNPROVEN, State.ENROLLING, State.LIVE}
    assert bool(server.data_to_send()) == has_keys
    server.close(ByeReason.IDLE)
    assert server.data_to_send() == b""
    assert server.receive_eof() == []


@pytest.mark.parametrize("reason", ByeReason)
def test_the_reason_of_a_close_arrives(reason: ByeReason) -> None:
    client, server = live_pair()
    server.close(reason)
    assert pass_on(server, client) == [PeerClosed(reason)]
    assert client.state is State.CLOSED


@pytest.mark.parametrize(("state", "kind"), SERVER_STATES[:-1])
def test_an_end_of_stream_closes_a_server_in_every_state(state: State, kind: Kind) -> None:
    server = server_side(state, kind)
    assert server.receive_eof() == [PeerClosed(None)]
    assert server.state is State.CLOSED


@pytest.mark.parametrize(("state", "kind"), CLIENT_STATES[:-1])
def test_an_end_of_stream_closes_a_client_in_every_state(state: State, kind: Kind) -> None:
    client = client_side(state, kind)
    assert client.receive_eof() == [PeerClosed(None)]
    assert client.state is State.CLOSED


def test_data_to_send_gives_everything_once_and_in_order() -> None:
    client, server = live_pair()
    assert client.data_to_send() == b""
    for n in range(3):
        client.send(Ping(n=n))
    events = server.receive_data(client.data_to_send())
    assert events == [MessageReceived(Ping(n=n)) for n in range(3)]
    assert client.data_to_send() == b""


def test_cooling_frees_the_ciphers_of_both_directions() -> None:
    client, server = live_pair()
    server.send(Ping())
    pass_on(server, client)
    for side in (client, server):
        assert side._records is not None
        ciphers = (side._records._send, side._records._receive)
        assert all(cipher._aead is not None for cipher in ciphers)
        side.cool()
        assert all(cipher._aead is None for cipher in ciphers)


def test_a_cool_connection_goes_on_as_if_nothing_were() -> None:
    client, server = live_pair(rekey_after=2)
    unanswered = make_client(Kind.LOGIN)
    unanswered.cool()
    for n in range(7):
        client.cool()
        server.cool()
        client.send(Ping(n=n))
        server.send(Deliver(()))
        assert pass_on(client, server) == [MessageReceived(Ping(n=n))]
        assert pass_on(server, client) == [MessageReceived(Deliver(()))]


@KINDS
def test_sessions_rekey_in_both_directions(kind: Kind) -> None:
    client, server = live_pair(kind, rekey_after=3)
    for n in range(20):
        client.send(Ping(n=n))
        assert pass_on(client, server) == [MessageReceived(Ping(n=n))]
        if n % 4 == 0:
            server.send(Ping(n=n))
            assert pass_on(server, client) == [MessageReceived(Ping(n=n))]


def test_sides_that_rekey_at_other_places_cannot_talk() -> None:
    client, server = live_pair(rekey_after=3)
    odd = live_pair(rekey_after=1000)[1]
    for n in range(10):
        client.send(Ping(n=n))
    events = odd.receive_data(client.data_to_send())
    assert fault_of(events) is Fault.BAD_RECORD
    assert server.state is State.LIVE


def test_without_keys_no_records() -> None:
    bare = make_server()
    with pytest.raises(LocalProtocolError, match="no keys yet"):
        bare._seal(Ping())
    with pytest.raises(LocalProtocolError, match="no keys yet"):
        bare._read_records(b"", [])


def test_each_side_reads_what_the_other_may_send() -> None:
    assert make_client(Kind.LOGIN)._readable is FROM_SERVER
    assert make_server()._readable is FROM_CLIENT


@pytest.mark.parametrize(
    "bad",
    [b"\x81" * 50, b"\x61\xff", b"\xa1\x61t\x64ping\x00", b"\xa1\x61t\x01"],
    ids=["deep", "not utf-8", "bytes behind", "no type"],
)
def test_a_fault_leaves_no_cycle_behind(bad: bytes) -> None:
    """Strangers' faults must not wait for the garbage collector: a flood of them is memory."""
    client, server = live_pair()
    assert client._records is not None
    record = client._records.seal(bad)
    gc.collect()
    gc.disable()
    try:
        events = server.receive_data(record)
        assert fault_of(events) is Fault.BAD_MESSAGE
        del events, server
        assert gc.collect() == 0
    finally:
        gc.enable()
