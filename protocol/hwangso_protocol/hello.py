"""The hello: the first, cleartext packet of a connection (README, "Hello").

Small and fixed in shape, so that a server can decide about a connection before it spends a
Diffie-Hellman on it. Everything before the Noise message, with a label, is the Noise prologue:
nobody on the path can flip a tag without breaking the handshake.
"""

import struct
from enum import IntEnum

from msgspec import Struct

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.limits import (
    DEFERRAL_TICKET_MAX_BYTES,
    HELLO_MAX_BYTES,
    RESUME_TICKET_MAX_BYTES,
)

MAGIC = b"HWNG"
VERSION = 1
PROLOGUE_LABEL = b"hwangso/1 hello\0"
HEADER = struct.Struct("!4sBBBBHHH")
"""Magic, version, intent, kind, attempt, then the lengths of resume ticket, deferral ticket and
Noise message."""
ATTEMPT_MAX = 255
MIN_NOISE_BYTES = 48
"""An ephemeral key and an empty payload's tag; every pattern's first message has these."""


class Intent(IntEnum):
    """What a connect attempt is for. The value is the byte on the wire."""

    FOREGROUND = 0x46
    BACKGROUND = 0x42

    @property
    def tag(self) -> str:
        """`FG` or `BG`, for logs and tables."""
        return "FG" if self is Intent.FOREGROUND else "BG"


class Kind(IntEnum):
    """How the device identifies itself."""

    ENROL = 1
    LOGIN = 2
    RESUME = 3


# Looked up for every hello of a storm; calling the enums takes 0.5 us each.
_KINDS = {int(kind): kind for kind in Kind}
_FOREGROUND = Intent.FOREGROUND.value


class Hello(Struct, frozen=True, gc=False):
    """A parsed hello.

    `attempt` counts connect attempts since the last session held, 1 for the first, 255 for
    255 and more. `raw` is the whole packet, which a DEFER's authenticator covers.
    """

    intent: Intent
    kind: Kind
    attempt: int
    resume_ticket: bytes
    deferral_ticket: bytes
    noise_message: bytes
    raw: bytes

    @property
    def prologue(self) -> bytes:
        """The Noise prologue. Most of a storm is deferred and never asked for it."""
        return prologue_of(self.raw[: -len(self.noise_message)])


def encode_header(
    intent: Intent,
    kind: Kind,
    attempt: int,
    resume_ticket: bytes,
    deferral_ticket: bytes,
    noise_bytes: int,
) -> bytes:
    """All of a hello before its Noise message. Raises ValueError on what the wire cannot carry."""
    if (kind is Kind.RESUME) != bool(resume_ticket):
        raise ValueError("a resume ticket exactly where the kind is RESUME")
    if (
        len(resume_ticket) > RESUME_TICKET_MAX_BYTES
        or len(deferral_ticket) > DEFERRAL_TICKET_MAX_BYTES
    ):
        raise ValueError("ticket too long")
    header = HEADER.pack(
        MAGIC,
        VERSION,
        intent.value,
        kind,
        min(max(attempt, 1), ATTEMPT_MAX),
        len(resume_ticket),
        len(deferral_ticket),
        noise_bytes,
    )
    hello = header + resume_ticket + deferral_ticket
    if len(hello) + noise_bytes > HELLO_MAX_BYTES:
        raise ValueError("hello too long")
    return hello


def prologue_of(hello_before_noise: bytes) -> bytes:
    """The Noise prologue: the label, then all of the hello before its Noise message."""
    return PROLOGUE_LABEL + hello_before_noise


def parse_hello(data: bytes) -> tuple[Hello, int] | None:
    """The hello at the start of `data` and its length, or None while it is incomplete.

    Raises ProtocolError as soon as the bytes cannot become a hello: BAD_MAGIC (close without an
    answer), UNKNOWN_VERSION or BAD_HELLO (answer with a REFUSE). An unknown intent is no error: it
    reads as BACKGROUND, for a client is not foreground until it says so.
    """
    if data[:4] != MAGIC[: len(data)]:
        raise ProtocolError(Fault.BAD_MAGIC, "not a hwangso client")
    if len(data) > 4 and data[4] != VERSION:
        raise ProtocolError(Fault.UNKNOWN_VERSION, f"version {data[4]}, this side has {VERSION}")
    if len(data) < HEADER.size:
        return None
    _, _, intent, kind, attempt, resume_bytes, deferral_bytes, noise_bytes = HEADER.unpack_from(
        data
    )
    before_noise = HEADER.size + resume_bytes + deferral_bytes
    total = before_noise + noise_bytes
    if (
        resume_bytes > RESUME_TICKET_MAX_BYTES
        or deferral_bytes > DEFERRAL_TICKET_MAX_BYTES
        or noise_bytes < MIN_NOISE_BYTES
        or total > HELLO_MAX_BYTES
    ):
        raise ProtocolError(Fault.BAD_HELLO, "a length is out of range")
    if kind not in _KINDS:
        raise ProtocolError(Fault.BAD_HELLO, f"unknown kind {kind}")
    if (kind == Kind.RESUME) != (resume_bytes > 0):
        raise ProtocolError(Fault.BAD_HELLO, "a resume ticket exactly where the kind is RESUME")
    if attempt == 0:
        raise ProtocolError(Fault.BAD_HELLO, "attempts count from 1")
    if len(data) < total:
        return None
    resume_end = HEADER.size + resume_bytes
    hello = Hello(
        intent=Intent.FOREGROUND if intent == _FOREGROUND else Intent.BACKGROUND,
        kind=_KINDS[kind],
        attempt=attempt,
        resume_ticket=data[HEADER.size : resume_end],
        deferral_ticket=data[resume_end:before_noise],
        noise_message=data[before_noise:total],
        raw=data[:total],
    )
    return hello, total
