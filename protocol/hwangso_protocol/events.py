"""What a connection tells its caller."""

from dataclasses import dataclass

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.hello import Hello
from hwangso_protocol.messages import ByeReason, Error, Message, Welcome


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """Server: decide, then call `read_first_message`, `defer` or `refuse`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Proven:
    """Server: the peer holds the session's keys; it is no replay. The session may go online, and
    may displace an older one of the same device. The message that proved it comes next."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Client: the server answered inside the handshake.

    After a Welcome send a message at once (Ready, if nothing else): until then the server does
    not hold the session online. After an Error the connection is closed. None: an enrolment was
    accepted, the password is on its way; a Welcome or an Error follows as MessageReceived.
    """

    answer: Welcome | Error | None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Client: come back in `wait_s`, with `deferral_ticket` in the next hello. The connection is
    closed. A wait that is not `authentic` is already cut to UNAUTHENTICATED_DEFER_MAX_S."""

    wait_s: float
    reason: DeferReason
    deferral_ticket: bytes
    authentic: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Client: no session; the connection is closed. Not authenticated: treat it as one failed
    attempt, never as a reason to forget a key. `retry_after_s` is 0 where none was given."""

    reason: RefuseReason
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message came, decoded and within its limits."""

    message: Message


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of an unknown type came and was answered with an error; only for counting."""

    tag: str


@dataclass(frozen=True, slots=True)
class PeerFault:
    """The peer, or somebody on the path, broke the protocol. Send what `data_to_send` still has,
    close the socket."""

    error: ProtocolError


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The peer ended the connection: with a reason if it said Bye, None if the stream just ended.
    Close the socket."""

    reason: ByeReason | None


Event = (
    HelloReceived
    | Proven
    | Answered
    | Deferred
    | Refused
    | MessageReceived
    | UnknownMessage
    | PeerFault
    | PeerClosed
)
