"""Messages on their way to the server: queued, in flight, acknowledged. Pure.

A message leaves the outbox only when the server says that it is on disk, or that it will never take
it. Until then it is sent again with the same id, after a lost connection or a BUSY, and the server
stores it once. At most `in_flight_limit` wait for their answer at a time, oldest first, so messages
arrive in the order they were posted; the one exception is a message that the server put off with
BUSY, which those already on their way may overtake.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hwangso_client.backoff import Backoff
from hwangso_client.errors import OutboxFull
from hwangso_client.profile import Unsent
from hwangso_protocol.messages import ErrorCode, Send

RETRY_BASE_S = 0.5
RETRY_CAP_S = 30.0
"""Back-off after BUSY or UNAVAILABLE: the first retry soon, for a queue that was full for a moment;
the last well within the patience of somebody who watches a message not leave."""

TRY_AGAIN = frozenset({ErrorCode.BUSY, ErrorCode.UNAVAILABLE})
"""Answers to a Send that say nothing against the message. Every other is final."""


@dataclass(slots=True)
class Pending:
    """A message in the outbox. `intended_at` is when it was posted, or should have been."""

    unsent: Unsent
    intended_at: float
    tries: int = 0
    in_flight: bool = False


class Outbox:
    """At most `limit` messages; `restored` are those of an earlier run, oldest first."""

    __slots__ = ("_backoff", "_in_flight", "_in_flight_limit", "_limit", "_pending", "_retry_at")

    def __init__(
        self,
        restored: Iterable[Unsent],
        now: float,
        backoff: Backoff,
        *,
        limit: int,
        in_flight_limit: int,
    ) -> None:
        self._backoff = backoff
        self._limit = limit
        self._in_flight_limit = in_flight_limit
        self._pending = {unsent.id: Pending(unsent, now) for unsent in restored}
        self._in_flight = 0
        self._retry_at = now

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def in_flight(self) -> int:
        """How many wait for their answer."""
        return self._in_flight

    @property
    def unsent(self) -> tuple[Unsent, ...]:
        """All that was not acknowledged, oldest first, to be kept in the profile."""
        return tuple([pending.unsent for pending in self._pending.values()])

    @property
    def deadline(self) -> float | None:
        """When `due` will have something; None while everything is in flight or the window full."""
        if self._in_flight == len(self._pending) or self._in_flight >= self._in_flight_limit:
            return None
        return self._retry_at

    def add(self, unsent: Unsent, intended_at: float) -> None:
        """Queue a message. Raises OutboxFull; nothing was queued then."""
        if len(self._pending) >= self._limit:
            raise OutboxFull(
                f"{self._limit} messages wait to be acknowledged; wait for wait_sent()"
            )
        self._pending[unsent.id] = Pending(unsent, intended_at)

    def due(self, now: float) -> list[Send]:
        """The messages to send now; they are in flight after this."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return []
        sends: list[Send] = []
        for pending in self._pending.values():
            if self._in_flight >= self._in_flight_limit:
                break
            if not pending.in_flight:
                pending.in_flight = True
                pending.tries += 1
                self._in_flight += 1
                sends.append(Send(pending.unsent.id, pending.unsent.to, pending.unsent.body))
        return sends

    def acknowledged(self, message_id: bytes) -> Pending | None:
        """The server has it on disk. None if the id is not (or no longer) in the outbox."""
        self._backoff.reset()
        return self._remove(message_id)

    def refused(self, message_id: bytes, code: ErrorCode, now: float) -> Pending | None:
        """The server did not take it. Returns the message if that is final and it has left the
        outbox, None if it will be sent again (or the id is unknown)."""
        if code not in TRY_AGAIN:
            return self._remove(message_id)
        pending = self._pending.get(message_id)
        if pending is not None and pending.in_flight:
            pending.in_flight = False
            self._in_flight -= 1
            if now >= self._retry_at:
                self._retry_at = now + self._backoff.next_s(RETRY_BASE_S, RETRY_CAP_S)
        return None

    def lost(self) -> None:
        """The session is over: what was in flight is to be sent again."""
        for pending in self._pending.values():
            pending.in_flight = False
        self._in_flight = 0

    def _remove(self, message_id: bytes) -> Pending | None:
        pending = self._pending.pop(message_id, None)
        if pending is not None and pending.in_flight:
            self._in_flight -= 1
        return pending
