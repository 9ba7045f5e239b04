"""When garbage is collected: small collections as they come, full ones only while it is calm.

A full collection looks through every session (45 ms at 10,000 of them), and Python starts one when
a quarter more objects have come to stay: in the middle of a storm, again and again. Sessions leave
no cycles behind, so there is little to find, and it can wait.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from hwangso_server.limits import FULL_COLLECTION_INTERVAL_S

NEVER = 1_000_000
"""Middle collections before Python begins a full one by itself: weeks."""


@contextmanager
def full_collections_postponed() -> Iterator[None]:
    """Python begins no full collection by itself; what is there already is never looked at again.

    Leave it to undo both. Run `collect_while_calm` meanwhile.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(thresholds[0], thresholds[1], NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


async def collect_while_calm(is_calm: Callable[[], bool]) -> None:
    """A full collection every FULL_COLLECTION_INTERVAL_S, left out where it is not calm."""
    while True:
        await trio.sleep(FULL_COLLECTION_INTERVAL_S)
        if is_calm():
            gc.collect()
