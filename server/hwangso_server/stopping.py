"""How a server is told to stop: once to stop in order, once more to hurry."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Asked by a supervisor, by Ctrl-C, by a terminal that was closed."""


class Stop:
    """`asked` is set by the first signal or by an operator, `hurry` by each further signal."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.hurry = trio.Event()

    async def watch(self, signals: AsyncIterator[int]) -> None:
        """Take signals until cancelled."""
        async for _ in signals:
            if self.asked.is_set():
                self.hurry.set()
            self.asked.set()


@asynccontextmanager
async def stop_signals() -> AsyncIterator[Stop]:
    """Catch STOP_SIGNALS while the context lasts: from before the server is ready until all is
    closed, so that none of them ever ends the process half-way. Those that the process ignores stay
    ignored, as `nohup` wants it."""
    wanted = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*wanted) as signals:
        async with trio.open_nursery() as nursery:
            stop = Stop()
            nursery.start_soon(stop.watch, signals)
            yield stop
            nursery.cancel_scope.cancel()
