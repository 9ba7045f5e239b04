"""The real processor: time passes by itself."""

import pytest
from trio.testing import assert_no_checkpoints

from hwangso_protocol.hello import Kind
from hwangso_server import processor as processor_module
from hwangso_server.processor import RealProcessor, Work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Set its only number to move the processor's clock."""
    now_s = [100.0]
    monkeypatch.setattr(processor_module, "perf_counter", lambda: now_s[0])
    return now_s


def test_a_turn_is_measured_from_its_beginning(clock: list[float]) -> None:
    processor = RealProcessor()
    clock[0] += 3.0
    processor.begin()
    assert processor.spent_s() == 0.0
    clock[0] += 0.25
    assert processor.spent_s() == 0.25
    processor.begin()
    assert processor.spent_s() == 0.0


def test_work_has_taken_its_time_already(clock: list[float]) -> None:
    processor = RealProcessor()
    for work in Work:
        processor.charge(work)
    assert processor.spent_s() == 0.0


def test_time_really_passes() -> None:
    processor = RealProcessor()
    seen = [processor.spent_s() for _ in range(1_000)]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] >= 0


async def test_nothing_is_left_to_settle(clock: list[float]) -> None:
    """Nor is it a checkpoint: the dispatcher has one of its own each turn."""
    with assert_no_checkpoints():
        await RealProcessor().settle()


def test_giving_way_leaves_the_core_for_a_moment(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(processor_module, "sleep", slept.append)
    RealProcessor().give_way()
    assert slept == [processor_module.GIVE_WAY_S]


def test_there_is_a_work_for_each_kind_of_handshake() -> None:
    assert {kind.name for kind in Kind} <= {work.name for work in Work}
