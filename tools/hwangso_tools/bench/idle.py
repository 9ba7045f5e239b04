"""Memory of a connection that is logged in, encrypted, and silent."""

import time
from dataclasses import dataclass
from typing import Final

from hwangso_tools.bench.meter import resident_bytes, wait_quiet

WARM_UP: Final = 200
"""Connections made and dropped before the first reading: what the server sets up once, its threads
and caches, is not the memory of a connection."""

STABLE_S: Final = 4.0
"""Resident memory that has not changed for so long is stable."""

SETTLE_AT_LEAST_S: Final = 12.0
"""The server frees what a silent connection does not need after 10 s of silence."""

SETTLE_AT_MOST_S: Final = 60.0
STEP_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Idle:
    """Resident memory of the server, before and with `connections` of them."""

    connections: int
    before_bytes: int
    after_bytes: int

    @property
    def bytes_per_connection(self) -> float:
        """What one costs."""
        return (self.after_bytes - self.before_bytes) / self.connections


def stable_memory(pid: int) -> int:
    """The process's resident bytes once they no longer change."""
    wait_quiet(pid)
    start = changed = time.perf_counter()
    last = resident_bytes(pid)
    while True:
        time.sleep(STEP_S)
        now = time.perf_counter()
        size = resident_bytes(pid)
        if size != last:
            last, changed = size, now
        if now - start >= SETTLE_AT_MOST_S:
            return last
        if now - start >= SETTLE_AT_LEAST_S and now - changed >= STABLE_S:
            return last
