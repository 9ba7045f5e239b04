"""Promises: a slot, and the deferral ticket that proves it.

A device proves its promise with the ticket, or is remembered by its id; the latter also keeps one
that throws its tickets away from getting slot after slot. A promise lets its device in once.
"""

from collections.abc import Callable
from math import ceil

from msgspec import Struct

from hwangso_protocol.hello import Intent
from hwangso_server.admission.deferral import DeferralTicket, DeferralTickets
from hwangso_server.admission.settings import Settings
from hwangso_server.admission.spent import SEQUENCE_BITS, Spent

NONCE_MASK = 2**64 - 1
COUNT_MAX = 255
"""One byte in the ticket; age wins long before."""


class Promise(Struct, frozen=True, gc=False):
    """Times are those of the controller's clock, in seconds."""

    intent: Intent
    """Whose slot it is."""
    slot_s: float
    first_deferred_s: float
    count: int
    """Deferrals so far, that of this promise included."""
    nonce: int
    sealed: bytes
    """Its deferral ticket."""


class Promises:
    """Makes and checks promises. In tickets time is wall time, `now_s + wall_offset_s`, so that
    they outlive the server's run. `device_id` 0 is whoever has no resume ticket."""

    def __init__(
        self,
        settings: Settings,
        tickets: DeferralTickets,
        random_bytes: Callable[[int], bytes],
        wall_offset_s: float,
    ) -> None:
        self._late_max_s = settings.late_max_s
        self._ahead_max_s = settings.horizon_s + settings.bucket_s
        self._tickets = tickets
        self._wall_offset_s = wall_offset_s
        self._spent = Spent()
        # Of a random number for this run, so that no two runs give the same nonce.
        self._last_nonce = int.from_bytes(random_bytes(4), "big") << SEQUENCE_BITS
        self.foreign = 0
        """Tickets that were none of ours, or for a slot that no calendar reaches."""
        self.spent = 0
        """Tickets that had let their device in before."""

    def make(
        self,
        device_id: int,
        intent: Intent,
        slot_s: float,
        former: Promise | None,
        now_s: float,
    ) -> Promise:
        """Promise a slot; `former` is the promise that it replaces, which is worth nothing more."""
        first_s = now_s if former is None else former.first_deferred_s
        count = 1
        if former is not None:
            count = min(former.count + 1, COUNT_MAX)
            self._spent.add(former.nonce)
        self._last_nonce = nonce = (self._last_nonce + 1) & NONCE_MASK
        offset_s = self._wall_offset_s
        slot_ms = ceil((slot_s + offset_s) * 1000)
        first_ms = int((first_s + offset_s) * 1000)
        ticket = DeferralTicket(device_id, intent, slot_ms, first_ms, count, nonce)
        return Promise(intent, slot_s, first_s, count, nonce, self._tickets.seal(ticket))

    def find(
        self, device_id: int, sealed: bytes, remembered: Promise | None, now_s: float
    ) -> Promise | None:
        """The promise that a device has: the one remembered, else by the ticket that it shows; None
        without one, and when it comes too late for it."""
        promise = remembered
        if promise is None:
            if not sealed:
                return None
            promise = self._open(device_id, sealed, now_s)
        if promise is None or now_s - promise.slot_s > self._late_max_s:
            return None
        return promise

    def keep(self, promise: Promise) -> None:
        """Its device has been let in: the promise is used up."""
        self._spent.add(promise.nonce)

    def give_back(self, device_id: int, sealed: bytes) -> None:
        """Its device was let in, and was gone before its turn came: the promise holds again."""
        ticket = self._tickets.open(sealed, device_id)
        if ticket is not None:
            self._spent.discard(ticket.nonce)

    def _open(self, device_id: int, sealed: bytes, now_s: float) -> Promise | None:
        ticket = self._tickets.open(sealed, device_id)
        if ticket is None:
            self.foreign += 1
            return None
        if ticket.nonce in self._spent:
            self.spent += 1
            return None
        offset_s = self._wall_offset_s
        slot_s = ticket.slot_ms / 1000 - offset_s
        if slot_s > now_s + self._ahead_max_s:
            self.foreign += 1  # ours, of a run whose clock was wrong
            return None
        first_deferred_s = min(ticket.first_deferred_ms / 1000 - offset_s, now_s)
        return Promise(ticket.intent, slot_s, first_deferred_s, ticket.count, ticket.nonce, sealed)
