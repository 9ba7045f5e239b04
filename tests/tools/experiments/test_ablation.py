"""The ablation: its lines, their worlds, and what counts as a difference."""

from math import inf

import pytest

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.experiments.ablation import (
    AFTERMATH_S,
    COLUMNS,
    FLAPS,
    LIARS_CALM_S,
    LINES,
    RESTART,
    Difference,
    Line,
    World,
    differences,
    full_line,
    trial,
    values,
)
from hwangso_tools.experiments.trial import Finding, Trial, carry_out
from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.library import find
from hwangso_tools.storm.scenario import (
    About,
    Background,
    Event,
    Foreground,
    Outage,
    Population,
    Restart,
    Scenario,
)

STORM = find("gyeongju-2016")


def finding(**changes: float | None) -> Finding:
    figures: dict[str, float | None] = dict.fromkeys(StormFigures.__dataclass_fields__)
    figures |= {"fg_success": 0.99, "max_bg_wait_s": 40.0, "max_deferrals": 2.0}
    back_after_s = changes.pop("back_after_s", 50.0)
    return Finding(StormFigures(**(figures | changes)), 3.0, 6, back_after_s)  # type: ignore[arg-type]


def names(world: World) -> list[str]:
    return [line.name for line in LINES if line.world is world]


def test_each_mechanism_has_its_line_and_control_off_is_the_last() -> None:
    assert names(World.STORM) == ["all on", *Mechanism, "control off"]
    assert names(World.LIARS) == ["all on", "foreground-budget", "control off"]
    assert names(World.RESTART) == ["all on", "recovery-governor", "client-jitter", "control off"]
    assert names(World.FLAPPING) == ["all on", "hysteresis", "control off"]
    assert len(set(LINES)) == len(LINES)


def test_a_line_differs_from_the_full_one_in_its_mechanism_only() -> None:
    full = trial(LINES[0], STORM, 7)
    for line in LINES[1:8]:
        assert trial(line, STORM, 7) == Trial(full.scenario, True, 7, (Mechanism(line.name),))
    assert trial(LINES[8], STORM, 7) == Trial(full.scenario, False, 7)


@pytest.mark.parametrize(
    ("world", "events"), [(World.RESTART, (RESTART,)), (World.FLAPPING, FLAPS)]
)
def test_a_world_of_other_events_has_the_people_of_the_scenario(
    world: World, events: tuple[Event, ...]
) -> None:
    played = trial(Line(world=world), STORM, 7).scenario
    assert played.event == events
    assert played.scenario.seconds == AFTERMATH_S
    assert played.population == STORM.population


def test_only_the_first_half_hour_is_played_and_the_operator_does_not_come() -> None:
    played = trial(LINES[0], STORM, 7).scenario
    assert played.scenario.seconds == 1_800
    assert list(played.event) == [event for event in STORM.event if event.at_s < 1_800]
    assert len(played.event) == len(STORM.event) - 1


def test_liars_have_a_history() -> None:
    world = trial(Line(world=World.LIARS), STORM, 7).scenario
    assert world.population.liars == 0.2
    assert world.scenario.calm_seconds == LIARS_CALM_S
    assert trial(Line(), STORM, 7).scenario.population.liars == 0


def test_values_are_medians_and_never_is_infinite() -> None:
    runs = [finding(fg_p99_s=p99_s) for p99_s in (3.0, None, 5.0)]
    found = values(runs)
    assert list(found) == [column.name for column in COLUMNS]
    assert found["fg_p99_s"] == 5.0
    assert found["fg_failures"] == pytest.approx(0.01)
    assert (found["attempts_per_device"], found["bg_back_after_s"]) == (3.0, 50.0)
    assert found["stage_changes"] == 6
    assert values(runs[1:2])["fg_p99_s"] == inf
    assert values([finding(back_after_s=None)])["bg_back_after_s"] == inf


def test_small_differences_are_none() -> None:
    full = values([finding(fg_p99_s=2.0)])
    assert differences(full, values([finding(fg_p99_s=2.9)])) == []  # less than 1.5 times
    assert differences(full, values([finding(fg_p99_s=2.0, max_deferrals=3.0)])) == []  # only one
    worse = values([finding(fg_p99_s=3.1, back_after_s=None)])
    assert differences(full, worse) == [
        Difference("fg_p99_s", 2.0, 3.1),
        Difference("bg_back_after_s", 50.0, inf),
    ]
    assert all(one.is_worse for one in differences(full, worse))
    assert not any(one.is_worse for one in differences(worse, full))


def test_a_line_is_compared_with_the_full_one_of_its_world() -> None:
    assert full_line(LINES[0], LINES) is None
    assert full_line(LINES[3], LINES) == LINES[0]
    assert full_line(LINES[-2], LINES) == Line(world=World.FLAPPING)
    assert full_line(Line(world=World.LIARS), LINES) is None


def test_the_foreground_budget_is_what_stops_liars() -> None:
    """Half of the phones have claimed foreground every other minute. The negative control is the
    run without the budget: there they take the places of people."""
    scenario = Scenario(
        About(name="l", title="Liars", about="They lie.", seconds=120.0, calm_seconds=420.0),
        population=Population(
            devices=100,
            liars=0.5,
            background=Background(idle_s=60.0, sleep_s=20.0),
            foreground=Foreground(opens_per_hour=12.0, stay_s=10.0),
        ),
        event=(Outage(at_s=0.0, share=1.0, duration_s=20.0),),
    )
    full, believed = (
        carry_out(Trial(scenario, True, 3, without)).figures.fg_p99_s
        for without in ((), (Mechanism.FOREGROUND_BUDGET,))
    )
    assert full is not None
    assert believed is None or believed > 1.5 * full  # None: one in a hundred never got in


def test_jitter_and_the_governor_keep_a_crowd_from_coming_back_together() -> None:
    """The server is away for two minutes, and nobody hands out slots. The negative controls are the
    runs without: of phones that try in step the whole crowd is there at once, and a calendar that
    is forgotten with a stage lets those in who have waited, and then again those who come by it."""
    scenario = Scenario(
        About(name="r", title="Restart", about="It was away.", seconds=400.0, calm_seconds=300.0),
        population=Population(devices=300),
        event=(Restart(at_s=0.0, down_s=120.0),),
    )
    full, in_step, ungoverned = (
        carry_out(Trial(scenario, True, 1, without)).figures.second_peak_ratio
        for without in ((), (Mechanism.CLIENT_JITTER,), (Mechanism.RECOVERY_GOVERNOR,))
    )
    assert full is not None
    assert full <= 1.2  # of the capacity
    assert in_step is not None
    assert in_step > 2.0
    assert ungoverned is not None
    assert ungoverned > 1.2
