"""What processes use, asked of the operating system."""

import os
import time
from dataclasses import dataclass
from typing import Final

import psutil

QUIET_WINDOW_S: Final = 0.5
QUIET_SHARE: Final = 0.05
"""A process that uses less of a core than this over a window has nothing to do."""

QUIET_WITHIN_S: Final = 30.0

TICK_S: Final = 0.01
"""What the system counts processor time in; a server cannot have used less."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Between two moments. CPU seconds are user and system time of all threads."""

    elapsed_s: float
    server_cpu_s: float
    generator_cpu_s: float

    @property
    def server_share(self) -> float:
        """Of one core."""
        return self.server_cpu_s / self.elapsed_s

    @property
    def generator_share(self) -> float:
        """Of one core."""
        return self.generator_cpu_s / self.elapsed_s


class Meter:
    """Starts when it is made; `usage` tells what was used since."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        self._generator = psutil.Process(os.getpid())
        self._server_cpu_s = _cpu_s(self._server)
        self._generator_cpu_s = _cpu_s(self._generator)
        self._start = time.perf_counter()

    def usage(self) -> Usage:
        """What was used since the start."""
        return Usage(
            elapsed_s=time.perf_counter() - self._start,
            server_cpu_s=max(_cpu_s(self._server) - self._server_cpu_s, TICK_S),
            generator_cpu_s=_cpu_s(self._generator) - self._generator_cpu_s,
        )


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(psutil.Process(pid).memory_info().rss)


def wait_quiet(pid: int) -> None:
    """Wait until the process has nothing left to do, QUIET_WITHIN_S at most."""
    process = psutil.Process(pid)
    for _ in range(round(QUIET_WITHIN_S / QUIET_WINDOW_S)):
        before = _cpu_s(process)
        time.sleep(QUIET_WINDOW_S)
        if _cpu_s(process) - before < QUIET_SHARE * QUIET_WINDOW_S:
            return


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user) + float(times.system)
