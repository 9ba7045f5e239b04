"""Trio beside asyncio. The tests are plain functions: asyncio is what they run on."""

import asyncio
from collections.abc import Callable

import pytest
import trio

from hwangso_tools.phone.guest import trio_beside


class Guest:
    """Counts on in Trio until it is stopped."""

    def __init__(self) -> None:
        self.left = False
        self.entered = asyncio.Event()
        self._stop: trio.Event
        self._told: trio.MemorySendChannel[int]
        self.heard: asyncio.Queue[int] = asyncio.Queue()

    async def run(self, started: Callable[[], None]) -> None:
        self._stop = trio.Event()
        self._told, receive = trio.open_memory_channel[int](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, receive)
            await trio.lowlevel.checkpoint()
            started()
            await self._stop.wait()
            nursery.cancel_scope.cancel()
        await trio.sleep(0.001)  # saying goodbye takes a moment
        self.left = True

    async def _listen(self, receive: trio.MemoryReceiveChannel[int]) -> None:
        async for number in receive:
            self.heard.put_nowait(number)

    def tell(self, number: int) -> None:
        self._told.send_nowait(number)

    def stop(self) -> None:
        self._stop.set()


def test_each_hears_the_other_and_the_guest_leaves_in_order() -> None:
    guest = Guest()

    async def main() -> None:
        async with asyncio.timeout(20), trio_beside(guest.run, guest.stop) as ended:
            guest.tell(7)
            assert await guest.heard.get() == 7
            assert not ended.done()

    asyncio.run(main())
    assert guest.left


def test_a_guest_that_fails_at_the_start() -> None:
    async def fail(started: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("no")

    async def main() -> None:
        async with trio_beside(fail, lambda: None):
            raise AssertionError("it was entered")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())


def test_a_guest_that_fails_later_is_noticed() -> None:
    async def fail(started: Callable[[], None]) -> None:
        started()
        await trio.lowlevel.checkpoint()
        raise ValueError("later")

    async def main() -> None:
        async with asyncio.timeout(20), trio_beside(fail, lambda: None) as ended:
            await ended

    with pytest.raises(ValueError, match="later"):
        asyncio.run(main())


def test_a_host_that_fails_or_is_cancelled_waits_for_its_guest() -> None:
    guest = Guest()

    async def failing() -> None:
        async with trio_beside(guest.run, guest.stop):
            raise ValueError("host")

    with pytest.raises(ValueError, match="host"):
        asyncio.run(failing())
    assert guest.left

    cancelled = Guest()

    async def main() -> None:
        async with trio_beside(cancelled.run, cancelled.stop):
            cancelled.entered.set()
            await asyncio.get_running_loop().create_future()

    async def cancel() -> None:
        task = asyncio.create_task(main())
        await cancelled.entered.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert cancelled.left
