"""A wake-up call for one waiting task."""

import trio


class Doorbell:
    """Any number of rings while nobody waits count as one, and none is missed."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Return at the first ring since the last return. For one task at a time."""
        await self._event.wait()
        self._event = trio.Event()
