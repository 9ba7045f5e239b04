"""The modelled processor: work takes virtual time."""

import pytest
import trio
from tests.virtual.lab import virtually

from hwangso_server.processor import Work
from hwangso_tools.virtual.processor import ModelledProcessor


@virtually
async def test_work_takes_its_time() -> None:
    processor = ModelledProcessor(100)
    processor.begin()
    processor.charge(Work.RESUME)
    processor.charge(Work.HELLO)
    assert processor.spent_s() == pytest.approx(0.011)
    assert trio.current_time() == 0
    assert processor.now_s() == pytest.approx(0.011)
    await processor.settle()
    assert trio.current_time() == pytest.approx(0.011)
    processor.begin()
    assert processor.spent_s() == 0


@virtually
async def test_a_second_of_work_is_the_capacity() -> None:
    processor = ModelledProcessor(50)
    for _ in range(50):
        processor.begin()
        processor.charge(Work.RESUME)
        await processor.settle()
    assert trio.current_time() == pytest.approx(1.0)


@virtually
async def test_idle_time_is_not_made_up_for() -> None:
    processor = ModelledProcessor(100)
    processor.charge(Work.RESUME)
    await processor.settle()
    await trio.sleep(5)
    processor.charge(Work.RESUME)
    assert processor.now_s() == pytest.approx(5.02)


@virtually
async def test_its_time_never_goes_back() -> None:
    """Also for a task that runs while a turn's work passes."""
    processor, seen = ModelledProcessor(1), []

    async def look() -> None:
        for _ in range(10):
            await trio.sleep(0.25)
            seen.append(processor.now_s())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        processor.charge(Work.RESUME)
        await processor.settle()
    assert seen == sorted(seen)
    assert seen == [1.0, 1.0, 1.0, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5]


@virtually
async def test_a_slowdown() -> None:
    processor = ModelledProcessor(100)
    processor.slow_down(4)
    processor.charge(Work.RESUME)
    await processor.settle()
    assert trio.current_time() == pytest.approx(0.04)
    processor.slow_down(1)
    processor.charge(Work.RESUME)
    await processor.settle()
    assert trio.current_time() == pytest.approx(0.05)
    assert processor.busy_s[Work.RESUME] == pytest.approx(0.05)
    assert processor.busy_s[Work.LOGIN] == 0


@virtually
async def test_settling_without_work_is_a_checkpoint() -> None:
    processor, others = ModelledProcessor(100), []

    async def other() -> None:
        others.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await processor.settle()
        assert others == [0.0]


@pytest.mark.parametrize("capacity", [0, -1, float("nan")])
def test_a_capacity_that_is_none(capacity: float) -> None:
    with pytest.raises(ValueError, match="a capacity of"):
        ModelledProcessor(capacity)
