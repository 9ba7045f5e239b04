"""What a core is given in place of the outside: keys, a network, an admission with a script."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.hello import Intent
from hwangso_protocol.ticket import TicketKey, TicketRing
from hwangso_server.admission import Arrival, Decision, Load, Stage, Treatment
from hwangso_server.admission.treatment import TREATMENTS
from hwangso_server.transport import Receiver

FIRST_TICKET_KEY = TicketKey(1, bytes([0x71]) * 32)


def static_key(number: int) -> X25519PrivateKey:
    """A private key that is the same on every run."""
    return X25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


@dataclass
class FixedKeys:
    """`ServerKeys` without a folder. Assign `ticket_ring` to rotate."""

    static: X25519PrivateKey = field(default_factory=lambda: static_key(0x5E))
    ticket_ring: TicketRing = field(default_factory=lambda: TicketRing([FIRST_TICKET_KEY]))


class FakeTransport:
    """A transport into the test's hands, with the timing of a perfect network.

    `room` is how many more bytes the network takes; None is no limit.
    """

    def __init__(self, on_sent: Callable[[bytes], None]) -> None:
        self._on_sent = on_sent
        self._backlog = bytearray()
        self.receiver: Receiver | None = None
        self.room: int | None = None
        self.closing = False
        self.aborted = False
        self.ended = trio.Event()
        """Set when the server's side is closed, for whatever reason."""

    @property
    def is_open(self) -> bool:
        return not self.ended.is_set()

    # As the server sees it

    @property
    def backlog_bytes(self) -> int:
        return len(self._backlog)

    def write(self, data: bytes) -> None:
        if self.is_open:
            self._backlog += data
            self._move()

    def close(self) -> None:
        self.receiver = None
        self.closing = True
        self._move()

    def abort(self) -> None:
        self.receiver = None
        self._backlog.clear()
        self.aborted |= self.is_open
        self.ended.set()

    # As the network sees it

    def feed(self, data: bytes) -> None:
        """Bytes from the phone."""
        if self.receiver is not None and data:
            self.receiver.data_received(data)

    def lose(self) -> None:
        """The connection breaks."""
        receiver = self.receiver
        self.abort()
        if receiver is not None:
            receiver.connection_lost()

    def make_room(self, room: int | None = None) -> None:
        """Take that many bytes, now and later."""
        self.room = room
        self._move()

    def _move(self) -> None:
        size = len(self._backlog) if self.room is None else min(self.room, len(self._backlog))
        if size:
            data = bytes(self._backlog[:size])
            del self._backlog[:size]
            if self.room is not None:
                self.room -= size
            self._on_sent(data)
        if self.closing and not self._backlog:
            self.ended.set()


class ScriptedAdmission:
    """Answers with these decisions, in order, and then for ever with the last one.

    Assign `stage` to have the server treat everything else as in that stage, and `newest_first`.
    """

    next_deadline_s = inf

    def __init__(self, *decisions: Decision) -> None:
        self._decisions = list(decisions)
        self.stage = Stage.NORMAL
        self.newest_first = False
        self.background_per_s = inf
        self.arrivals: list[Arrival] = []
        self.told: list[str] = []
        """How sessions and handshakes ended."""
        self.gone: list[Intent] = []
        """Admitted callers that hung up before their turn."""
        self.waits: list[tuple[Intent, float]] = []
        """What callers waited for their turn."""
        self.responses: list[tuple[Intent, float]] = []
        """What they waited for their answer."""
        self.loads: list[Load] = []

    @property
    def treatment(self) -> Treatment:
        return TREATMENTS[self.stage]

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        self.arrivals.append(arrival)
        return self._decisions.pop(0) if len(self._decisions) > 1 else self._decisions[0]

    def caller_gone(
        self,
        intent: Intent,
        waited_s: float,
        now_s: float,
        *,
        device_id: int | None = None,
        deferral_ticket: bytes = b"",
    ) -> None:
        self.gone.append(intent)

    def handshake_started(self, intent: Intent, waited_s: float, now_s: float) -> None:
        self.waits.append((intent, waited_s))

    def answered(self, intent: Intent, response_s: float, now_s: float) -> None:
        self.responses.append((intent, response_s))

    def worked(self, load: Load, now_s: float) -> None:
        self.loads.append(load)

    def tick(self, now_s: float) -> None:
        pass

    def handshake_failed(self) -> None:
        self.told.append("handshake_failed")

    def session_started(self) -> None:
        self.told.append("session_started")

    def session_ended(self) -> None:
        self.told.append("session_ended")
