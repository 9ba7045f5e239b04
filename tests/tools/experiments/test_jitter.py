"""The comparison of jitters: what is judged, and how."""

from random import Random

import pytest

from hwangso_tools.experiments.jitter import (
    CASES,
    CONTROLS,
    KINDS,
    Case,
    EqualJitter,
    Outcome,
    SlowFullJitter,
    best,
    compare,
    judge,
    overall,
)
from hwangso_tools.experiments.jitter_storm import LIMIT_S, Record, Setting

SMALL = Case(
    "small", "a hundred", [Setting(capacity=1, queue=0.04, outage_s=10, cap_s=4, devices=100)]
)


class Extreme(Random):
    """Draws the upper end of every range, or the lower."""

    def __init__(self, *, upper: bool) -> None:
        super().__init__(0)
        self.upper = upper

    def uniform(self, a: float, b: float) -> float:
        return b if self.upper else a


def test_equal_jitter_is_the_upper_half_of_full() -> None:
    for upper, waits in ((True, [1, 2, 4, 5, 5]), (False, [0.5, 1, 2, 2.5, 2.5])):
        backoff = EqualJitter(Extreme(upper=upper))
        assert [backoff.next_s(1, 5) for _ in range(5)] == waits
        backoff.reset()
        assert backoff.next_s(1, 5) == waits[0]


def test_slow_full_jitter_begins_at_four_times_the_base() -> None:
    backoff = SlowFullJitter(Extreme(upper=True))
    assert [backoff.next_s(1, 10) for _ in range(3)] == [4, 8, 10]


def test_figures_of_a_kind() -> None:
    fast = Setting(capacity=1, queue=1, outage_s=10, devices=100)
    slow = Setting(capacity=0.25, queue=1, outage_s=0, devices=100)
    assert (fast.handshakes_per_s, slow.handshakes_per_s) == (20, 5)
    back = Record([10 + 0.1 * number for number in range(1, 101)], 300, 0, {100: 4, 101: 2})
    never = Record([1.0] * 98, 500, 0, {3: 8})
    outcome = judge([(fast, back), (slow, never)])
    # 9.9 s where 99 / 20 s would do, and LIMIT_S where 99 / 5 s would.
    assert outcome.back_ratio == pytest.approx((2 * LIMIT_S / 19.8) ** 0.5)
    assert (outcome.never, outcome.attempts_mean, outcome.worst_s) == (1, 4, None)
    assert outcome.peak_ratio == pytest.approx((2 * 16) ** 0.5)
    assert judge([(fast, back)]).worst_s == pytest.approx(10)


def outcome(never: int, back_ratio: float, worst_s: float | None = 5) -> Outcome:
    return Outcome(never, back_ratio, 4, 2, worst_s)


def test_cases_are_taken_together() -> None:
    cases = [{"full": outcome(1, 2, None)}, {"full": outcome(2, 8)}]
    together = overall(cases)["full"]
    assert together.back_ratio == pytest.approx(4)
    assert (together.never, together.attempts_mean, together.peak_ratio) == (3, 4, 2)
    assert together.worst_s is None
    assert overall(cases[1:])["full"].worst_s == 5


def test_the_best_ends_most_storms_and_then_soonest() -> None:
    full, decorrelated, equal = KINDS
    case = {full: outcome(1, 1), decorrelated: outcome(0, 3), equal: outcome(0, 2)}
    assert best([{**case, "none": outcome(0, 1)}]) == equal


def test_every_kind_is_run_and_the_same_seed_gives_the_same_figures() -> None:
    runs = [list(compare([SMALL], {**KINDS, **CONTROLS}, seed)) for seed in (7, 7, 8)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    ((case, outcomes),) = runs[0]
    assert case is SMALL
    assert list(outcomes) == ["full", "decorrelated", "equal", "full, 4 base", "none"]


def test_without_jitter_a_crowd_is_no_crowd_but_one_blow() -> None:
    """The negative control: without it the comparison would prove nothing."""
    ((_, outcomes),) = compare([SMALL], {**KINDS, **CONTROLS}, 7)
    for kind in KINDS:
        assert outcomes["none"].back_ratio > 5 * outcomes[kind].back_ratio
        assert outcomes["none"].peak_ratio > 5 * outcomes[kind].peak_ratio


def test_the_cases_cover_capacities_outages_caps_and_impatience() -> None:
    settings = [setting for case in CASES for setting in case.settings]
    assert {setting.capacity for setting in settings} == {0.3, 1, 3}
    assert {setting.outage_s for setting in settings} == {0, 10, 60}
    assert {setting.cap_s for setting in settings} == {1, 4, 16, 60}
    assert {setting.answer_timeout_s for setting in settings} == {1, 5}
    assert len({case.name for case in CASES}) == len(CASES) == 8
