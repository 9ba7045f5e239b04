"""What can go wrong on the wire.

`ProtocolError` is the peer's fault: connections never raise it out of `receive_data`, they report
it as a `PeerFault` event, so that good messages read before it are not lost. `LocalProtocolError`
is the caller's fault, a bug, and is raised.
"""

from enum import StrEnum


class Fault(StrEnum):
    """Why a connection was given up. The README's table of faults says what each side then does."""

    BAD_MAGIC = "bad_magic"
    UNKNOWN_VERSION = "unknown_version"
    BAD_HELLO = "bad_hello"
    BAD_ANSWER = "bad_answer"
    TICKET_INVALID = "ticket_invalid"
    HANDSHAKE_FAILED = "handshake_failed"
    BAD_RECORD = "bad_record"
    BAD_MESSAGE = "bad_message"
    UNEXPECTED_MESSAGE = "unexpected_message"


class ProtocolError(Exception):
    """The peer broke the protocol, or somebody on the path did. The connection cannot go on."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail


class UnknownMessageError(Exception):
    """A well-formed message of a type this side does not know: answered with an error, no more.

    A newer peer may send such messages; the connection goes on (README, "Compatibility").
    """

    def __init__(self, tag: str) -> None:
        super().__init__(f"unknown message type {tag!r}")
        self.tag = tag


class LocalProtocolError(Exception):
    """Our own side called something in a state where it is not allowed. A bug; nothing was sent."""
