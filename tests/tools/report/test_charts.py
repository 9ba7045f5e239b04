"""Which charts there are, and what is in them."""

from tests.tools.report.recordings import SCENARIO, recording

from hwangso_tools.report.charts import Chart, Line, Look, Panel, Scale, charts
from hwangso_tools.report.events import Mark, marks
from hwangso_tools.report.series import Run, run_of

OFF, ON = run_of(recording(control=False)), run_of(recording(control=True))
HAPPENING = marks(SCENARIO)


def made(*runs: Run) -> dict[str, Chart]:
    return {chart.key: chart for chart in charts(runs, HAPPENING)}


def line(panel: Panel, name: str) -> Line:
    (found,) = [line for line in panel.lines if line.name == name]
    return found


def test_all_charts_of_both_runs() -> None:
    both = made(OFF, ON)
    assert list(both) == [
        "connects",
        "turned-away",
        "phones",
        "responses",
        "opens",
        "processor",
        "stages",
    ]
    for chart in both.values():
        assert [panel.title for panel in chart.panels] == ["control off", "control on"]


def test_each_line_is_a_column() -> None:
    both, series = made(OFF, ON), ON.series
    for key, name, column in (
        ("connects", "background", "connects_background_per_s"),
        ("connects", "foreground", "connects_foreground_per_s"),
        ("turned-away", "deferred", "deferred_per_s"),
        ("turned-away", "failed", "failed_per_s"),
        ("phones", "with a session", "sessions"),
        ("phones", "waiting for one", "waiting"),
        ("responses", "background", "response_background_s"),
        ("responses", "foreground", "response_foreground_s"),
        ("opens", "p50", "open_p50_s"),
        ("opens", "p99", "open_p99_s"),
        ("processor", "busy", "busy_share"),
        ("processor", "of use", "useful_share"),
    ):
        drawn = line(both[key].panels[1], name)
        assert drawn.at_s == series.at_s
        assert drawn.values == series.by_name()[column], column


def test_limits_are_level() -> None:
    both = made(OFF, ON)
    capacity = line(both["connects"].panels[0], "capacity (resumes)")
    assert (capacity.at_s, capacity.values) == ((-10.0, 20.0), (3.0, 3.0))
    assert line(both["opens"].panels[0], "failed beyond").values == (30.0, 30.0)


def test_the_stage_holds_until_the_end() -> None:
    off, on = made(OFF, ON)["stages"].panels
    assert off.lines == ()
    (stage,) = on.lines
    assert stage.at_s == (-10.0, 3.25, 12.0, 20.0)
    assert stage.values == (0, 2, 1, 1)


def test_lines_of_a_chart_differ_by_more_than_their_colour() -> None:
    for chart in made(OFF, ON).values():
        for panel in chart.panels:
            looks = [line.look for line in panel.lines]
            assert len(set(looks)) == len(looks), chart.key
    stacked = made(OFF, ON)["connects"].panels[0].lines
    assert [line.look for line in stacked] == [Look.AREA, Look.HATCHED, Look.DOTTED]


def test_waits_are_on_a_logarithmic_scale() -> None:
    both = made(OFF, ON)
    assert both["responses"].scale is both["opens"].scale is Scale.LOGARITHMIC
    assert both["stages"].scale is Scale.STAGE


def test_what_is_not_known_has_no_chart() -> None:
    real = recording(control=False)
    real.series.busy_s[12] = 0.0
    assert not {"processor", "stages"} & set(made(run_of(real)))


def test_the_operator_acts_with_control_off_only() -> None:
    acts = Mark(9.0, "operator", "", only_without_control=True)
    for chart in charts((OFF, ON), [*HAPPENING, acts]):
        off, on = chart.panels
        assert [mark.name for mark in off.marks] == ["alert", "operator"]
        assert [mark.name for mark in on.marks] == ["alert"]


def test_charts_begin_shortly_before_the_first_event() -> None:
    (panel,) = charts((ON,), HAPPENING)[0].panels
    assert (panel.shown_from_s, panel.ends_s) == (0.0, 20.0)  # 2 s, less a tenth of 20 s
    (panel,) = charts((ON,), [])[0].panels
    assert panel.shown_from_s == -10.0
    (panel,) = charts((ON,), [Mark(-9.0, "", "")])[0].panels
    assert panel.shown_from_s == -10.0
