from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_client.backoff import (
    BASE_MIN_S,
    CAP_MAX_S,
    Backoff,
    DecorrelatedJitter,
    FullJitter,
    NoJitter,
    bounds_s,
)
from hwangso_protocol.messages import Policy


class Extreme(Random):
    """Draws the upper end of every range, or the lower."""

    def __init__(self, *, upper: bool) -> None:
        super().__init__(0)
        self.upper = upper

    def uniform(self, a: float, b: float) -> float:
        return b if self.upper else a


def upper_full() -> Backoff:
    return FullJitter(Extreme(upper=True))


def upper_decorrelated() -> Backoff:
    return DecorrelatedJitter(Extreme(upper=True))


def waits(backoff: Backoff, count: int, base_s: float = 1.0, cap_s: float = 60.0) -> list[float]:
    return [backoff.next_s(base_s, cap_s) for _ in range(count)]


def test_full_jitter_doubles_its_ceiling_up_to_the_cap() -> None:
    assert waits(upper_full(), 8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_full_jitter_may_be_at_once() -> None:
    assert waits(FullJitter(Extreme(upper=False)), 3) == [0, 0, 0]


def test_decorrelated_jitter_triples_at_most_and_never_goes_below_the_base() -> None:
    assert waits(upper_decorrelated(), 6) == [3, 9, 27, 60, 60, 60]
    assert waits(DecorrelatedJitter(Extreme(upper=False)), 3) == [1, 1, 1]


def test_no_jitter_is_the_same_for_all_up_to_the_cap() -> None:
    assert waits(NoJitter(), 8) == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("kind", [NoJitter, upper_full])
def test_thousands_of_failures_are_no_trouble(kind: Callable[[], Backoff]) -> None:
    assert waits(kind(), 2_000, base_s=BASE_MIN_S, cap_s=CAP_MAX_S)[-1] == CAP_MAX_S


@pytest.mark.parametrize("kind", [NoJitter, upper_full, upper_decorrelated])
def test_reset_begins_at_the_base_again(kind: Callable[[], Backoff]) -> None:
    backoff = kind()
    first = waits(backoff, 4)
    backoff.reset()
    assert waits(backoff, 4) == first


@pytest.mark.parametrize("kind", [NoJitter, upper_full])
def test_a_policy_that_changes_is_followed_at_once(kind: Callable[[], Backoff]) -> None:
    backoff = kind()
    waits(backoff, 4)
    assert backoff.next_s(1, 5) == 5
    assert backoff.next_s(0.1, 100) == 0.1 * 2**5
    assert backoff.next_s(20, 100) == 100


@given(
    st.integers(0, 2**32),
    st.sampled_from([FullJitter, DecorrelatedJitter, lambda _: NoJitter()]),
    st.lists(
        st.tuples(st.floats(0.05, 100), st.floats(0, 1000), st.booleans()), min_size=1, max_size=60
    ),
)
def test_waits_stay_within_bounds(
    seed: int,
    kind: Callable[[Random], Backoff],
    calls: list[tuple[float, float, bool]],
) -> None:
    backoff = kind(Random(seed))
    for base_s, more_s, reset in calls:
        wait_s = backoff.next_s(base_s, base_s + more_s)
        assert 0 <= wait_s <= base_s + more_s
        if not isinstance(backoff, FullJitter):
            assert wait_s >= base_s
        if reset:
            backoff.reset()


@pytest.mark.parametrize(
    ("kind", "from_s", "to_s"), [(FullJitter, 0, 1), (DecorrelatedJitter, 1, 3)]
)
def test_jitter_fills_its_range_evenly_from_the_first_wait_on(
    kind: type[FullJitter | DecorrelatedJitter], from_s: float, to_s: float
) -> None:
    rng = Random(7)
    drawn = [(kind(rng).next_s(1, 60) - from_s) / (to_s - from_s) for _ in range(4_000)]
    tenths = [sum(tenth / 10 <= wait < (tenth + 1) / 10 for wait in drawn) for tenth in range(10)]
    assert min(tenths) > 300
    assert max(tenths) < 500


@pytest.mark.parametrize(
    ("base_ms", "cap_ms", "bounds"),
    [
        (1_000, 60_000, (1.0, 60.0)),
        (0, 0, (BASE_MIN_S, BASE_MIN_S)),
        (5_000, 1_000, (5.0, 5.0)),
        (2**32, 2**32, (CAP_MAX_S, CAP_MAX_S)),
    ],
)
def test_a_senseless_policy_is_brought_within_bounds(
    base_ms: int, cap_ms: int, bounds: tuple[float, float]
) -> None:
    assert bounds_s(Policy(60_000, base_ms, cap_ms)) == bounds
