from itertools import pairwise
from random import Random

import pytest

from hwangso_tools.bench.storm.plan import (
    IMPATIENT,
    PATIENT,
    SOMEBODY_WAITS,
    Outcome,
    Patience,
    Tally,
    app_opens,
    at_once,
    quantile,
)


class Ceiling(Random):
    """The longest wait there can be."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0.0
        return b


@pytest.mark.parametrize(
    ("patience", "ceilings_s"),
    [
        (PATIENT, [0.5, 1, 2, 4, 8, 16, 16]),
        (IMPATIENT, [0.1, 0.2, 0.4, 0.8, 1, 1]),
        (SOMEBODY_WAITS, [0.001, 0.001]),
    ],
)
def test_backoff_doubles_up_to_its_cap(patience: Patience, ceilings_s: list[float]) -> None:
    rng = Ceiling()
    waits = [patience.backoff_s(failures, rng) for failures in range(1, len(ceilings_s) + 1)]
    assert waits == ceilings_s
    assert patience.backoff_s(100_000, rng) == ceilings_s[-1]


def test_backoff_has_full_jitter_or_none() -> None:
    rng = Random(1)
    waits = [PATIENT.backoff_s(2, rng) for _ in range(1_000)]
    assert min(waits) < 0.01
    assert 0.99 < max(waits) <= 1.0
    assert Patience(5.0, 0.5, 16.0, jitter=False).backoff_s(2, rng) == 1.0


def test_at_once_is_everybody_in_random_order() -> None:
    starts = at_once(range(100), Random(1))
    assert {start.device for start in starts} == set(range(100))
    assert [start.device for start in starts] != list(range(100))
    assert {start.after_s for start in starts} == {0.0}


def test_app_opens_are_a_poisson_process() -> None:
    starts = app_opens(7, 20.0, 1_000.0, Random(1))
    assert 19_500 < len(starts) < 20_500
    assert [start.device for start in starts] == list(range(7, 7 + len(starts)))
    times = [start.after_s for start in starts]
    assert times == sorted(times)
    assert times[-1] < 1_000
    gaps = [after - before for before, after in pairwise(times)]
    assert 0.36 < sum(gap > 1 / 20 for gap in gaps) / len(gaps) < 0.38  # 1/e of an exponential


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.991, 100), (0.0, 1)]
)
def test_quantile_is_by_nearest_rank(share: float, value: int) -> None:
    values = list(range(100, 0, -1))
    assert quantile(values, share) == value


def test_quantile_of_nothing() -> None:
    assert quantile([], 0.99) == 0.0


def test_who_never_was_ready_counts_with_the_time_until_the_end() -> None:
    outcome = Outcome([0.1, 0.2, 0.3], [60.0], [], [], Tally())
    assert outcome.devices == 4
    assert outcome.quantile_s(0.75) == 0.3
    assert outcome.quantile_s(0.76) == 60.0
