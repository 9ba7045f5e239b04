"""What is to happen at which time: one heap and one task for a whole network.

A task for each packet would cost ten times as much, and there are seven packets in a reconnect.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf
from typing import Final

import trio

TICK_S: Final = 0.001
"""In a storm several packets come in one tick, which saves half of the turns of Trio's loop."""

_SLACK_TICKS: Final = 1e-6
"""So that 0.1 + 0.2 s is the 300th tick, not the 301st."""


class Deliveries:
    """Calls functions at their times, in the order of time, then of asking. `run` it.

    Things happen at multiples of `tick_s`, never early, as by the timer of a kernel.
    """

    def __init__(self, *, tick_s: float = TICK_S) -> None:
        self._tick_s = tick_s
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._wake_at_s = -inf
        self._scope = trio.CancelScope()

    def at(self, when_s: float, call: Callable[[], None]) -> float:
        """Call at the tick at `when_s` or behind it, which is returned; soon if it has passed. What
        is called must not raise."""
        tick_s = ceil(when_s / self._tick_s - _SLACK_TICKS) * self._tick_s
        heappush(self._heap, (tick_s, next(self._numbers), call))
        if tick_s < self._wake_at_s:
            self._wake_at_s = self._scope.deadline = tick_s
        return tick_s

    async def run(self) -> None:
        """Until cancelled."""
        heap = self._heap
        while True:
            now_s = trio.current_time()
            while heap and heap[0][0] <= now_s:
                heappop(heap)[2]()
            self._wake_at_s = heap[0][0] if heap else inf
            with trio.CancelScope(deadline=self._wake_at_s) as self._scope:
                await trio.sleep_forever()
            self._wake_at_s = -inf
