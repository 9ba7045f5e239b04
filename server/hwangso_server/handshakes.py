"""Admitted callers whose handshake has not begun, in the order in which they are served.

Two queues, by the intent that admission serves them as. Admission bounds both.
"""

from collections import deque
from typing import Protocol

from msgspec import Struct

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Hello, Intent, Kind
from hwangso_protocol.ticket import ResumeTicket


class Admitted(Struct, frozen=True, gc=False):
    """A hello that admission let in. `arrived_s` is when it reached the kernel, `intent` the order
    it is served in."""

    hello: Hello
    ticket: ResumeTicket | None
    intent: Intent
    arrived_s: float

    @property
    def device_id(self) -> int | None:
        """Known before the handshake for a resume only."""
        return None if self.ticket is None else self.ticket.device_id

    @property
    def kind(self) -> Kind:
        """How the device identifies itself."""
        return self.hello.kind


class Handshake(Protocol):
    """Somebody admitted, behind whatever connection. After one of the last two it is used up."""

    @property
    def admitted(self) -> Admitted:
        """What admission let in."""

    def is_gone(self) -> bool:
        """Whether the peer has hung up."""

    def begin(self) -> None:
        """Read the first message, and answer it or have it answered."""

    def give_up(self, reason: RefuseReason | None) -> None:
        """Close without a handshake, with a REFUSE if there is a reason."""


class HandshakeQueues:
    """Who waits. Without a dispatcher a core begins each at once, and there are no queues."""

    def __init__(self) -> None:
        self._queues: dict[Intent, deque[Handshake]] = {intent: deque() for intent in Intent}
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def has(self, intent: Intent) -> bool:
        """Whether somebody waits to be served as `intent`."""
        return bool(self._queues[intent])

    def submit(self, handshake: Handshake) -> None:
        """Wait behind the others."""
        self._waiting += 1
        self._queues[handshake.admitted.intent].append(handshake)

    def next(self, intent: Intent, *, newest_first: bool = False) -> Handshake | None:
        """Take out the next one."""
        queue = self._queues[intent]
        if not queue:
            return None
        self._waiting -= 1
        return queue.pop() if newest_first else queue.popleft()

    def drain(self) -> list[Handshake]:
        """Take out all."""
        drained = [handshake for queue in self._queues.values() for handshake in queue]
        for queue in self._queues.values():
            queue.clear()
        self._waiting = 0
        return drained
