"""Waiting for memory to be stable, with a clock and a memory of the test's own."""

import itertools
from collections.abc import Iterator

import pytest

from hwangso_tools.bench import idle
from hwangso_tools.bench.idle import (
    SETTLE_AT_LEAST_S,
    SETTLE_AT_MOST_S,
    STABLE_S,
    STEP_S,
    Idle,
    stable_memory,
)


class Clock:
    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(idle, "time", clock)
    monkeypatch.setattr(idle, "wait_quiet", lambda _: None)
    return clock


def memory_is(sizes: Iterator[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "resident_bytes", lambda _: next(sizes))


def test_bytes_per_connection() -> None:
    assert Idle(1_000, 5_000, 25_000).bytes_per_connection == 20.0


def test_stable_from_the_start(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_is(itertools.repeat(7), monkeypatch)
    assert stable_memory(1) == 7
    assert clock.now == SETTLE_AT_LEAST_S


def test_a_late_change_is_waited_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = round(SETTLE_AT_LEAST_S / STEP_S)
    memory_is(itertools.chain([9] * steps, itertools.repeat(5)), monkeypatch)
    assert stable_memory(1) == 5
    assert clock.now == SETTLE_AT_LEAST_S + STABLE_S


def test_memory_that_never_rests_is_not_waited_for(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_is(itertools.count(), monkeypatch)
    stable_memory(1)
    assert clock.now == SETTLE_AT_MOST_S
