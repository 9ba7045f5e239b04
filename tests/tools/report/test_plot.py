"""A chart as plotly takes it."""

from typing import TypeAlias, cast

from tests.tools.report.recordings import SCENARIO, recording

from hwangso_tools.report.charts import Chart, charts
from hwangso_tools.report.events import Mark, marks
from hwangso_tools.report.plot import CONFIG, LABELS_MAX, figure, library
from hwangso_tools.report.series import Run, run_of

Table: TypeAlias = dict[str, object]

OFF, ON = run_of(recording(control=False)), run_of(recording(control=True))


def chart(key: str, *happening: Mark, runs: tuple[Run, ...] = (OFF, ON)) -> Chart:
    made = charts(runs, happening or marks(SCENARIO))
    (found,) = [chart for chart in made if chart.key == key]
    return found


def traces(drawn: Table) -> list[Table]:
    return cast("list[Table]", drawn["data"])


def layout(drawn: Table) -> Table:
    return cast("Table", drawn["layout"])


def axis(drawn: Table, name: str) -> Table:
    return cast("Table", layout(drawn)[name])


def texts(drawn: Table) -> list[tuple[object, object, object]]:
    """Of all annotations: the text, the axis and the place on it."""
    annotations = cast("list[Table]", layout(drawn)["annotations"])
    return [(one["text"], one["xref"], one["x"]) for one in annotations]


def test_the_numbers_are_those_of_the_chart() -> None:
    """In minutes; a gap is null."""
    drawn = traces(figure(chart("responses")))
    assert [(trace["name"], trace["xaxis"]) for trace in drawn] == [
        ("foreground", "x"),
        ("background", "x"),
        ("foreground", "x2"),
        ("background", "x2"),
    ]
    assert drawn[3]["x"] == [-0.166667, -0.083333, 0.0, 0.083333, 0.166667, 0.25]
    assert drawn[3]["y"] == [None, None, 0.25, None, None, None]


def test_both_panels_have_the_same_axes() -> None:
    for key in ("connects", "phones", "opens", "processor", "stages"):
        drawn = figure(chart(key))
        assert axis(drawn, "yaxis2")["matches"] == "y", key
        assert axis(drawn, "xaxis2")["matches"] == "x", key
        assert axis(drawn, "xaxis")["range"] == [0.0, 0.333333]


def test_a_name_is_in_the_legend_once() -> None:
    drawn = traces(figure(chart("connects")))
    shown = [trace["name"] for trace in drawn if trace["showlegend"]]
    assert shown == ["foreground", "background", "capacity (resumes)"]


def test_connects_are_stacked_and_told_apart_without_colour() -> None:
    front, back, capacity, *_ = traces(figure(chart("connects")))
    assert front["stackgroup"] == back["stackgroup"] == "all"
    assert "fillpattern" not in front
    assert cast("Table", back["fillpattern"])["shape"] == "/"
    assert "stackgroup" not in capacity
    assert cast("Table", capacity["line"])["dash"] == "dot"


def test_stages_have_their_names() -> None:
    ticks = axis(figure(chart("stages")), "yaxis")["ticktext"]
    assert ticks == ["0 NORMAL", "1 BUSY", "2 EMERGENCY", "3 SHIELD"]


def test_waits_are_on_a_logarithmic_axis() -> None:
    drawn = figure(chart("opens"))
    assert axis(drawn, "yaxis")["type"] == axis(drawn, "yaxis2")["type"] == "log"


def test_events_are_marked_in_each_panel() -> None:
    drawn = figure(chart("stages"))
    lines = cast("list[Table]", layout(drawn)["shapes"])
    assert [(line["xref"], line["x0"]) for line in lines] == [("x", 0.033333), ("x2", 0.033333)]
    assert texts(drawn) == [
        ("alert", "x", 0.033333),
        ("<b>control off</b>", "x domain", 0),
        ("alert", "x2", 0.033333),
        ("<b>control on</b>", "x2 domain", 0),
    ]


def test_labels_do_not_meet() -> None:
    """Those of the same time stand above each other, as many as there is room for."""
    together = [Mark(2.0, f"event {number}", "") for number in range(LABELS_MAX + 2)]
    drawn = figure(chart("phones", *together, Mark(12.0, "later", ""), runs=(ON,)))
    annotations = cast("list[Table]", layout(drawn)["annotations"])
    places = {one["text"]: (one["xanchor"], one["yshift"]) for one in annotations}
    assert places == {
        "event 0": ("left", 0),
        "event 1": ("left", 14),
        "event 2": ("left", 28),
        "event 3": ("left", 42),
        "event 4": ("left", 56),
        "later": ("left", 0),
        "<b>control on</b>": ("left", 70),
    }
    assert len(cast("list[Table]", layout(drawn)["shapes"])) == LABELS_MAX + 3


def test_a_label_at_the_end_stays_inside() -> None:
    drawn = figure(chart("phones", Mark(2.0, "first", ""), Mark(19.0, "last", ""), runs=(ON,)))
    annotations = cast("list[Table]", layout(drawn)["annotations"])
    assert [one["xanchor"] for one in annotations] == ["left", "right", "left"]


def test_colours_of_the_page_are_left_to_the_page() -> None:
    drawn = layout(figure(chart("phones")))
    assert drawn["paper_bgcolor"] == drawn["plot_bgcolor"] == "rgba(0,0,0,0)"


def test_charts_cannot_be_uploaded() -> None:
    assert CONFIG["showSendToCloud"] is False
    assert CONFIG["plotlyServerURL"] == ""


def test_the_library_can_stand_in_a_page() -> None:
    source = library()
    assert "newPlot" in source
    assert "</script" not in source.lower()
