"""The real processor, whose time passes by itself, and the slowed one."""

import pytest
import trio
from trio.testing import MockClock, assert_no_checkpoints

from hwangso_protocol.hello import Kind
from hwangso_server import processor as processor_module
from hwangso_server.limits import GIVE_WAY_S
from hwangso_server.processor import SHARES_OF_A_RESUME, RealProcessor, SlowedProcessor, Work


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
    assert slept == [GIVE_WAY_S]


# As a slower machine


async def test_a_slowed_processor_takes_what_a_slower_machine_would(
    autojump_clock: MockClock,
) -> None:
    """Ten resumes a second, and nothing else; time passes when the turn is settled."""
    processor = SlowedProcessor(10.0)
    for turn in (1, 2):
        processor.begin()
        assert processor.spent_s() == 0.0
        for work in (Work.HELLO, Work.RESUME, Work.LOGIN, Work.SEGMENT):
            processor.charge(work)
        assert processor.spent_s() == pytest.approx(0.31)
        processor.give_way()
        await processor.settle()
        assert trio.current_time() == pytest.approx(turn * 0.31)


async def test_a_slowed_processor_with_nothing_to_do_takes_no_time(
    autojump_clock: MockClock,
) -> None:
    processor = SlowedProcessor(10.0)
    processor.begin()
    await processor.settle()
    assert trio.current_time() == 0.0


def test_every_work_has_its_share_of_a_resume() -> None:
    assert set(SHARES_OF_A_RESUME) == set(Work)
    assert SHARES_OF_A_RESUME[Work.RESUME] == 1.0
    # A deferral costs at most a quarter of a resume.
    assert SHARES_OF_A_RESUME[Work.HELLO] + SHARES_OF_A_RESUME[Work.DEFER] <= 0.25


def test_there_is_a_work_for_each_kind_of_handshake() -> None:
    assert {kind.name for kind in Kind} <= {work.name for work in Work}
