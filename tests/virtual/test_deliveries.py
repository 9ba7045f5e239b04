"""The network's agenda: one heap, one task."""

from functools import partial

import trio
from tests.virtual.lab import virtually

from hwangso_tools.virtual.deliveries import Deliveries


class Log:
    """What was called, and when."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []

    def note(self, name: str) -> None:
        self.entries.append((trio.current_time(), name))


@virtually
async def test_things_happen_in_the_order_of_time_then_of_asking() -> None:
    deliveries, log = Deliveries(), Log()
    for when_s, name in ((2.0, "d"), (1.0, "b"), (1.0, "c"), (0.5, "a")):
        deliveries.at(when_s, partial(log.note, name))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert log.entries == [(0.5, "a"), (1.0, "b"), (1.0, "c"), (2.0, "d")]


@virtually
async def test_something_sooner_wakes_it() -> None:
    deliveries, log = Deliveries(), Log()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        deliveries.at(10.0, partial(log.note, "late"))
        await trio.sleep(1)
        deliveries.at(2.0, partial(log.note, "soon"))
        deliveries.at(0.5, partial(log.note, "at once"))
        await trio.sleep(2)
        deliveries.at(4.0, partial(log.note, "on"))
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert log.entries == [(1.0, "at once"), (2.0, "soon"), (4.0, "on"), (10.0, "late")]


@virtually
async def test_what_is_called_may_ask_for_more() -> None:
    deliveries, log = Deliveries(), Log()

    def again() -> None:
        log.note("again")
        if len(log.entries) < 3:
            deliveries.at(trio.current_time() + 1, again)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        deliveries.at(0.0, again)
        await trio.sleep(9)
        nursery.cancel_scope.cancel()
    assert [at_s for at_s, _ in log.entries] == [0.0, 1.0, 2.0]


@virtually
async def test_ticks() -> None:
    """Never early; a time on a tick stays there, whatever floating point made of it."""
    deliveries, log = Deliveries(tick_s=0.01), Log()
    assert deliveries.at(0.011, partial(log.note, "a")) == 0.02
    assert deliveries.at(0.1 + 0.2, partial(log.note, "b")) == 0.30
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliveries.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert log.entries == [(0.02, "a"), (0.30, "b")]
