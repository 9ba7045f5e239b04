"""The client's side of a connection, sans-I/O.

    connection = ClientConnection(ResumeWith(ticket, psk, Login(since=7)), attempt, os.urandom)
    send(connection.data_to_send())                 # the hello
    events = connection.receive_data(data)          # Answered, Deferred, Refused, ...
    connection.send(Ready()); connection.send(...)

After every call, send what `data_to_send` gives. When `state` is CLOSED, close the socket.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.answer import Accept, Defer, Refuse, is_authentic, parse_answer
from hwangso_protocol.connection import Connection
from hwangso_protocol.errors import Fault, ProtocolError, UnknownMessageError
from hwangso_protocol.events import Answered, Deferred, Event, Refused
from hwangso_protocol.hello import Intent, Kind, encode_header, prologue_of
from hwangso_protocol.limits import REKEY_AFTER_RECORDS, UNAUTHENTICATED_DEFER_MAX_S
from hwangso_protocol.messages import (
    FROM_SERVER,
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
from hwangso_protocol.noise import (
    DHLEN_BYTES,
    IK,
    NK,
    NNPSK0,
    TAG_BYTES,
    HandshakeState,
    NoiseError,
    Pattern,
    RandomBytes,
    Token,
)
from hwangso_protocol.records import RecordLayer
from hwangso_protocol.states import CLIENT, Signal, State


@dataclass(frozen=True, slots=True)
class EnrolWith:
    """First contact: `enrol` is sent by itself once the server has proved `server_key`."""

    server_key: bytes
    enrol: Enrol


@dataclass(frozen=True, slots=True)
class LoginWith:
    """Reconnect with the device's static key, the public half of which the server enrolled."""

    server_key: bytes
    device_key: X25519PrivateKey
    login: Login


@dataclass(frozen=True, slots=True)
class ResumeWith:
    """Reconnect with a resume ticket and its psk, both from the last Welcome."""

    ticket: bytes
    psk: bytes
    login: Login


Credentials = EnrolWith | LoginWith | ResumeWith


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the hello says about this connect attempt.

    `number` is 1 for the first since the last session held. `deferral_ticket` is what a DEFER
    gave for this very return, else empty.
    """

    intent: Intent
    number: int = 1
    deferral_ticket: bytes = b""


class ClientConnection(Connection):
    """See the module's docstring. The hello waits to be sent as soon as it is made.

    `ephemeral` is a key pair for this connection and no other ever, made in quiet times by a client
    that will be in a hurry (half of what a resume's hello costs); without it, one is made here.
    """

    __slots__ = ("_enrol", "_handshake", "_psk", "_raw_hello", "_rekey_after")

    _transitions = CLIENT
    _readable = FROM_SERVER

    def __init__(
        self,
        credentials: Credentials,
        attempt: Attempt,
        random_bytes: RandomBytes,
        *,
        ephemeral: X25519PrivateKey | None = None,
        rekey_after: int = REKEY_AFTER_RECORDS,
    ) -> None:
        super().__init__()
        self._rekey_after = rekey_after
        self._enrol: Enrol | None = None
        self._psk: bytes | None = None
        ticket, payload = b"", b""
        static: X25519PrivateKey | None = None
        server_key: bytes | None = None
        match credentials:
            case EnrolWith():
                kind, pattern = Kind.ENROL, NK
                self._enrol, server_key = credentials.enrol, credentials.server_key
            case LoginWith():
                kind, pattern = Kind.LOGIN, IK
                static, server_key = credentials.device_key, credentials.server_key
                payload = encode(credentials.login)
            case _:
                kind, pattern = Kind.RESUME, NNPSK0
                ticket, self._psk = credentials.ticket, credentials.psk
                payload = encode(credentials.login)
        header = encode_header(
            attempt.intent,
            kind,
            attempt.number,
            ticket,
            attempt.deferral_ticket,
            _first_message_bytes(pattern, len(payload)),
        )
        handshake = HandshakeState(
            pattern,
            initiator=True,
            prologue=prologue_of(header),
            random_bytes=random_bytes,
            static=static,
            remote_static=server_key,
            psk=self._psk,
            ephemeral=ephemeral,
        )
        self._raw_hello = header + handshake.write_message(payload)
        self._outgoing.append(self._raw_hello)
        self._handshake: HandshakeState | None = handshake

    def _read(self, data: bytes, events: list[Event]) -> None:
        if self._handshake is None:
            self._read_records(data, events)
            return
        parsed = parse_answer(data)
        if parsed is None:
            self._incoming = data
            return
        self._incoming = b""
        answer, size = parsed
        if isinstance(answer, Accept):
            self._accepted(answer.noise_message, self._handshake, events)
            if size < len(data) and self.state is not State.CLOSED:
                self._read_records(data[size:], events)
        elif isinstance(answer, Defer):
            self._move(Signal.DEFERRED)
            events.append(self._deferred(answer))
        else:
            self._move(Signal.REFUSED)
            events.append(_refused(answer))

    def _accepted(self, message: bytes, handshake: HandshakeState, events: list[Event]) -> None:
        try:
            payload = handshake.read_message(message)
        except NoiseError as error:
            raise ProtocolError(Fault.HANDSHAKE_FAILED, str(error)) from None
        answer = None if self._enrol is not None else _welcome_or_error(payload)
        self._handshake = None
        if isinstance(answer, Error):
            self._move(Signal.DENIED)
        else:
            send, receive = handshake.split()
            self._records = RecordLayer(send, receive, self._rekey_after)
            if self._enrol is None:
                self._move(Signal.ACCEPTED)
            else:
                self._move(Signal.ACCEPTED_ENROL)
                self._seal(self._enrol)
        # Answered once and for all: let go of the password, the psk and the hello.
        self._enrol, self._psk, self._raw_hello = None, None, b""
        events.append(Answered(answer))

    def _deferred(self, defer: Defer) -> Deferred:
        authentic = self._psk is not None and is_authentic(defer, self._psk, self._raw_hello)
        wait_s = defer.wait_ms / 1000
        return Deferred(
            wait_s if authentic else min(wait_s, UNAUTHENTICATED_DEFER_MAX_S),
            defer.reason,
            defer.deferral_ticket,
            authentic,
        )

    def _message_read(self, message: Message, events: list[Event]) -> None:
        if self.state is State.ENROLLING:
            if isinstance(message, Welcome):
                self._move(Signal.WELCOMED)
            elif isinstance(message, Error):
                self._common_message_read(message, events)
                self._move(Signal.BYE)
                return
            elif not isinstance(message, Ping | Pong | Bye):
                raise self._unexpected(message)
        elif isinstance(message, Welcome):
            raise self._unexpected(message)
        self._common_message_read(message, events)


def _first_message_bytes(pattern: Pattern, payload_bytes: int) -> int:
    """Length of the first Noise message: known before it is written, for it goes into the
    prologue. Every first message here ends under a key, so payload and `s` carry a tag."""
    static_bytes = DHLEN_BYTES + TAG_BYTES if Token.S in pattern.messages[0] else 0
    return DHLEN_BYTES + static_bytes + payload_bytes + TAG_BYTES


def _welcome_or_error(payload: bytes) -> Welcome | Error:
    try:
        message = decode(payload, FROM_SERVER)
    except UnknownMessageError as error:
        raise ProtocolError(Fault.UNEXPECTED_MESSAGE, str(error)) from None
    if not isinstance(message, Welcome | Error):
        raise ProtocolError(Fault.UNEXPECTED_MESSAGE, f"{type(message).__name__} in the answer")
    return message


def _refused(refuse: Refuse) -> Refused:
    return Refused(refuse.reason, min(refuse.retry_after_ms / 1000, UNAUTHENTICATED_DEFER_MAX_S))
