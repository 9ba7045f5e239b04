"""How often a device is believed that a person waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.server.admission.samples import SETTINGS

from hwangso_server.admission.foreground import STRANGERS_BURST_S, ForegroundBudget

HOUR_S = 3_600.0


def new_budget(devices_max: int = 1_000) -> ForegroundBudget:
    return ForegroundBudget(replace(SETTINGS, foreground_devices_max=devices_max))


def test_four_claims_then_one_each_two_hours() -> None:
    budget = new_budget()
    assert [budget.believes(7, 1, 10.0 * n) for n in range(6)] == [True] * 4 + [False] * 2
    assert not budget.believes(7, 1, 2 * HOUR_S - 1)
    assert budget.believes(7, 1, 2 * HOUR_S)
    assert not budget.believes(7, 1, 2 * HOUR_S + 1)
    assert budget.believes(7, 1, 4 * HOUR_S)


def test_trust_heals_to_four_and_no_more() -> None:
    budget = new_budget()
    for n in range(4):
        budget.believes(7, 1, n)
    a_week_later_s = 7 * 24 * HOUR_S
    assert [budget.believes(7, 1, a_week_later_s + n) for n in range(5)] == [True] * 4 + [False]


def test_a_claim_that_is_not_believed_costs_nothing() -> None:
    budget = new_budget()
    for n in range(1_000):
        budget.believes(7, 1, n)
    assert budget.believes(7, 1, 2 * HOUR_S)


def test_one_device_is_not_another() -> None:
    budget = new_budget()
    for n in range(10):
        budget.believes(7, 1, n)
    assert not budget.believes(7, 1, 10.0)
    assert budget.believes(8, 1, 10.0)


def test_trying_again_is_the_same_claim() -> None:
    budget = new_budget()
    for opening in range(4):
        began_s = opening * 100.0
        assert budget.believes(7, 1, began_s)
        assert all(budget.believes(7, attempt, began_s + attempt * 5) for attempt in range(2, 12))
    assert not budget.believes(7, 1, 400.0)


def test_for_a_minute() -> None:
    budget = new_budget()
    for n in range(3):
        budget.believes(7, 1, n)
    assert budget.believes(7, 2, 61.9)  # a retry of the third
    assert budget.believes(7, 2, 62.0)  # the fourth claim
    assert budget.believes(7, 2, 121.9)
    assert not budget.believes(7, 2, 122.0)


def test_a_first_attempt_is_never_a_retry() -> None:
    budget = new_budget()
    assert [budget.believes(7, 1, n / 10) for n in range(5)] == [True] * 4 + [False]


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    budget = new_budget(devices_max=3)
    for device in (1, 2, 3):
        for _ in range(4):
            budget.believes(device, 1, float(device))
    budget.believes(4, 1, 5.0)
    assert len(budget) == 3
    assert [budget.believes(device, 1, 6.0) for device in (2, 3)] == [False, False]
    assert budget.believes(1, 1, 6.0)  # forgotten, and trusted again


def test_who_claims_on_is_not_the_oldest() -> None:
    budget = new_budget(devices_max=2)
    for _ in range(3):
        budget.believes(1, 1, 0.0)
    budget.believes(2, 1, 1.0)
    budget.believes(1, 1, 2.0)
    budget.believes(3, 1, 3.0)
    assert not budget.believes(1, 1, 4.0)


def test_a_calm_day_is_within_the_budget() -> None:
    """Fewer than six cold openings a day, half of them in one evening hour."""
    budget = new_budget()
    for day in range(30):
        for hour in (7.5, 12.2, 19.0, 19.3, 19.7, 22.5):
            assert budget.believes(7, 1, (day * 24 + hour) * HOUR_S)


def test_a_device_that_always_claims_it_is_found_out_in_a_day() -> None:
    """It reconnects each hour, as phones do, and says each time that somebody waits."""
    budget = new_budget()
    believed = [budget.believes(7, 1, hour * HOUR_S) for hour in range(48)]
    assert not all(believed[:12])
    assert sum(believed[24:]) == 12


@given(st.lists(st.tuples(st.floats(0, 3 * HOUR_S), st.just(1)), max_size=60))
def test_never_more_than_the_budget_in_any_time(gaps: list[tuple[float, int]]) -> None:
    budget, now_s = new_budget(), 0.0
    believed_s: list[float] = []
    for gap_s, attempt in gaps:
        now_s += gap_s
        if budget.believes(7, attempt, now_s):
            believed_s.append(now_s)
    for first, since_s in enumerate(believed_s):
        for last in range(first, len(believed_s)):
            elapsed_s = believed_s[last] - since_s
            assert last - first + 1 <= 4 + elapsed_s / (2 * HOUR_S) + 1e-6


def test_strangers_share_a_tenth_of_the_processor() -> None:
    budget = new_budget()
    cost_s, believed = 0.01, 0
    for tick in range(1_000):
        believed += budget.believes_stranger(cost_s, tick / 100)
    assert believed == pytest.approx((10 * 0.1 + STRANGERS_BURST_S * 0.1) / cost_s, abs=2)


def test_one_stranger_now_and_then_is_believed() -> None:
    budget = new_budget()
    assert all(budget.believes_stranger(0.05, minute * 60.0) for minute in range(100))


def test_free_attempts_end() -> None:
    """An honest phone has one a second; a hundred a second are not one person's."""
    budget = new_budget()
    believed = sum(budget.believes(7, 1 if n == 0 else 2, n / 100) for n in range(6_000))
    claims, each = SETTINGS.foreground_burst, 1 + SETTINGS.foreground_retries_max
    assert believed == claims * each == 4 * 61
