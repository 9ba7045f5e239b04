"""Trio as a guest on asyncio's loop, in one thread; each may call what is synchronous of the other.

    async with trio_beside(link.run, link.stop):
        ...  # asyncio; link's Trio task runs meanwhile

See "Using guest mode to run Trio on top of other event loops" in Trio's reference. A child process
would do as well, for a copy of the whole client, a wire format and a second way to die.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def trio_beside(
    run: Callable[[Callable[[], None]], Awaitable[None]], stop: Callable[[], None]
) -> AsyncIterator["asyncio.Future[Callable[[], None]]"]:
    """Run `run(started)` in Trio while this is entered, which it is once `started` was called.

    Gives a future that is done when the run is over. Leaving calls `stop`, after which `run` must
    return in bounded time, and waits for that; then raises what the run raised. The loop must
    handle signals by itself: Trio is told to leave them alone.
    """
    loop = asyncio.get_running_loop()
    started = asyncio.Event()
    ended: asyncio.Future[Callable[[], None]] = loop.create_future()
    trio.lowlevel.start_guest_run(
        run,
        started.set,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        done_callback=lambda outcome: ended.set_result(outcome.unwrap),
        host_uses_signal_set_wakeup_fd=True,
    )
    try:
        ended.add_done_callback(lambda _: started.set())
        await started.wait()
        if not ended.done():
            yield ended
    finally:
        if not ended.done():
            stop()
        await _wait_shielded(ended)
    unwrap = ended.result()
    unwrap()


async def _wait_shielded(ended: "asyncio.Future[Callable[[], None]]") -> None:
    """A host loop must not end before its guest. A cancellation is put off until then."""
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
