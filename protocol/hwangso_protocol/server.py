"""The server's side of a connection, sans-I/O.

    connection = ServerConnection(static_key, os.urandom)
    events = connection.receive_data(data)          # HelloReceived
    connection.defer(...) or .refuse(...)           # or:
    first = connection.read_first_message(psk)      # the Diffie-Hellman work
    connection.accept(welcome) or .deny(error)
    events = connection.receive_data(data)          # Proven, MessageReceived, ...
    connection.send(message); connection.close(reason)

After every call, send what `data_to_send` gives. When `state` is CLOSED, close the socket.
"""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from hwangso_protocol.answer import (
    Accept,
    Defer,
    DeferReason,
    Refuse,
    RefuseReason,
    encode_answer,
    make_defer,
)
from hwangso_protocol.connection import Connection
from hwangso_protocol.errors import (
    Fault,
    LocalProtocolError,
    ProtocolError,
    UnknownMessageError,
)
from hwangso_protocol.events import Event, HelloReceived, Proven
from hwangso_protocol.hello import Hello, Kind, parse_hello
from hwangso_protocol.limits import ANSWER_PAYLOAD_MAX_BYTES, REKEY_AFTER_RECORDS
from hwangso_protocol.messages import (
    FROM_CLIENT,
    Bye,
    Enrol,
    Error,
    Login,
    Message,
    Ping,
    Pong,
    Welcome,
    decode,
    encode,
)
from hwangso_protocol.noise import IK, NK, NNPSK0, HandshakeState, NoiseError, RandomBytes
from hwangso_protocol.records import RecordLayer
from hwangso_protocol.states import SERVER, Signal, State

_PATTERNS = {Kind.ENROL: NK, Kind.LOGIN: IK, Kind.RESUME: NNPSK0}
_REFUSALS = {
    Fault.UNKNOWN_VERSION: RefuseReason.UNKNOWN_VERSION,
    Fault.BAD_HELLO: RefuseReason.BAD_HELLO,
    Fault.HANDSHAKE_FAILED: RefuseReason.HANDSHAKE_FAILED,
}


class FirstMessage(Struct, frozen=True, gc=False):
    """What the first Noise message held. It can be a replay: look things up, change nothing.

    `device_key` is the device's proven-on-answer static key (login only); `login` is None for an
    enrolment, whose request comes as the first record.
    """

    device_key: bytes | None
    login: Login | None


class ServerConnection(Connection):
    """See the module's docstring."""

    __slots__ = ("_handshake", "_hello", "_random_bytes", "_rekey_after", "_static")

    _transitions = SERVER
    _readable = FROM_CLIENT

    def __init__(
        self,
        static: X25519PrivateKey,
        random_bytes: RandomBytes,
        *,
        rekey_after: int = REKEY_AFTER_RECORDS,
    ) -> None:
        super().__init__()
        self._static = static
        self._random_bytes = random_bytes
        self._rekey_after = rekey_after
        self._hello: Hello | None = None
        self._handshake: HandshakeState | None = None

    def hello_parsed(self, hello: Hello) -> None:
        """Instead of `receive_data`, for whoever has read the whole hello with `parse_hello`, and
        nothing behind it."""
        self._hello = hello
        self._move(Signal.HELLO_RECEIVED)

    def read_first_message(self, psk: bytes | None = None) -> FirstMessage:
        """Go on with the handshake; `psk` comes from the resume ticket, and only then.

        Raises ProtocolError(HANDSHAKE_FAILED, BAD_MESSAGE or UNEXPECTED_MESSAGE): a REFUSE then
        waits to be sent and the connection is closed.
        """
        hello = self._hello_to_decide()
        handshake = HandshakeState(
            _PATTERNS[hello.kind],
            initiator=False,
            prologue=hello.prologue,
            random_bytes=self._random_bytes,
            static=None if hello.kind is Kind.RESUME else self._static,
            psk=psk,
        )
        try:
            payload = handshake.read_message(hello.noise_message)
            login = None if hello.kind is Kind.ENROL else _login(payload)
        except NoiseError as error:
            self.refuse(RefuseReason.HANDSHAKE_FAILED)
            raise ProtocolError(Fault.HANDSHAKE_FAILED, str(error)) from None
        except ProtocolError:
            self.refuse(RefuseReason.BAD_HELLO)
            raise
        self._handshake = handshake
        self._move(Signal.FIRST_MESSAGE_READ)
        device_key = handshake.remote_static if hello.kind is Kind.LOGIN else None
        return FirstMessage(device_key, login)

    def defer(
        self,
        wait_ms: int,
        reason: DeferReason,
        deferral_ticket: bytes = b"",
        psk: bytes | None = None,
    ) -> None:
        """Answer DEFER and close; with the `psk` of a resume ticket it is authenticated."""
        hello = self._hello_to_decide()
        self.turn_away(make_defer(hello.raw, wait_ms, reason, deferral_ticket, psk))

    def refuse(self, reason: RefuseReason, retry_after_ms: int = 0) -> None:
        """Answer REFUSE in clear and close."""
        self.turn_away(Refuse(reason, retry_after_ms))

    def turn_away(self, answer: Defer | Refuse) -> None:
        """Answer the hello with this, and close."""
        encoded = encode_answer(answer)
        self._move(Signal.DEFERRED if isinstance(answer, Defer) else Signal.REFUSED)
        self._outgoing.append(encoded)
        self._forget_handshake()

    def accept(self, welcome: Welcome | None) -> None:
        """Answer with the second Noise message; `welcome` is None for an enrolment.

        The session must not go online before the event Proven. Raises ValueError for a Welcome
        that is too large for an answer.
        """
        hello = self._hello
        if hello is None or (hello.kind is Kind.ENROL) != (welcome is None):
            raise LocalProtocolError("a Welcome exactly for a login or resume")
        self._answer(b"" if welcome is None else encode(welcome), Signal.ACCEPTED)

    def deny(self, error: Error) -> None:
        """Answer a login or resume with an authenticated Error and close; an enrolment gets its
        Error later, by `fail_enrolment`."""
        if self._hello is not None and self._hello.kind is Kind.ENROL:
            raise LocalProtocolError("an enrolment is denied by fail_enrolment")
        self._answer(encode(error), Signal.DENIED)

    def welcome_enrolled(self, welcome: Welcome) -> None:
        """The enrolment succeeded: send the Welcome; the session is live."""
        encoded = encode(welcome)
        self._move(Signal.WELCOMED)
        self._seal_bytes(encoded)
        self._hello = None

    def fail_enrolment(self, error: Error) -> None:
        """The enrolment failed: say why, and close."""
        if self.state is not State.ENROLLING:
            raise LocalProtocolError(f"no enrolment to fail in state {self.state.value!r}")
        self._seal(error)
        self._move(Signal.BYE)

    def _hello_to_decide(self) -> Hello:
        if self._hello is None or self.state is not State.DECIDING:
            raise LocalProtocolError(f"no hello to decide about in state {self.state.value!r}")
        return self._hello

    def _answer(self, payload: bytes, signal: Signal) -> None:
        handshake = self._handshake
        if handshake is None:
            raise LocalProtocolError(f"nothing to answer in state {self.state.value!r}")
        if len(payload) > ANSWER_PAYLOAD_MAX_BYTES:
            raise ValueError(
                f"answer of {len(payload)} bytes, at most {ANSWER_PAYLOAD_MAX_BYTES} fit"
            )
        self._move(signal)
        message = handshake.write_message(payload)
        self._outgoing.append(encode_answer(Accept(message)))
        if signal is Signal.ACCEPTED:
            receive, send = handshake.split()
            self._records = RecordLayer(send, receive, self._rekey_after)
            self._handshake = None
        else:
            self._forget_handshake()

    def _forget_handshake(self) -> None:
        self._handshake = None
        self._hello = None

    def _read(self, data: bytes, events: list[Event]) -> None:
        if self._records is not None:
            self._read_records(data, events)
            return
        if self.state is not State.HELLO:
            raise ProtocolError(Fault.BAD_HELLO, "bytes before the answer")
        parsed = parse_hello(data)
        if parsed is None:
            self._incoming = data
            return
        hello, size = parsed
        if len(data) > size:
            raise ProtocolError(Fault.BAD_HELLO, "bytes behind the hello")
        self._incoming = b""
        self.hello_parsed(hello)
        events.append(HelloReceived(hello))

    def _answer_fault(self, error: ProtocolError) -> None:
        reason = _REFUSALS.get(error.fault)
        if self._records is not None:
            super()._answer_fault(error)
        elif reason is not None:
            self._outgoing.append(encode_answer(Refuse(reason)))
        self._forget_handshake()

    def _message_read(self, message: Message, events: list[Event]) -> None:
        if self.state is State.UNPROVEN:
            self._prove(message, events)
        elif isinstance(message, (Login, Enrol)) or (
            self.state is State.ENROLLING and not isinstance(message, (Ping, Pong, Bye, Error))
        ):
            raise self._unexpected(message)
        self._common_message_read(message, events)

    def _unknown_message_read(self, tag: str, events: list[Event]) -> None:
        if self.state is not State.LIVE:  # strangers get no work out of us, nor answers
            raise ProtocolError(Fault.UNEXPECTED_MESSAGE, f"in state {self.state.value}")
        super()._unknown_message_read(tag, events)

    def _prove(self, message: Message, events: list[Event]) -> None:
        enrolling = self._hello is not None and self._hello.kind is Kind.ENROL
        if isinstance(message, Bye):
            return
        if isinstance(message, Login) or isinstance(message, Enrol) != enrolling:
            raise self._unexpected(message)
        if enrolling:
            self._move(Signal.ENROL_RECEIVED)
        else:
            self._move(Signal.PROVEN)
            self._hello = None
        events.append(Proven())


def _login(payload: bytes) -> Login:
    try:
        message = decode(payload, FROM_CLIENT)
    except UnknownMessageError as error:
        raise ProtocolError(Fault.UNEXPECTED_MESSAGE, str(error)) from None
    if not isinstance(message, Login):
        raise ProtocolError(Fault.UNEXPECTED_MESSAGE, f"{type(message).__name__} in the hello")
    return message
