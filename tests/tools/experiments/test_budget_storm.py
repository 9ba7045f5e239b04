"""The simulated storm: its server, its crowd, its people."""

from dataclasses import replace
from math import inf

import pytest

from hwangso_server.admission.background import BudgetSample
from hwangso_tools.experiments.budget_storm import (
    DOOR_SHARE,
    Record,
    Scenario,
    Storm,
    always,
    value_at,
)

QUIET = Scenario(
    name="quiet",
    about="nothing but the crowd",
    devices=180,
    handshakes_per_s=100.0,
    foreground=always(1e-6),
    calm_s=1.0,
    limit_s=60.0,
)


class Listening:
    """A fixed rate that keeps its samples."""

    def __init__(self, rate_per_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.samples: list[BudgetSample] = []

    def on_window(self, sample: BudgetSample) -> float:
        self.samples.append(sample)
        return self.rate_per_s


def served(record: Record) -> float:
    return max(record.served_s)


def test_a_profile_is_a_staircase() -> None:
    profile = ((-inf, 1.0), (2.0, 3.0), (5.0, 0.0))
    assert [value_at(profile, at_s) for at_s in (-9, 1.9, 2, 4.9, 5, 99)] == [1, 1, 3, 3, 0, 0]
    with pytest.raises(ValueError, match="begins with the beginning"):
        value_at(((0.0, 1.0),), -1.0)


def test_there_is_room_for_what_foreground_leaves_over() -> None:
    scenario = replace(QUIET, foreground=((-inf, 0.1), (10.0, 0.6), (20.0, 1.5)))
    assert scenario.spare_per_s(0) == pytest.approx(90 / (1 + DOOR_SHARE))
    assert scenario.spare_per_s(10) == pytest.approx(40 / (1 + DOOR_SHARE))
    assert scenario.spare_per_s(20) == 0
    slowed = replace(scenario, slowness=always(2.0))
    assert slowed.spare_per_s(0) == pytest.approx(40 / (1 + DOOR_SHARE))


def test_without_a_budget_the_server_is_never_idle() -> None:
    record = Storm(QUIET, None, seed=1).run()
    # 180 handshakes with a hello each are 2 s of work, and the first comes at once
    assert served(record) == pytest.approx(2.0, abs=0.03)
    assert record.deferrals == [0] * 180
    assert record.attempts == 180


def test_everything_takes_longer_when_slowed_or_held_up() -> None:
    plain = served(Storm(QUIET, None, seed=1).run())
    slowed = replace(QUIET, slowness=always(2.0))
    assert served(Storm(slowed, None, seed=1).run()) == pytest.approx(2 * plain, abs=0.05)
    stalled = replace(QUIET, stalls=((0.2, 0.5), (0.4, 0.5)))
    assert served(Storm(stalled, None, seed=1).run()) == pytest.approx(plain + 1.0, abs=0.05)


def test_foreground_does_not_wait_for_the_crowd() -> None:
    busy = replace(QUIET, devices=1_000, foreground=always(0.2))
    record = Storm(busy, Listening(60.0), seed=1).run()
    assert len(record.foreground_delays_s) > 100
    assert sorted(record.foreground_delays_s)[-3] < 0.05


def test_a_low_rate_drains_slowly_and_the_calendar_keeps_it() -> None:
    record = Storm(QUIET, Listening(10.0), seed=1).run()
    assert served(record) == pytest.approx(180 / 10, rel=0.1)
    assert max(record.deferrals) == 1
    in_each_second = [sum(s <= at_s < s + 1 for at_s in record.served_s) for s in range(2, 17)]
    assert max(in_each_second) <= 12


def test_a_high_rate_sends_the_crowd_away_again() -> None:
    crowd = replace(QUIET, devices=1_000)
    record = Storm(crowd, Listening(1_000.0), seed=1).run()
    assert len(record.served_s) == 1_000
    assert max(record.deferrals) > 4


def test_who_has_no_answer_loses_patience_and_comes_again() -> None:
    slow = replace(QUIET, devices=100, handshakes_per_s=1.0, limit_s=400.0)
    record = Storm(slow, Listening(0.5), seed=1).run()
    assert record.attempts > 250
    assert len(record.served_s) > 90


def test_a_run_ends_at_the_limit() -> None:
    record = Storm(replace(QUIET, limit_s=2.0), Listening(5.0), seed=1).run()
    assert 1 <= len(record.served_s) < 30


def test_windows_account_for_all_of_the_time() -> None:
    controller = Listening(60.0)
    busy = replace(QUIET, foreground=always(0.2), stalls=((0.55, 0.3),))
    record = Storm(busy, controller, seed=1).run()
    for sample in controller.samples:
        spent_s = sample.background_s + sample.foreground_s + sample.door_s + sample.idle_s
        # a piece of work counts in the window in which it ends
        assert spent_s == pytest.approx(sample.window_s, abs=0.02)
        assert sample.started == pytest.approx(sample.background_s * 100, abs=31)
        assert sample.target_s == 0.04
    assert max(sample.window_s for sample in controller.samples) > 0.3
    assert sum(sample.started for sample in controller.samples) >= 180
    assert [rate_per_s for _, rate_per_s in record.rates] == [60.0] * len(record.rates)
    assert record.rates[0][0] > 0


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [Storm(QUIET, Listening(50.0), seed).run() for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
