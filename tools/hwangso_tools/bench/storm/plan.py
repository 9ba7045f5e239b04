"""What a storm is made of: how patient a device is, when it starts, and what became of it all."""

from collections.abc import Sequence
from enum import Enum
from math import ceil
from random import Random
from typing import Final

import msgspec


class Part(Enum):
    """A storm with a purpose."""

    BASE = "base"
    """Patient devices, control on: what the server is for."""
    OFF = "off"
    """The same with control off, on one port: the negative control."""
    IMPATIENT = "impatient"
    """Devices that give up after a second, and obey a DEFER."""
    DISOBEDIENT = "disobedient"
    """Patient devices, of which a share does not hear a DEFER."""


DISOBEDIENT_SHARE: Final = 0.2


class Patience(msgspec.Struct, frozen=True):
    """How long a device waits for its session, and when it tries again: exponential back-off, with
    full jitter or with none."""

    timeout_s: float
    backoff_base_s: float
    backoff_cap_s: float
    jitter: bool = True

    def backoff_s(self, failures: int, rng: Random) -> float:
        """The wait after so many failures in a row."""
        doublings = min(failures - 1, 30)  # beyond every cap; a long storm makes no huge numbers
        ceiling_s = min(self.backoff_base_s * 2**doublings, self.backoff_cap_s)
        return rng.uniform(0.0, ceiling_s) if self.jitter else ceiling_s


PATIENT: Final = Patience(5.0, 0.5, 16.0)
IMPATIENT: Final = Patience(1.0, 0.1, 1.0)
SOMEBODY_WAITS: Final = Patience(5.0, 0.001, 0.001)
"""An app that was opened tries again at once; the millisecond keeps a server that is gone from
making this a busy loop."""
SET_UP: Final = Patience(30.0, 0.1, 1.0)
"""Before a storm: the crowd connects, a few at a time."""


class HeldTicket(msgspec.Struct, frozen=True, array_like=True):
    """What a device resumes with."""

    ticket: bytes
    psk: bytes


class Start(msgspec.Struct, frozen=True, array_like=True):
    """Device number `device` wants to be connected, `after_s` after the order's time."""

    device: int
    after_s: float


def at_once(devices: Sequence[int], rng: Random) -> list[Start]:
    """All in the same moment; a generator takes them in this order."""
    return [Start(device, 0.0) for device in rng.sample(devices, len(devices))]


def app_opens(first_device: int, per_s: float, seconds: float, rng: Random) -> list[Start]:
    """People open the app whatever became of those before: a Poisson process, a device each."""
    starts: list[Start] = []
    after_s = rng.expovariate(per_s)
    while after_s < seconds:
        starts.append(Start(first_device + len(starts), after_s))
        after_s += rng.expovariate(per_s)
    return starts


class Tally(msgspec.Struct):
    """What happened, counted."""

    attempts: int = 0
    deferrals: int = 0
    """DEFERs that were obeyed."""
    disobeyed: int = 0
    """DEFERs that were taken for a failure."""
    unproven_deferrals: int = 0
    """Of all DEFERs, those that carried no proof of the server's."""
    refusals: int = 0
    timeouts: int = 0
    broken: int = 0
    """Attempts that ended without an answer: reset, closed, not accepted."""
    lost: int = 0
    """Sessions that the server ended, since the order before."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one order's starts. Times in seconds; each counts from the intended start."""

    ready_s: Sequence[float]
    """Until the session was ready: one for each device that has one at the end."""
    never_s: Sequence[float]
    """Until the end, of those that have none."""
    start_lateness_s: Sequence[float]
    """How late the generator made the first attempt of each."""
    retry_lateness_s: Sequence[float]
    """How late it made every other attempt, after a slot or a back-off."""
    tally: Tally

    @property
    def devices(self) -> int:
        """All that were to be connected."""
        return len(self.ready_s) + len(self.never_s)

    def quantile_s(self, share: float) -> float:
        """The time within which this share of all was ready. Who never was counts with the time
        until the end, so the figure is a lower bound then."""
        return quantile([*self.ready_s, *self.never_s], share)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of them that this share of all do not exceed (nearest rank); 0 if empty."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)] if values else 0.0
