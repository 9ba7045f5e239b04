"""A trial: a whole run in virtual time with a handful of phones, and what is wanted of it."""

from hwangso_protocol.hello import Intent
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.stage import Stage
from hwangso_tools.experiments.trial import (
    Finding,
    Trial,
    attempts_per_device,
    back_after_s,
    carry_out,
    stage_changes,
)
from hwangso_tools.storm.figures import HOLDS_S
from hwangso_tools.storm.recording import Recording, StageChange
from hwangso_tools.storm.scenario import About, Outage, Population, Scenario

DEVICES = 40


def outage(seconds: float = 60.0) -> Scenario:
    return Scenario(
        About(name="tiny", title="Tiny", about="An outage.", seconds=seconds, calm_seconds=20.0),
        population=Population(devices=DEVICES),
        event=(Outage(at_s=0.0, share=1.0, duration_s=5.0),),
    )


def recording(*waiting: int, calm_s: int = 2, triggers_end_s: float = 3.0) -> Recording:
    """A hundred phones: one waits in the calm, so many of them from the trigger's end on."""
    made = Recording(
        calm_seconds=calm_s,
        seconds=3 + len(waiting),
        devices=100,
        capacity_per_s=2.0,
        triggers_end_s=triggers_end_s,
        first_event_s=1.0,
        controlled=True,
    )
    for place, number in enumerate((1, 1, 5, 5, 5, *waiting)):
        made.series.waiting[place] = number
    return made


def test_a_crowd_is_back_when_hardly_anybody_waits_any_more() -> None:
    assert back_after_s(recording(*[9] * 7, *[1] * HOLDS_S)) == 7
    assert back_after_s(recording(*[0] * HOLDS_S)) == 0


def test_it_has_to_stay_so() -> None:
    assert back_after_s(recording(*[9] * 7, *[1] * (HOLDS_S - 1))) is None
    calm = [0] * (HOLDS_S - 1)
    assert back_after_s(recording(*calm, 2, *calm, 0)) == HOLDS_S
    assert back_after_s(recording(*calm, 2, *calm)) is None


def test_attempts_count_from_the_first_event_on() -> None:
    made = recording(0, 0)
    made.series.connects[Intent.BACKGROUND][2] = 900  # in the second before it
    made.series.connects[Intent.BACKGROUND][3] = 150
    made.series.connects[Intent.FOREGROUND][6] = 50
    assert attempts_per_device(made) == 2.0


def test_stage_changes_count_from_the_first_event_on() -> None:
    made = recording(0, 0)
    made.stages += [
        StageChange(-30.0, Stage.NORMAL),
        StageChange(1.0, Stage.BUSY),
        StageChange(1.5, Stage.EMERGENCY),
    ]
    assert stage_changes(made) == 2


def test_the_same_seed_gives_the_same_finding() -> None:
    first, again, other = (carry_out(Trial(outage(), True, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert isinstance(first, Finding)
    assert first.attempts_per_device > 1


def test_a_mechanism_that_is_switched_off_makes_another_run() -> None:
    full = carry_out(Trial(outage(120.0), True, 1))
    silent = carry_out(Trial(outage(120.0), True, 1, (Mechanism.SPOKEN_DEFER,)))
    off = carry_out(Trial(outage(120.0), False, 1))
    assert full.figures.max_deferrals > 0
    assert silent.figures.max_deferrals == off.figures.max_deferrals == 0
    assert len({full, silent, off}) == 3
