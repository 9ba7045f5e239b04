"""Issues and checks resume tickets. Pure: time and randomness are arguments.

A resume asks the store nothing, so what has been revoked since a ticket was issued is kept in
memory: as many entries as there were revocations within one ticket lifetime.
"""

import random
from typing import Protocol

from msgspec import Struct

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.noise import RandomBytes
from hwangso_protocol.ticket import PSK_BYTES, ResumeTicket, TicketRing
from hwangso_server.admission.treatment import TREATMENTS

LIFETIME_SPREAD = 0.1
"""Each ticket lives this share shorter or longer, at random: tickets of one storm that expired
together would come back together, with the expensive login (design, section 9)."""

LIFETIME_FACTOR_MAX = max(treatment.ticket_lifetime_factor for treatment in TREATMENTS.values())
"""Tickets issued in an emergency live longer by this factor at most."""


class IssuedTicket(Struct, frozen=True, gc=False):
    """What goes into a Welcome."""

    sealed: bytes
    psk: bytes
    lifetime_ms: int


class TicketKeys(Protocol):
    """Where the ring is: looked up each time, for rotation replaces it while the server runs."""

    @property
    def ticket_ring(self) -> TicketRing:
        """The ring of now."""


class Tickets:
    """The tickets of one server."""

    def __init__(self, keys: TicketKeys, lifetime_ms: int) -> None:
        self._keys = keys
        self._lifetime_ms = lifetime_ms
        self.longest_lifetime_ms = (
            int(lifetime_ms * LIFETIME_FACTOR_MAX * (1 + LIFETIME_SPREAD)) + 1
        )
        """No ticket lives longer than this."""
        self._revoked_devices: dict[int, int] = {}
        self._disabled_users: dict[int, int] = {}

    def issue(
        self,
        user_id: int,
        user_name: str,
        device_id: int,
        *,
        now_ms: int,
        rng: random.Random,
        random_bytes: RandomBytes,
        lifetime_factor: float = 1.0,
    ) -> IssuedTicket:
        """A fresh ticket with a psk of its own; it lives longer by `lifetime_factor`, which a stage
        gives."""
        spread = rng.uniform(1 - LIFETIME_SPREAD, 1 + LIFETIME_SPREAD)
        lifetime_ms = int(self._lifetime_ms * lifetime_factor * spread)
        psk = random_bytes(PSK_BYTES)
        ticket = ResumeTicket(user_id, user_name, device_id, now_ms, now_ms + lifetime_ms, psk)
        return IssuedTicket(self._keys.ticket_ring.seal(ticket, random_bytes), psk, lifetime_ms)

    def open(self, sealed: bytes, now_ms: int) -> ResumeTicket:
        """Raises ProtocolError(TICKET_INVALID). Ask `is_revoked` and `is_disabled` as well.

        A ticket of a longer life than today's configuration gives is invalid, too: revocations
        are not remembered for that long.
        """
        ticket = self._keys.ticket_ring.open(sealed, now_ms)
        if now_ms - ticket.issued_at_ms > self.longest_lifetime_ms:
            raise ProtocolError(Fault.TICKET_INVALID, "older than tickets may be now")
        return ticket

    def is_revoked(self, device_id: int) -> bool:
        """Whether the device was revoked while tickets of it may still be about."""
        return device_id in self._revoked_devices

    def is_disabled(self, user_id: int) -> bool:
        """Whether the user was disabled while tickets of it may still be about."""
        return user_id in self._disabled_users

    def revoke_device(self, device_id: int, now_ms: int) -> None:
        """Refuse this device's tickets from now on."""
        self._revoked_devices[device_id] = now_ms + self.longest_lifetime_ms

    def disable_user(self, user_id: int, now_ms: int) -> None:
        """Refuse the tickets of this user's devices from now on."""
        self._disabled_users[user_id] = now_ms + self.longest_lifetime_ms

    def enable_user(self, user_id: int) -> None:
        """Accept this user's tickets again."""
        self._disabled_users.pop(user_id, None)

    def forget_expired(self, now_ms: int) -> None:
        """Drop what no unexpired ticket can name."""
        for known in (self._revoked_devices, self._disabled_users):
            for key in [key for key, until_ms in known.items() if until_ms <= now_ms]:
                del known[key]
