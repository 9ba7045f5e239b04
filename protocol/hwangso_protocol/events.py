"""What a connection tells its caller."""

from msgspec import Struct

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.hello import Hello
from hwangso_protocol.messages import ByeReason, Error, Message, Welcome


class HelloReceived(Struct, frozen=True, gc=False):
    """Server: decide, then call `read_first_message`, `defer` or `refuse`."""

    hello: Hello


class Proven(Struct, frozen=True, gc=False):
    """Server: the peer holds the session's keys; it is no replay. The session may go online, and
    may displace an older one of the same device. The message that proved it comes next."""


class Answered(Struct, frozen=True):
    """Client: the server answered inside the handshake.

    After a Welcome send a message at once (Ready, if nothing else): until then the server does
    not hold the session online. After an Error the connection is closed. None: an enrolment was
    accepted, the password is on its way; a Welcome or an Error follows as MessageReceived.
    """

    answer: Welcome | Error | None


class Deferred(Struct, frozen=True):
    """Client: come back in `wait_s`, with `deferral_ticket` in the next hello. The connection is
    closed. A wait that is not `authentic` is already cut to UNAUTHENTICATED_DEFER_MAX_S."""

    wait_s: float
    reason: DeferReason
    deferral_ticket: bytes
    authentic: bool


class Refused(Struct, frozen=True):
    """Client: no session; the connection is closed. Not authenticated: treat it as one failed
    attempt, never as a reason to forget a key. `retry_after_s` is 0 where none was given, and cut
    to UNAUTHENTICATED_DEFER_MAX_S."""

    reason: RefuseReason
    retry_after_s: float


class MessageReceived(Struct, frozen=True, gc=False):
    """A message came, decoded and within its limits."""

    message: Message


class UnknownMessage(Struct, frozen=True):
    """A message of an unknown type came and was answered with an error; only for counting."""

    tag: str


class PeerFault(Struct, frozen=True):
    """The peer, or somebody on the path, broke the protocol. Send what `data_to_send` still has,
    close the socket."""

    error: ProtocolError


class PeerClosed(Struct, frozen=True):
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
