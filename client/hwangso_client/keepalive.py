"""When to ping, and when a peer is dead. Pure: every `now` is an argument, in seconds.

A connection whose other end is gone looks like a silent one. So the device sends something at least
every `interval_s` (the server's policy), and waits for a Pong at most PONG_TIMEOUT_S. Where a
request has brought no answer for PATIENCE_S it asks sooner: on a broken path the user's message
should not wait for the next keepalive.
"""

from enum import Enum
from math import inf

PONG_TIMEOUT_S = 5.0
"""From a ping to giving the peer up: as long as a login waits for its answer, for the same reason.
A server that takes longer is of no use to whoever holds the phone."""
PATIENCE_S = 5.0
"""From a request without an answer to a ping that asks whether the peer is there at all."""
UNANSWERED_MAX_S = 60.0
"""A peer that answers pings but no request for this long has lost them: a new session asks anew."""
INTERVAL_MIN_S = 1.0
"""A policy below it would make a phone a source of load."""
INTERVAL_MAX_S = 3_600.0
"""A policy beyond an hour, most likely a slip, would leave a phone on a dead connection all day."""


class Check(Enum):
    """What `Keepalive.check` asks the caller to do."""

    WAIT = "wait"
    PING = "ping"
    DEAD = "dead"


class Keepalive:
    """The timers of one session.

    `phase` (0 to 1, the device's own for ever) shortens the interval by up to a quarter, so that
    devices that connected together do not ping together.
    """

    __slots__ = ("_asked_at", "_interval_s", "_patient_until", "_ping_at", "_pinged_at")

    def __init__(self, now: float, interval_s: float, phase: float) -> None:
        bounded_s = min(max(interval_s, INTERVAL_MIN_S), INTERVAL_MAX_S)
        self._interval_s = bounded_s * (1 - phase / 4)
        self._ping_at = now + self._interval_s
        self._pinged_at: float | None = None
        self._asked_at: float | None = None
        self._patient_until = inf

    @property
    def deadline(self) -> float:
        """When to call `check` next."""
        if self._pinged_at is not None:
            return self._pinged_at + PONG_TIMEOUT_S
        deadline = min(self._ping_at, self._patient_until)
        return (
            deadline if self._asked_at is None else min(deadline, self._asked_at + UNANSWERED_MAX_S)
        )

    def check(self, now: float) -> Check:
        """What to do now. After PING, send one and call `pinged`."""
        if self._pinged_at is not None:
            return Check.DEAD if now >= self._pinged_at + PONG_TIMEOUT_S else Check.WAIT
        if self._asked_at is not None and now >= self._asked_at + UNANSWERED_MAX_S:
            return Check.DEAD
        return Check.PING if now >= min(self._ping_at, self._patient_until) else Check.WAIT

    def pinged(self, now: float) -> None:
        """A ping was sent, whatever for."""
        if self._pinged_at is None:
            self._pinged_at = now
        self.sent(now)

    def sent(self, now: float) -> None:
        """Anything was sent."""
        self._ping_at = now + self._interval_s

    def heard(self, now: float) -> None:
        """Anything came: the peer is there."""
        self._pinged_at = None
        if self._asked_at is not None:
            self._patient_until = now + PATIENCE_S

    def asked(self, now: float) -> None:
        """A request was sent."""
        if self._asked_at is None:
            self._asked_at = now
            self._patient_until = now + PATIENCE_S

    def answered(self, now: float, *, still_waiting: bool) -> None:
        """An answer came; `still_waiting` tells whether other requests have none yet."""
        self._asked_at = now if still_waiting else None
        self._patient_until = now + PATIENCE_S if still_waiting else inf
