"""The processor that a server's work takes: the real one, whose time passes by itself, or one that
is made slower on purpose. Virtual time brings its own."""

from collections.abc import Mapping
from enum import Enum
from time import perf_counter, sleep
from typing import Final, Protocol

import trio

from hwangso_server.limits import GIVE_WAY_S


class Work(Enum):
    """What the dispatcher charges for, once for each piece."""

    HELLO = "hello"
    """Accept, read a hello, decide about it."""
    DEFER = "defer"
    """Sign and send a DEFER or a REFUSE, and close."""
    HANG_UP = "hang up"
    """Clean up behind a peer that is gone."""
    ENROL = "enrol"
    LOGIN = "login"
    RESUME = "resume"
    """A handshake of this kind, up to its answer."""
    SEGMENT = "segment"
    """What one live session has sent: usually one message."""


SHARES_OF_A_RESUME: Final[Mapping[Work, float]] = {
    Work.HELLO: 0.10,
    Work.DEFER: 0.12,
    Work.HANG_UP: 0.12,
    Work.RESUME: 1.0,
    Work.LOGIN: 1.8,
    Work.ENROL: 2.5,
    Work.SEGMENT: 0.2,
}
"""What each piece of work costs, measured on real hardware, as a share of one resume: a model for
processors slower than this one."""


class Processor(Protocol):
    """Measures a turn; see `dispatcher`."""

    def begin(self) -> None:
        """A turn begins."""

    def charge(self, work: Work) -> None:
        """A piece of work was done."""

    def spent_s(self) -> float:
        """Since `begin`."""

    def give_way(self) -> None:
        """Leave the core, for a moment, to a thread of the store that has work for people."""

    async def settle(self) -> None:
        """Let the time pass that was charged and has not passed yet, if there is any."""


class RealProcessor:
    """Time passes while work is done."""

    def __init__(self) -> None:
        self._began_s = perf_counter()

    def begin(self) -> None:
        """A turn begins."""
        self._began_s = perf_counter()

    def charge(self, work: Work) -> None:
        """It has taken its time already."""

    def spent_s(self) -> float:
        """Since `begin`."""
        return perf_counter() - self._began_s

    def give_way(self) -> None:
        """Sleep: it gives up core and interpreter lock, and is over in 0.1 ms."""
        sleep(GIVE_WAY_S)

    async def settle(self) -> None:
        """It has passed. No checkpoint: the dispatcher waits next, and each costs 30 us."""


class SlowedProcessor:
    """As slow as a machine that does so many resumes a second and nothing else: after each turn it
    sleeps for what the turn's work would have taken there. For storms that are to be watched on
    the machine that also plays the phones."""

    def __init__(self, resumes_per_s: float) -> None:
        self._resume_s = 1 / resumes_per_s
        self._spent_s = 0.0

    def begin(self) -> None:
        """A turn begins."""
        self._spent_s = 0.0

    def charge(self, work: Work) -> None:
        """A piece of work was done."""
        self._spent_s += SHARES_OF_A_RESUME[work] * self._resume_s

    def spent_s(self) -> float:
        """Since `begin`."""
        return self._spent_s

    def give_way(self) -> None:
        """It sleeps all the time."""

    async def settle(self) -> None:
        """Let the time pass."""
        await trio.sleep(self._spent_s)
