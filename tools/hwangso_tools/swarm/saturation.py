"""Whether the generator itself is the bottleneck: lateness of its event loop, load of its core.

A generator that cannot keep up measures itself. So it watches itself, in windows, and says so on
screen and in the figures.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import trio

TICK_S: Final = 0.05
"""How often the loop is asked for its lateness."""

WINDOW_S: Final = 1.0

LATENESS_MAX_S: Final = 0.1
"""A window in which the loop was later than this once counts as saturated: latencies of this
process are then its own."""

CPU_SHARE_MAX: Final = 0.95
"""Of one core, which is all that a Python process can use."""


class Load(msgspec.Struct, frozen=True):
    """How busy a process was. Mergeable: the worst of all processes counts."""

    windows: int = 0
    saturated_windows: int = 0
    lateness_max_ms: float = 0.0
    cpu_share_max: float = 0.0

    def merged(self, other: "Load") -> "Load":
        """Both together."""
        return Load(
            self.windows + other.windows,
            self.saturated_windows + other.saturated_windows,
            max(self.lateness_max_ms, other.lateness_max_ms),
            max(self.cpu_share_max, other.cpu_share_max),
        )

    @property
    def saturated(self) -> bool:
        """Whether there was any window in which it could not keep up."""
        return self.saturated_windows > 0


@dataclass(slots=True)
class SaturationWatch:
    """Run `run` in a nursery; read `load` at any time. `cpu_s` gives processor time used."""

    cpu_s: Callable[[], float] = time.process_time
    load: Load = field(default_factory=Load)
    saturated_now: bool = False
    """As of the last window."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            window_start, cpu_start = trio.current_time(), self.cpu_s()
            lateness_s = 0.0
            while trio.current_time() < window_start + WINDOW_S:
                due = trio.current_time() + TICK_S
                await trio.sleep_until(due)
                lateness_s = max(lateness_s, trio.current_time() - due)
            elapsed_s = trio.current_time() - window_start
            self._count(lateness_s, (self.cpu_s() - cpu_start) / elapsed_s)

    def _count(self, lateness_s: float, cpu_share: float) -> None:
        self.saturated_now = lateness_s > LATENESS_MAX_S or cpu_share > CPU_SHARE_MAX
        self.load = self.load.merged(
            Load(1, int(self.saturated_now), round(lateness_s * 1000, 3), round(cpu_share, 3))
        )
