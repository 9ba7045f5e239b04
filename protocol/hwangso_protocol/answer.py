"""A server's answer to a hello: ACCEPT, DEFER or REFUSE (README, "Answers").

ACCEPT carries the second Noise message and is authenticated by it. DEFER and REFUSE are cleartext,
sent before any Diffie-Hellman. A DEFER to a resuming device carries an authenticator made with a
key from its ticket, over the device's own hello, so that nobody on the path can postpone a phone,
or replay an old postponement.
"""

import hmac
import struct
from enum import IntEnum
from hashlib import blake2b
from typing import Self

from msgspec import Struct

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.limits import DEFERRAL_TICKET_MAX_BYTES

PREFIX = struct.Struct("!BH")
"""Type and length of the body."""
DEFER_BODY = struct.Struct("!IBH")
"""Wait in milliseconds, reason, length of the deferral ticket; then ticket and authenticator."""
_DEFER = struct.Struct("!BHIBH")
"""Prefix and body in one."""
REFUSE_BODY = struct.Struct("!BI")
"""Reason, and the wait in milliseconds before another attempt makes sense (0: none given)."""
AUTHENTICATOR_BYTES = 16
DEFER_PERSONALISATION = b"hwangso/1 defer"
"""Keeps it apart from all else that is made with the psk."""


class AnswerType(IntEnum):
    """First byte of an answer: `A`, `D` or `R`."""

    ACCEPT = 0x41
    DEFER = 0x44
    REFUSE = 0x52


class _OpenIntEnum(IntEnum):
    """An enum whose unknown values stay what they are, as members named UNKNOWN: a newer peer's
    reason is still a reason, and still covered by an authenticator."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = "UNKNOWN"
        member._value_ = value
        return member


class DeferReason(_OpenIntEnum):
    """Why a connect was put off."""

    BUSY = 1
    EMERGENCY = 2
    SHIELD = 3


class RefuseReason(_OpenIntEnum):
    """Why a hello was not accepted; the README says what a client does about each."""

    UNKNOWN_VERSION = 1
    BAD_HELLO = 2
    TICKET_INVALID = 3
    HANDSHAKE_FAILED = 4
    FULL = 5
    SHUTTING_DOWN = 6
    UNAVAILABLE = 7


class Accept(Struct, frozen=True, gc=False):
    """The server's Noise message."""

    noise_message: bytes


class Defer(Struct, frozen=True, gc=False):
    """Come back in `wait_ms`. `authenticator` is empty, or 16 bytes to hold against the ticket."""

    wait_ms: int
    reason: DeferReason
    deferral_ticket: bytes = b""
    authenticator: bytes = b""


class Refuse(Struct, frozen=True, gc=False):
    """No session. `retry_after_ms` is 0 where the server says nothing about another attempt."""

    reason: RefuseReason
    retry_after_ms: int = 0


Answer = Accept | Defer | Refuse


def defer_authenticator(
    psk: bytes, hello: bytes, wait_ms: int, reason: int, ticket: bytes
) -> bytes:
    """Keyed BLAKE2b (RFC 7693, section 2.9) of 16 bytes, under the resume ticket's psk, over the
    deferral and the device's own hello.

    A server says it to a whole crowd: 1.1 us, against 3.6 us for HMAC-SHA256 under a key derived
    from the psk.
    """
    authenticator = blake2b(
        DEFER_BODY.pack(wait_ms, reason, len(ticket)) + ticket + hello,
        digest_size=AUTHENTICATOR_BYTES,
        key=psk,
        person=DEFER_PERSONALISATION,
    )
    return authenticator.digest()


def make_defer(
    hello: bytes, wait_ms: int, reason: DeferReason, ticket: bytes, psk: bytes | None
) -> Defer:
    """The DEFER for a hello; authenticated if the `psk` of its resume ticket is given."""
    if psk is None:
        return Defer(wait_ms, reason, ticket)
    return Defer(wait_ms, reason, ticket, defer_authenticator(psk, hello, wait_ms, reason, ticket))


def is_authentic(defer: Defer, psk: bytes, hello: bytes) -> bool:
    """Whether the DEFER was made for this very hello by somebody who can open its ticket."""
    expected = defer_authenticator(psk, hello, defer.wait_ms, defer.reason, defer.deferral_ticket)
    return hmac.compare_digest(expected, defer.authenticator)


def encode_answer(answer: Answer) -> bytes:
    """The answer's bytes. Raises struct.error on a number or a length the wire cannot carry."""
    match answer:
        case Accept(noise_message):
            return PREFIX.pack(AnswerType.ACCEPT, len(noise_message)) + noise_message
        case Defer(wait_ms, reason, ticket, authenticator):
            ticket_bytes = len(ticket)
            body_bytes = DEFER_BODY.size + ticket_bytes + len(authenticator)
            head = _DEFER.pack(AnswerType.DEFER, body_bytes, wait_ms, reason, ticket_bytes)
            return head + ticket + authenticator
        case Refuse(reason, retry_after_ms):
            body = REFUSE_BODY.pack(reason, retry_after_ms)
            return PREFIX.pack(AnswerType.REFUSE, len(body)) + body


def parse_answer(data: bytes) -> tuple[Answer, int] | None:
    """The answer at the start of `data` and its length, or None while it is incomplete.

    Raises ProtocolError(BAD_ANSWER). Unknown reasons are kept. Bytes that a newer server
    adds after the known fields of a REFUSE are ignored.
    """
    if data and data[0] not in (AnswerType.ACCEPT, AnswerType.DEFER, AnswerType.REFUSE):
        raise ProtocolError(Fault.BAD_ANSWER, f"unknown answer type {data[0]}")
    if len(data) < PREFIX.size:
        return None
    answer_type, body_bytes = PREFIX.unpack_from(data)
    total = PREFIX.size + body_bytes
    if len(data) < total:
        return None
    body = data[PREFIX.size : total]
    if answer_type == AnswerType.ACCEPT:
        return Accept(body), total
    if answer_type == AnswerType.DEFER:
        return _parse_defer(body), total
    if len(body) < REFUSE_BODY.size:
        raise ProtocolError(Fault.BAD_ANSWER, "REFUSE too short")
    reason, retry_after_ms = REFUSE_BODY.unpack_from(body)
    return Refuse(RefuseReason(reason), retry_after_ms), total


def _parse_defer(body: bytes) -> Defer:
    if len(body) < DEFER_BODY.size:
        raise ProtocolError(Fault.BAD_ANSWER, "DEFER too short")
    wait_ms, reason, ticket_bytes = DEFER_BODY.unpack_from(body)
    ticket_end = DEFER_BODY.size + ticket_bytes
    authenticator = body[ticket_end:]
    if (
        ticket_bytes > DEFERRAL_TICKET_MAX_BYTES
        or len(body) < ticket_end
        or len(authenticator) not in (0, AUTHENTICATOR_BYTES)
    ):
        raise ProtocolError(Fault.BAD_ANSWER, "DEFER with a length out of range")
    ticket = body[DEFER_BODY.size : ticket_end]
    return Defer(wait_ms, DeferReason(reason), ticket, authenticator)
