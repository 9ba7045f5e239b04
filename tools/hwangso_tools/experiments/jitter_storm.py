"""A storm on a server without control, as a simulation of events: devices that are cut at once and
come back by themselves, each with the client's real `Link` and one kind of back-off.

The server answers one handshake after another in the order of its accept queue, whether or not the
peer is still there; it defers and refuses nothing. So only the devices' own back-off saves it.
Times are in seconds; the devices are cut at 0.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Final

from hwangso_client.attempt import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from hwangso_client.backoff import Backoff
from hwangso_client.link import HELD_AFTER_S, Identity, Link
from hwangso_protocol.messages import Policy, Welcome

SYN_RETRIES_S: Final = (1.0, 3.0, 7.0)
"""After so long a connect that met a full accept queue tries again by itself (RFC 6298)."""
LIMIT_S: Final = 150.0
"""When to give up, from the moment that the server is there."""
ARRIVALS_WINDOW_S: Final = 0.1
"""Arrivals are counted over so long a time."""

_IDENTITY: Final = Identity(bytes(32), bytes(32), "alice", "", "phone", register=False)

Make = Callable[[random.Random], Backoff]
"""Makes a device's back-off."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a crowd meets.

    `capacity` is the share of the crowd that the server can answer while one device waits for its
    answer: at 1 the last of a queue of all of them is answered just in time. `queue` is the length
    of the accept queue, as a share of the crowd: 4,096 is 0.4 of 10,000 devices. The server refuses
    connections for `outage_s` after the cut.
    """

    capacity: float
    queue: float
    outage_s: float
    base_s: float = 0.5
    cap_s: float = 16.0
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    devices: int = 500

    @property
    def handshakes_per_s(self) -> float:
        """What the server can do."""
        return self.capacity * self.devices / self.answer_timeout_s


@dataclass
class Record:
    """What happened."""

    back_at: list[float] = field(default_factory=list)
    """When each device had its session, in order."""
    attempts: int = 0
    in_vain: int = 0
    """Handshakes for devices that had given up."""
    arrivals: dict[int, int] = field(default_factory=dict)
    """Attempts that met the server, by the number of the window of ARRIVALS_WINDOW_S."""


@dataclass(slots=True)
class _Device:
    link: Link
    waits_as: int = 0
    """The number of the attempt that waits for its answer; 0 if none does."""


class Storm:
    """One run; `run` it once. The same arguments give the same record."""

    def __init__(self, setting: Setting, make: Make, seed: int) -> None:
        self._setting = setting
        self._record = Record()
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = count()
        self._queue: deque[tuple[_Device, int]] = deque()
        self._queue_max = max(1, int(setting.queue * setting.devices))
        self._is_answering = False
        policy = Policy(60_000, round(setting.base_s * 1000), round(setting.cap_s * 1000))
        self._welcome = Welcome("alice", 1, b"ticket", bytes(32), 0, 0, 0, policy)
        rng = random.Random(seed)
        for _ in range(setting.devices):
            backoff = make(rng)
            self._cut(_Device(Link(_IDENTITY, backoff, backoff, 0, 0, enrolled=True)))

    def run(self) -> Record:
        """Until every device is back, or LIMIT_S is over."""
        until = self._setting.outage_s + LIMIT_S
        while len(self._record.back_at) < self._setting.devices:
            now, _, happen = heappop(self._events)
            if now >= until:
                break
            happen(now)
        return self._record

    def _at(self, at: float, happen: Callable[[float], None]) -> None:
        # The number keeps what is due at the same time in order.
        heappush(self._events, (at, next(self._numbers), happen))

    # The devices

    def _cut(self, device: _Device) -> None:
        """A session that has held ends."""
        device.link.welcomed(-HELD_AFTER_S, 0, self._welcome)
        device.link.ended(0.0, None)
        self._come_when_due(device)

    def _come_when_due(self, device: _Device) -> None:
        self._at(device.link.next_at, lambda now: self._attempt(device, now))

    def _attempt(self, device: _Device, now: float) -> None:
        self._record.attempts += 1
        number = device.waits_as = device.link.attempt().number
        if now < self._setting.outage_s:
            self._fail(device, now)
            return
        window = int(now / ARRIVALS_WINDOW_S)
        self._record.arrivals[window] = self._record.arrivals.get(window, 0) + 1
        self._knock(device, number, now, (*SYN_RETRIES_S, inf), now)

    def _knock(
        self, device: _Device, number: int, began: float, retries_s: Sequence[float], now: float
    ) -> None:
        """A SYN: into the accept queue, or lost if that is full, and then sent again."""
        setting = self._setting
        gives_up_at = began + setting.connect_timeout_s
        knocks_at = began + retries_s[0]
        if len(self._queue) < self._queue_max:
            self._queue.append((device, number))
            self._answer_next(now)
            gives_up_at = now + setting.answer_timeout_s
        elif knocks_at < gives_up_at:
            self._at(
                knocks_at, lambda then: self._knock(device, number, began, retries_s[1:], then)
            )
            return
        self._at(gives_up_at, lambda then: self._give_up(device, number, then))

    def _give_up(self, device: _Device, number: int, now: float) -> None:
        if device.waits_as == number:
            self._fail(device, now)

    def _fail(self, device: _Device, now: float) -> None:
        device.waits_as = 0
        device.link.failed(now)
        self._come_when_due(device)

    # The server

    def _answer_next(self, now: float) -> None:
        if self._queue and not self._is_answering:
            self._is_answering = True
            device, number = self._queue.popleft()
            answered_at = now + 1 / self._setting.handshakes_per_s
            self._at(answered_at, lambda then: self._answer(device, number, then))

    def _answer(self, device: _Device, number: int, now: float) -> None:
        self._is_answering = False
        if device.waits_as == number:
            device.waits_as = 0
            device.link.welcomed(now, 0, self._welcome)
            self._record.back_at.append(now)
        else:
            self._record.in_vain += 1
        self._answer_next(now)
