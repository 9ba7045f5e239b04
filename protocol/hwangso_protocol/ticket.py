"""Resume tickets: what a server seals and hands to a device, so that it can resume without any
session stored on the server (README, "Resume tickets"; the idea is RFC 5077's).

Only servers look inside; to a client a ticket is opaque. A ticket says who the device is and until
when, and holds the psk of the resume handshake. It is sealed with AES-256-GCM under a rotating
ticket key; the nonce is random, so a key must be rotated well before 2^32 tickets (NIST SP
800-38D section 8.3).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.limits import USER_NAME_MAX_CHARS
from hwangso_protocol.noise import RandomBytes

_FORMAT = 1
_HEADER = struct.Struct("!BI")
"""Format and key id; authenticated as associated data."""
_BODY = struct.Struct(f"!QQQQ32sB{USER_NAME_MAX_CHARS}s")
"""User id, device id, issued and expiry in ms since the epoch, psk, user name with its length.
The name is padded, so that a ticket's length tells nothing."""
_NONCE_BYTES = 12
_TAG_BYTES = 16
TICKET_BYTES = _HEADER.size + _NONCE_BYTES + _BODY.size + _TAG_BYTES
PSK_BYTES = 32
TICKET_KEY_BYTES = 32
"""AES-256."""


class ResumeTicket(Struct, frozen=True, gc=False):
    """What a ticket says. Times are in ms since the epoch, by the server's clock."""

    user_id: int
    user_name: str
    device_id: int
    issued_at_ms: int
    expires_at_ms: int
    psk: bytes


@dataclass(frozen=True, slots=True)
class TicketKey:
    """A sealing key. `id` goes into the ticket in clear, to find the key again."""

    id: int
    secret: bytes


class TicketRing:
    """Seals with the newest key, opens with any it holds.

    `keys` are newest first; a server keeps the older ones until their tickets have expired.
    Raises ValueError without a key, with two of the same id, or with one of the wrong length.
    """

    def __init__(self, keys: Sequence[TicketKey]) -> None:
        self._aeads = {key.id: AESGCM(key.secret) for key in keys}
        if not keys or len(self._aeads) != len(keys):
            raise ValueError("a ring needs at least one key, each with its own id")
        if any(len(key.secret) != TICKET_KEY_BYTES for key in keys):
            raise ValueError(f"a ticket key has {TICKET_KEY_BYTES} bytes")
        self._newest = keys[0].id

    def seal(self, ticket: ResumeTicket, random_bytes: RandomBytes) -> bytes:
        """The ticket's bytes. Raises ValueError for a name or a psk of the wrong length, which
        `struct` would cut in silence."""
        name = ticket.user_name.encode("ascii")
        if len(name) > USER_NAME_MAX_CHARS or len(ticket.psk) != PSK_BYTES:
            raise ValueError(f"at most {USER_NAME_MAX_CHARS} letters, a psk of {PSK_BYTES} bytes")
        body = _BODY.pack(
            ticket.user_id,
            ticket.device_id,
            ticket.issued_at_ms,
            ticket.expires_at_ms,
            ticket.psk,
            len(name),
            name,
        )
        header = _HEADER.pack(_FORMAT, self._newest)
        nonce = random_bytes(_NONCE_BYTES)
        return header + nonce + self._aeads[self._newest].encrypt(nonce, body, header)

    def open(self, sealed: bytes, now_ms: int) -> ResumeTicket:
        """Raises ProtocolError(TICKET_INVALID): not ours, altered, expired, or its key is gone."""
        if len(sealed) != TICKET_BYTES or sealed[0] != _FORMAT:
            raise ProtocolError(Fault.TICKET_INVALID, "not a ticket of this server")
        header = sealed[: _HEADER.size]
        aead = self._aeads.get(_HEADER.unpack(header)[1])
        if aead is None:
            raise ProtocolError(Fault.TICKET_INVALID, "sealed with a key this server has not")
        body_at = _HEADER.size + _NONCE_BYTES
        try:
            body = aead.decrypt(sealed[_HEADER.size : body_at], sealed[body_at:], header)
        except InvalidTag:
            raise ProtocolError(Fault.TICKET_INVALID, "altered, or another server's") from None
        user_id, device_id, issued_at_ms, expires_at_ms, psk, name_bytes, name = _BODY.unpack(body)
        if now_ms >= expires_at_ms:
            raise ProtocolError(Fault.TICKET_INVALID, "expired")
        return ResumeTicket(
            user_id=user_id,
            user_name=name[:name_bytes].decode("ascii"),
            device_id=device_id,
            issued_at_ms=issued_at_ms,
            expires_at_ms=expires_at_ms,
            psk=psk,
        )
