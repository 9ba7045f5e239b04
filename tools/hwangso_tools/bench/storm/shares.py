"""How much of a core each process used, and how busy the cores were, between any two moments."""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import psutil
import trio

SAMPLE_EVERY_S: Final = 0.1
"""A reading costs the parent, which shares the generators' core, about 0.1 ms."""


class CpuLog:
    """CPU times, by name, read again and again. Run `run` in a nursery meanwhile."""

    def __init__(self, readers: Mapping[str, Callable[[], float]]) -> None:
        self._readers = readers
        self._times_s: list[float] = []
        self._cpu_s: dict[str, list[float]] = {name: [] for name in readers}

    async def run(self) -> None:
        """Take a reading now and then, until cancelled."""
        while True:
            self.sample()
            await trio.sleep(SAMPLE_EVERY_S)

    def sample(self) -> None:
        """Take a reading."""
        self._times_s.append(time.monotonic())
        for name, read in self._readers.items():
            self._cpu_s[name].append(read())

    def share(self, name: str, begin_s: float, end_s: float) -> float:
        """Of one core, between two moments (`time.monotonic`) within the readings."""
        log = self._cpu_s[name]
        used_s = interpolated(self._times_s, log, end_s) - interpolated(self._times_s, log, begin_s)
        return used_s / (end_s - begin_s)


def interpolated(times: Sequence[float], values: Sequence[float], at: float) -> float:
    """The value at that time, on the straight line between the readings on both sides of it."""
    after = min(max(bisect_right(times, at), 1), len(times) - 1)
    before = after - 1
    part = (at - times[before]) / (times[after] - times[before])
    return values[before] + part * (values[after] - values[before])


def process_cpu(pid: int) -> Callable[[], float]:
    """Reads how many seconds of CPU this process has used, all threads, user and system."""
    process = psutil.Process(pid)

    def read() -> float:
        used = process.cpu_times()
        return float(used.user) + float(used.system)

    return read


def core_busy(core: int) -> Callable[[], float]:
    """Reads how many seconds this core was busy, with whatever, since the system started."""

    def read() -> float:
        spent = psutil.cpu_times(percpu=True)[core]
        # Guests' time is in `user` already.
        return float(
            spent.user + spent.nice + spent.system + spent.irq + spent.softirq + spent.steal
        )

    return read
