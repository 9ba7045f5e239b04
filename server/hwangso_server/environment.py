"""What a server has from outside, time and chance, injected so that virtual time can drive both."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import trio

from hwangso_protocol.noise import RandomBytes


@dataclass(frozen=True, slots=True)
class Clock:
    """`now_s` never goes back and times waits; `wall_ms` is the time of day, for what is stored
    and for tickets, in ms since the epoch."""

    now_s: Callable[[], float]
    wall_ms: Callable[[], int]


def system_clock() -> Clock:
    """Trio's clock for waits, so that MockClock moves them, and the computer's time of day."""
    return Clock(now_s=trio.current_time, wall_ms=lambda: max(time.time_ns() // 1_000_000, 0))


def trio_clock(epoch_ms: int = 0) -> Clock:
    """Both from Trio's clock: for virtual time, where the day starts at `epoch_ms`."""
    return Clock(
        now_s=trio.current_time, wall_ms=lambda: epoch_ms + int(trio.current_time() * 1000)
    )


@dataclass(frozen=True, slots=True)
class Environment:
    """Time and chance. `rng` spreads things, `random_bytes` makes keys."""

    clock: Clock
    rng: random.Random
    random_bytes: RandomBytes


def system_environment() -> Environment:
    """The computer's."""
    return Environment(system_clock(), random.Random(), os.urandom)


def seeded_environment(seed: int, epoch_ms: int = 0) -> Environment:
    """Trio's clock and one seed: the same run gives the same bytes. Never for real keys."""
    rng = random.Random(seed)
    return Environment(trio_clock(epoch_ms), rng, rng.randbytes)
