"""The comparison of rate controllers, with a small crowd."""

import pytest

from hwangso_tools.experiments.budget import (
    CONTROLLERS,
    NEGATIVE_CONTROLS,
    SCENARIOS,
    Fixed,
    Outcome,
    best,
    compare,
    judge,
    mean_drain_ratios,
    percentile,
)
from hwangso_tools.experiments.budget_storm import DOOR_SHARE, Record, Scenario, always

SMALL = Scenario(
    name="small",
    about="600 devices",
    devices=600,
    handshakes_per_s=200.0,
    foreground=always(0.05),
    calm_s=5.0,
    limit_s=60.0,
)


def outcomes(seed: int = 1) -> dict[str, Outcome]:
    ((_, of_scenario),) = compare([SMALL], {**CONTROLLERS, **NEGATIVE_CONTROLS}, seed)
    return of_scenario


def outcome(drain_ratio: float | None) -> Outcome:
    return Outcome(drain_ratio, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)


def test_the_same_seed_gives_the_same_outcomes() -> None:
    assert outcomes() == outcomes()
    assert outcomes() != outcomes(2)


def test_a_rate_that_never_changes_is_visibly_worse() -> None:
    of_scenario = outcomes()
    measured, low, high = (of_scenario[name] for name in ("measured", "fixed low", "fixed high"))
    assert measured.drain_ratio is not None
    assert low.drain_ratio is not None
    assert measured.drain_ratio < 1.25
    assert low.drain_ratio > 1.8
    assert measured.idle_share < 0.08
    assert low.idle_share > 0.35
    assert measured.deferrals_mean < 1.4
    assert high.deferrals_mean > 1.7
    assert measured.deferrals_max <= 4
    assert high.deferrals_max > measured.deferrals_max
    assert measured.overshoot < 1.4
    assert high.overshoot == pytest.approx(2.0)


def test_a_rate_that_is_much_too_low_never_drains() -> None:
    ((_, of_scenario),) = compare([SMALL], {"tiny": lambda _: Fixed(1.0)}, seed=1)
    assert of_scenario["tiny"].drain_ratio is None
    assert of_scenario["tiny"].idle_share > 0.8


def test_a_scenario_must_be_possible() -> None:
    hopeless = Scenario(
        name="hopeless",
        about="600 seconds of work in 60",
        devices=600,
        handshakes_per_s=1.0,
        foreground=always(0.05),
        limit_s=60.0,
    )
    with pytest.raises(ValueError, match="hopeless: no server could do it"):
        list(compare([hopeless], CONTROLLERS, seed=1))


def test_judging_a_run() -> None:
    scenario = Scenario(
        name="ten",
        about="ten devices, one a second",
        devices=10,
        handshakes_per_s=10.0 * (1 + DOOR_SHARE),
        foreground=always(0.5),
    )
    record = Record(
        served_s=[float(s) for s in range(1, 11)],
        background_delays_s=[0.1] * 9 + [0.7],
        foreground_delays_s=[0.01, 0.02],
        deferrals=[0, 1, 1, 0, 3, 0, 0, 0, 0, 0],
        attempts=15,
        idle_s=[(4.0, 1.0), (8.9, 0.8), (9.5, 0.4)],
        rates=[(1.0, 5.0), (1.5, 10.0), (2.1, 5.0), (9.5, 100.0)],
    )
    judged = judge(scenario, record, ideal_s=6.0)
    # 9.9 devices are 9: drained at 9 s; two windows of the idle ones end before
    assert judged.drain_ratio == 1.5
    assert judged.idle_share == pytest.approx(0.2)
    assert judged.background_p99_s == 0.7
    assert judged.foreground_p99_s == 0.02
    assert (judged.deferrals_mean, judged.deferrals_max) == (0.5, 3)
    assert judged.attempts_mean == 1.5
    # there is room for 5 a second; 10 and 5 lie within one second
    assert judged.overshoot == pytest.approx(1.5)


def test_nothing_at_all_can_be_judged() -> None:
    judged = judge(SMALL, Record(), ideal_s=1.0)
    assert judged == outcome(None)


def test_percentiles() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 1.0) == 3


def test_the_best_has_the_smallest_mean_drain_time() -> None:
    by_scenario = {
        "one": {"a": outcome(1.0), "b": outcome(1.4), "c": outcome(None)},
        "two": {"a": outcome(2.0), "b": outcome(1.4), "c": outcome(0.1)},
    }
    assert mean_drain_ratios(by_scenario) == {"a": 1.5, "b": 1.4, "c": None}
    assert best(by_scenario, ["a", "b", "c"]) == "b"
    assert best(by_scenario, ["c", "a"]) == "a"


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names) == 9
