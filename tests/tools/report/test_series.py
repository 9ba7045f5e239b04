"""Series and percentiles of a recording made by hand."""

from dataclasses import fields

import pytest
from tests.tools.report.recordings import recording

from hwangso_server.admission.stage import Stage
from hwangso_tools.report.series import (
    COLUMNS,
    POINTS_MAX,
    STEPS_S,
    OpenWaits,
    Series,
    open_waits,
    run_of,
    stages,
    step_s,
)
from hwangso_tools.storm.recording import Open, StageChange
from hwangso_tools.storm.scenario import SECONDS_MAX


def test_every_column_is_explained_in_order() -> None:
    assert [field.name for field in fields(Series)] == list(COLUMNS)
    assert list(run_of(recording()).series.by_name()) == list(COLUMNS)


def test_the_columns() -> None:
    nothing = (None,) * 6
    assert run_of(recording()).series.by_name() == {
        "at_s": (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0),
        "stage": ("NORMAL", "NORMAL", "EMERGENCY", "EMERGENCY", "EMERGENCY", "BUSY"),
        "connects_background_per_s": (0.2, 0, 1.2, 0, 0, 0),
        "connects_foreground_per_s": (0, 0, 0.6, 0, 0, 0),
        "welcomed_background_per_s": (0, 0, 0.4, 0, 0, 0),
        "welcomed_foreground_per_s": (0, 0, 0.2, 0, 0, 0),
        "deferred_per_s": (0, 0, 0.8, 0, 0, 0),
        "failed_per_s": (0, 0, 0, 1.0, 0, 0),
        "sessions": (0, 0, 14, 0, 0, 0),
        "waiting": (0, 0, 6, 0, 0, 0),
        "response_background_s": (None, None, 0.25, None, None, None),
        "response_foreground_s": (None, None, 0.125, None, None, None),
        "opens": (0, 0, 3, 1, 0, 0),
        "opens_failed": (0, 0, 1, 1, 0, 0),
        "open_p50_s": (None, None, 0.75, 31.0, None, None),
        "open_p99_s": (None, None, 40.0, 31.0, None, None),
        "busy_share": (0, 0, 0.2, 0, 0, 0),
        "useful_share": (0, 0, 0.1, 0, 0, 0),
    }
    assert run_of(recording(control=False)).series.stage == nothing


def test_a_processor_that_nobody_looked_at() -> None:
    made = recording()
    made.series.busy_s[12] = made.series.useful_s[12] = 0.0
    series = run_of(made).series
    assert series.busy_share == series.useful_share == (None,) * 6


def test_the_last_step_may_be_shorter() -> None:
    made = recording(seconds=12)
    made.series.deferred[21] = 4
    made.series.sessions[21] = 3
    series = run_of(made).series
    assert series.at_s[-1] == 10.0
    assert series.deferred_per_s[-1] == 2.0
    assert series.sessions[-1] == 3


def test_so_may_the_first_be_for_a_step_begins_at_0() -> None:
    made = recording(calm_seconds=12)
    made.series.failed[1] = 6
    series = run_of(made).series
    assert series.at_s == (-12.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0)
    assert series.failed_per_s[0] == 3.0
    assert series.opens == (0, 0, 0, 3, 1, 0, 0)


def test_an_open_after_the_end_is_in_no_step() -> None:
    made = recording()
    made.opens.append(Open(20.0, 0.5, ready=True))
    assert sum(count or 0 for count in run_of(made).series.opens) == 4


@pytest.mark.parametrize(
    ("seconds", "step"),
    [(1, 5), (5_000, 5), (5_001, 10), (10_000, 10), (10_001, 30), (172_800, 300)],
)
def test_the_step_follows_from_the_length(seconds: int, step: int) -> None:
    assert step_s(seconds) == step


def test_the_longest_run_has_a_step() -> None:
    assert STEPS_S[-1] * POINTS_MAX >= 2 * SECONDS_MAX


def test_stages_begin_with_that_of_the_baseline() -> None:
    made = recording()
    made.stages[:0] = [StageChange(-30.0, Stage.EMERGENCY), StageChange(-20.0, Stage.BUSY)]
    made.stages.append(StageChange(20.0, Stage.NORMAL))  # when all is over
    assert stages(made) == (
        StageChange(-10.0, Stage.BUSY),
        StageChange(3.25, Stage.EMERGENCY),
        StageChange(12.0, Stage.BUSY),
    )
    assert run_of(made).series.stage[:3] == ("BUSY", "BUSY", "EMERGENCY")
    assert stages(recording(control=False)) == ()


def test_a_stage_that_is_short_is_seen() -> None:
    made = recording()
    made.stages[:] = [StageChange(1.0, Stage.SHIELD), StageChange(2.0, Stage.NORMAL)]
    assert run_of(made).series.stage == ("NORMAL", "NORMAL", "SHIELD", *["NORMAL"] * 3)


def test_the_waits_of_a_run() -> None:
    """Of four that count, one had no session, and one had it too late."""
    run = run_of(recording())
    assert run.waits == OpenWaits(4, 2, 0.75, None, None, None, None)
    assert (run.control, run.step_s, run.begins_s, run.ends_s) == (True, 5, -10.0, 20.0)
    assert run.capacity_per_s == 3.0


def test_percentiles_of_waits() -> None:
    opens = [Open(0.0, float(n), ready=True) for n in range(1, 1_001)]
    assert open_waits(opens) == OpenWaits(1_000, 970, 500.0, 900.0, 990.0, 999.0, 1_000.0)


def test_nobody_opened_the_app() -> None:
    assert open_waits([]) == OpenWaits(0, 0, None, None, None, None, None)
