"""The ablation on real sockets, with runs that are made up: which are played, and which count."""

from collections.abc import Callable

import pytest

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.errors import CommandError
from hwangso_tools.experiments import ablation_sockets
from hwangso_tools.experiments.ablation import LINES, Line, World
from hwangso_tools.experiments.ablation_sockets import TELLINGS, measure, real_trial
from hwangso_tools.experiments.trial import Finding, Trial
from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.library import find
from hwangso_tools.storm.place import Place
from hwangso_tools.storm.really import RealPlace
from hwangso_tools.storm.scenario import Restart
from hwangso_tools.swarm.saturation import Load

STORM = find("gyeongju-2016")
FIGURES = StormFigures(None, None, None, 1.0, 0.5, None, 9.0, 9.0, 9.0, 1, 1.0, None)
FINDING = Finding(FIGURES, 2.0, 4, 7.0)


def played(monkeypatch: pytest.MonkeyPatch, load: Callable[[Trial], Load]) -> list[Trial]:
    """All that is played from now on, in no time, by a process that is so busy with it."""
    trials: list[Trial] = []

    def carry_out(trial: Trial, *, place: Place) -> Finding:
        assert isinstance(place, RealPlace)
        place.load = load(trial)
        trials.append(trial)
        return FINDING

    monkeypatch.setattr(ablation_sockets, "carry_out", carry_out)
    return trials


def test_all_lines_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = played(monkeypatch, lambda _: Load(windows=60))
    said: list[str] = []
    found = measure(LINES, STORM, (5, 6), said.append)
    assert found == {line: [FINDING, FINDING] for line in LINES}
    assert trials == [real_trial(line, STORM, seed) for seed in (5, 6) for line in LINES]
    assert said[1] == "the storm, lanes, seed 5: played"


def test_a_run_does_not_count_whose_phones_could_not_keep_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(trial: Trial) -> Load:
        return Load(60, 7 if trial.without == (Mechanism.LANES,) else 6, 250.0, 0.97)

    played(monkeypatch, load)
    said: list[str] = []
    found = measure(LINES[:2], STORM, (5,), said.append)
    assert found == {Line(): [FINDING], Line(Mechanism.LANES): []}
    assert said == [
        "the storm, all on, seed 5: played",
        (
            "the storm, lanes, seed 5: does not count: the phones' process could not keep up in 7 "
            "of 60 seconds (up to 250 ms late)"
        ),
    ]


def test_what_goes_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Trial) -> Load:
        raise ExceptionGroup("in a nursery", [CommandError("the server ended by itself")])

    played(monkeypatch, fail)
    with pytest.raises(CommandError, match="the server ended by itself"):
        measure(LINES, STORM, (5,), lambda _: None)


def test_a_storm_is_told_faster_by_a_server_that_is_slowed_down() -> None:
    told = real_trial(Line(Mechanism.LANES), STORM, 5)
    assert (told.control, told.seed, told.without) == (True, 5, (Mechanism.LANES,))
    assert told.speed == TELLINGS[World.STORM].speed == 10
    assert told.scenario.scenario.seconds == 30
    assert told.scenario.scenario.calm_seconds == 30
    assert told.scenario.server.capacity_per_s == 10 * STORM.server.capacity_per_s
    assert told.scenario.triggers_end_s == pytest.approx(STORM.event[2].at_s / 10 + 7.4)


def test_the_other_worlds_are_those_of_virtual_time() -> None:
    restart = real_trial(Line(world=World.RESTART), STORM, 5).scenario
    assert restart.event == (Restart(at_s=0.0, down_s=12.0),)
    liars = real_trial(Line(world=World.LIARS), STORM, 5).scenario
    assert liars.population.liars == 0.2
    assert liars.scenario.calm_seconds == 180
