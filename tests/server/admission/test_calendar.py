"""The calendar of slots."""

import random
from collections import Counter
from collections.abc import Callable
from math import ceil, floor
from typing import SupportsIndex, overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.admission.calendar import OVERBOOKED_SPREAD_S, SlotCalendar


def earliest(low: float, high: float) -> float:
    return low


def calendar(
    bucket_s: float = 1.0,
    horizon_s: float = 600.0,
    uniform: Callable[[float, float], float] = earliest,
) -> SlotCalendar:
    return SlotCalendar(bucket_s=bucket_s, horizon_s=horizon_s, uniform=uniform)


def take_many(
    slots: SlotCalendar, count: int, rate_per_s: float, now_s: float = 0.0
) -> list[float]:
    return [slots.take(now_s, rate_per_s, now_s) for _ in range(count)]


def test_a_bucket_is_filled_before_the_next() -> None:
    assert take_many(calendar(), 7, 3.0) == [0, 0, 0, 1, 1, 1, 2]


def test_a_slot_lies_at_random_in_what_is_left_of_its_bucket() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return (low + high) / 2

    slots = calendar(uniform=uniform)
    assert slots.take(10.5, 1.0, 0.0) == 10.75
    assert slots.take(10.5, 1.0, 0.0) == 11.5
    assert slots.take(10.5, 1.0, 13.2) == pytest.approx(13.6)
    assert asked == [(10.5, 11.0), (11.0, 12.0), (13.2, 14.0)]


def test_fractions_are_carried_over() -> None:
    assert take_many(calendar(), 6, 1.5) == [0, 0, 1, 2, 2, 3]
    slow = take_many(calendar(bucket_s=0.1), 5, 0.3)
    assert slow == pytest.approx([0, 3.3, 6.6, 9.9, 13.3], abs=0.11)


def test_a_login_takes_the_room_of_several_resumes() -> None:
    slots = calendar()
    taken = [slots.take(0, 4.0, 0, weight) for weight in (1, 2.5, 2.5, 1, 1, 5, 1)]
    assert taken == [0, 0, 0, 1, 1, 2, 3]


def test_none_before_it_is_wanted_and_the_gap_is_filled_later() -> None:
    slots = calendar()
    assert [slots.take(0, 2.0, 5.5) for _ in range(3)] == [5.5, 5.5, 6]
    assert take_many(slots, 13, 2.0) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 6, 7, 7]


def test_a_lower_rate_goes_behind_what_is_full_and_a_higher_one_fills_it_up() -> None:
    slots = calendar()
    assert take_many(slots, 4, 2.0) == [0, 0, 1, 1]
    assert take_many(slots, 3, 1.0) == [2, 3, 4]
    assert take_many(slots, 7, 3.0) == [0, 1, 2, 2, 3, 3, 4]
    assert slots.take(0, 3.0, 0) == 4


def test_a_bucket_is_full_or_not_by_the_rate_of_now() -> None:
    slots = calendar()
    assert take_many(slots, 100, 100.0) == [0] * 100
    assert slots.take(0, 100.0, 0) == 1
    assert slots.take(0, 101.0, 0) == 0
    assert slots.take(0, 100.0, 0) == 1
    assert slots.take(0, 101.0, 0) == 1


def test_scraps_are_passed_by_and_the_last_before_a_gap_is_used() -> None:
    slots = calendar()
    for second in range(20):
        slots.take(0, 1.5, second)
    assert slots.take(0, 1.5, 0) == 19
    assert slots.take(0, 1.5, 0) == 20
    assert slots.take(0, 1.5, 0) == 21


def test_a_slot_of_several_buckets_goes_behind_all_others_when_gaps_are_too_short() -> None:
    slots = calendar(horizon_s=100)
    for second in range(0, 40, 2):
        slots.take(0, 1.0, second)
    assert [slots.take(0, 1.0, 0, 2.5) for _ in range(2)] == [39, 41.0]
    assert slots.overbooked == 0
    assert slots.take(0, 1.0, 0) == 1, "the gaps are left to those whom they hold"


def test_time_goes_on() -> None:
    slots = calendar()
    take_many(slots, 6, 2.0)
    assert (slots.outstanding(0.9), slots.last_slot_s(0.9)) == (6, 3)
    assert (slots.outstanding(1.0), slots.last_slot_s(1.0)) == (4, 3)
    assert slots.take(1.2, 2.0, 0) == 3
    assert (slots.outstanding(3.99), slots.last_slot_s(3.99)) == (1, 4)
    assert (slots.outstanding(4.0), slots.last_slot_s(4.0)) == (0, 4)
    assert take_many(slots, 3, 2.0, now_s=10_000.5) == [10_000.5, 10_000.5, 10_001]


def test_the_clock_may_begin_anywhere() -> None:
    for begin_s in (-1_000_000.0, -5.0, 0.0, 1_800_000_000.0):
        slots = calendar()
        taken = [slots.take(begin_s, 2.0, begin_s + later_s) for later_s in (0, 0, 0, 3, 3, 3, 0)]
        assert [at_s - begin_s for at_s in taken] == [0, 0, 1, 3, 3, 4, 1]
        assert slots.outstanding(begin_s) == 7
        assert slots.last_slot_s(begin_s) == begin_s + 5
        assert slots.dump(begin_s) == [(0, 2), (1, 2), (3, 2), (4, 1)]
        assert slots.outstanding(begin_s + 5) == 0


def test_the_time_that_remains_of_a_bucket_is_given_away_as_a_whole_one() -> None:
    assert take_many(calendar(), 3, 2.0, now_s=0.9) == [0.9, 0.9, 1]


def test_dump_counts_by_whole_seconds_from_now() -> None:
    slots = calendar(bucket_s=0.25)
    take_many(slots, 10, 8.0)
    slots.take(0, 8.0, 7.3)
    assert slots.dump(0) == [(0, 8), (1, 2), (7, 1)]
    assert slots.dump(0.3) == [(0, 8), (6, 1)]
    assert slots.dump(100) == []


def test_beyond_the_horizon_slots_are_spread_over_the_last_minutes() -> None:
    chance = random.Random(1)
    slots = calendar(bucket_s=0.5, horizon_s=600, uniform=chance.uniform)
    assert max(take_many(slots, 600, 1.0)) <= 600
    assert slots.overbooked == 0
    late = take_many(slots, 600, 1.0)
    assert slots.overbooked == 600
    assert 600 - OVERBOOKED_SPREAD_S <= min(late) < 500
    assert 590 < max(late) <= 600
    assert max(Counter(floor(at_s / 10) for at_s in late).values()) < 100
    assert slots.outstanding(0) == 1_200


def test_overbooked_slots_are_not_before_they_are_wanted() -> None:
    slots = calendar(horizon_s=10)
    take_many(slots, 10, 1.0)
    assert slots.take(0, 1.0, 8.5) == 8.5
    assert slots.take(0, 1.0, 9.5) == 9.5
    assert slots.take(0, 1.0, 25.0) == 10.0
    assert slots.overbooked == 3
    assert slots.dump(0)[-2:] == [(8, 2), (9, 3)]


def test_without_a_rate_everything_is_overbooked() -> None:
    slots = calendar(horizon_s=10)
    assert take_many(slots, 2, 0.0) == [0, 0]
    assert slots.overbooked == 2
    assert slots.take(0, 0.05, 0) == 0  # one in twenty seconds, with ten to come
    assert slots.overbooked == 3


def test_a_horizon_that_is_full_has_room_again_later() -> None:
    slots = calendar(horizon_s=10)
    take_many(slots, 10, 1.0)
    assert slots.take(1.0, 1.0, 0) == 10
    assert slots.overbooked == 0


class Reads(list[float]):
    """Knows how often it was read: what a search costs, without a clock."""

    reads = 0

    @overload
    def __getitem__(self, place: SupportsIndex) -> float: ...
    @overload
    def __getitem__(self, place: slice) -> list[float]: ...
    def __getitem__(self, place: SupportsIndex | slice) -> float | list[float]:
        Reads.reads += 1
        return super().__getitem__(place)


class Counting(SlotCalendar):
    """What it knows of its buckets is counted."""

    def __init__(self) -> None:
        super().__init__(bucket_s=0.1, horizon_s=600, uniform=earliest)
        self._taken = Reads(self._taken)
        self._least = Reads(self._least)

    def reads_of(self, now_s: float, rate_per_s: float, weight: float) -> int:
        """Those of one more slot."""
        before = Reads.reads
        self.take(now_s, rate_per_s, now_s, weight)
        return Reads.reads - before


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 1.8), (4.0, 1.0)])
def test_a_full_calendar_costs_the_same_however_the_rate_trembles(
    weights: tuple[float, ...],
) -> None:
    """It was filled at 30 a second, which is three to each of 6,000 buckets."""
    slots = Counting()
    while not slots.overbooked:
        slots.take(0, 30.0, 0)
    reads = [
        slots.reads_of(tick / 10, 30.0 * tremble, weight)
        for tick, tremble in enumerate([1.0, 1.06, 0.94] * 50)
        for weight in weights
    ]
    assert max(reads) < 700


def test_a_crowd_does_not_look_at_full_buckets_again_and_again() -> None:
    slots = Counting()
    reads = [slots.reads_of(0, 30.0, 1.0) for _ in range(18_000)]
    assert slots.overbooked == 0
    assert sum(reads) < 18_000 * 15


@pytest.mark.parametrize(("bucket_s", "horizon_s"), [(0.0, 10.0), (-1.0, 10.0), (10.0, 1.0)])
def test_a_calendar_has_buckets(bucket_s: float, horizon_s: float) -> None:
    with pytest.raises(ValueError, match="at least one bucket"):
        calendar(bucket_s, horizon_s)


# Whatever the order of takes and rates

BUCKET_S = 0.25
WEIGHT_MAX = 4.0

rates = st.floats(0.05, 60.0)
takes = st.tuples(
    st.floats(0.0, 0.5),  # seconds since the one before
    st.one_of(st.just(0.0), st.floats(0.0, 30.0)),  # not before, from now
    st.sampled_from([1.0, 1.0, 1.8, WEIGHT_MAX]),
)


def weights_by_bucket(
    slots: SlotCalendar, asked: list[tuple[float, float, float, float]]
) -> dict[int, float]:
    """Carry out the takes; gives the weight of what is not overbooked, by bucket."""
    now_s = 0.0
    weights: dict[int, float] = {}
    for since_s, later_s, weight, rate_per_s in asked:
        now_s += since_s
        overbooked = slots.overbooked
        at_s = slots.take(now_s, rate_per_s, now_s + later_s, weight)
        assert at_s >= now_s + later_s
        assert at_s <= now_s + 60 + BUCKET_S
        if slots.overbooked == overbooked:
            bucket = ceil(at_s / BUCKET_S) - 1 if at_s % BUCKET_S == 0 else floor(at_s / BUCKET_S)
            weights[bucket] = weights.get(bucket, 0.0) + weight
        dump = slots.dump(now_s)
        assert sum(count for _, count in dump) == slots.outstanding(now_s)
        assert at_s <= slots.last_slot_s(now_s)
    return weights


def most_in_a_row(weights: dict[int, float], length: int) -> float:
    last = max(weights, default=0)
    return max(
        sum(weights.get(bucket, 0.0) for bucket in range(first, first + length))
        for first in range(last + 1)
    )


def middle(low: float, high: float) -> float:
    return (low + high) / 2


@given(rates, st.lists(takes, max_size=60))
def test_never_more_than_the_rate_in_any_window(
    rate_per_s: float, asked: list[tuple[float, float, float]]
) -> None:
    slots = calendar(BUCKET_S, 60.0, middle)
    weights = weights_by_bucket(slots, [(*ask, rate_per_s) for ask in asked])
    for length in (1, 2, 5, 20):
        most = rate_per_s * BUCKET_S * length + WEIGHT_MAX
        assert most_in_a_row(weights, length) <= most + 1e-6


@given(st.lists(st.tuples(takes, rates), max_size=60))
def test_never_more_than_the_highest_rate_and_one_bucket(
    asked: list[tuple[tuple[float, float, float], float]],
) -> None:
    slots = calendar(BUCKET_S, 60.0, middle)
    weights = weights_by_bucket(slots, [(*ask, rate_per_s) for ask, rate_per_s in asked])
    highest = max((rate_per_s for _, rate_per_s in asked), default=0.0) * BUCKET_S
    for length in (1, 2, 5, 20):
        most = highest * (length + 1) + WEIGHT_MAX
        assert most_in_a_row(weights, length) <= most + 1e-6


@given(rates, st.integers(1, 200))
def test_no_room_is_wasted_by_a_crowd(rate_per_s: float, crowd: int) -> None:
    slots = calendar(BUCKET_S, 600.0, middle)
    last_s = max(take_many(slots, crowd, rate_per_s))
    if not slots.overbooked:
        assert last_s <= (crowd - 1) / rate_per_s + BUCKET_S
