"""The page, read by a parser."""

from typing import cast

import msgspec
import pytest
from tests.tools.report.reading import LOADS_OF_STYLE, ReportReader
from tests.tools.report.recordings import SCENARIO, renamed, story

from hwangso_tools.report.page import page
from hwangso_tools.report.plot import library
from hwangso_tools.report.scenario_text import scenario_text


@pytest.fixture(scope="module")
def text() -> str:
    return page(story())


@pytest.fixture(scope="module")
def read(text: str) -> ReportReader:
    return ReportReader(text)


def test_nothing_is_loaded_from_anywhere(read: ReportReader) -> None:
    assert read.addresses == []
    assert not {"link", "iframe", "object", "embed", "base", "form", "img"} & set(read.elements)
    assert not any(LOADS_OF_STYLE.search(style) for style in read.styles)


def test_the_browser_is_told_to_load_nothing(read: ReportReader) -> None:
    assert read.policy is not None
    assert read.policy.startswith("default-src 'none';")
    assert "http" not in read.policy


def test_the_only_scripts_are_the_library_and_ours(read: ReportReader) -> None:
    source, ours = read.scripts
    assert source == library()
    assert '"showSendToCloud": false' in ours
    assert "http" not in ours


def test_the_library_is_there_once(text: str) -> None:
    assert len(text) < 1.1 * len(library())


def test_every_chart_has_its_numbers(read: ReportReader) -> None:
    drawn = {
        (key, trace["name"], trace["xaxis"]): (trace["x"], trace["y"])
        for key, figure in read.figures.items()
        for trace in cast("list[dict[str, object]]", figure["data"])
    }
    columns = {
        ("connects", "background"): "connects_background_per_s",
        ("connects", "foreground"): "connects_foreground_per_s",
        ("turned-away", "deferred"): "deferred_per_s",
        ("turned-away", "failed"): "failed_per_s",
        ("phones", "with a session"): "sessions",
        ("phones", "waiting for one"): "waiting",
        ("responses", "background"): "response_background_s",
        ("responses", "foreground"): "response_foreground_s",
        ("opens", "p50"): "open_p50_s",
        ("opens", "p99"): "open_p99_s",
        ("processor", "busy"): "busy_share",
        ("processor", "of use"): "useful_share",
    }
    for (key, name), column in columns.items():
        for run, axis in zip(story().runs, ("x", "x2"), strict=True):
            minutes, values = drawn[key, name, axis]
            assert values == list(run.series.by_name()[column]), (key, name)
            at_s = [60 * cast("float", minute) for minute in cast("list[object]", minutes)]
            assert at_s == pytest.approx(run.series.at_s, abs=1e-4)
    assert drawn["stages", "stage", "x2"][1] == [0, 2, 1, 1]


def test_what_can_be_read(read: ReportReader) -> None:
    for said in (
        "A <script>alert(1)</script> & its end",
        "</script><img src=http://example.com/x.png>",
        "Control off: connects rose to ",
        "The control made no difference that matters here.",
        "1,000 phones.",
        "published control off control on",
        'published, connects at the peak, times calm: over 5.0 (papers "<b>")',
        "app opens 4 4 p50 750 ms 750 ms p90 never never",
        "no session in 30 s 2 2",
        "0:00:02 alert every sleeping phone wakes within 5 s",
        "Each value is that of 5 s.",
        "hwangso storm 'my storm.toml' --seed 7",
        "a <fast> one, 2 cores",
        "2026-11-22 15:30:01 UTC",
        "useful_share",
        " ".join(scenario_text(SCENARIO).split()),
    ):
        assert said in read.text, said


@pytest.mark.parametrize(
    "title",
    [
        "<script>alert(1)</script>",
        "</title><script>alert(1)</script>",
        '" onload="alert(1)',
        "'><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }} {% raw %}",
        "&lt;b&gt; --> <!-- ]]>",
    ],
)
def test_a_scenario_is_text_and_nothing_else(title: str, read: ReportReader) -> None:
    made = ReportReader(page(story(renamed(title))))
    assert made.elements == read.elements
    assert made.scripts == read.scripts
    assert made.figures == read.figures
    assert made.text.count(" ".join(title.split())) >= 2  # in <title>, and in <h1>


def test_the_same_story_is_the_same_page(text: str) -> None:
    assert page(story()) == text


def test_a_calm_day_with_one_run() -> None:
    calm, both = msgspec.structs.replace(SCENARIO, event=(), published=()), story()
    one = type(both)(
        type(both.outcome)(calm, both.outcome.off, None), both.runs[:1], both.provenance
    )
    read = ReportReader(page(one))
    assert "Nothing: a calm day." in read.text
    assert "control on" not in read.text.replace("control on is without", "")
    assert "stages" not in read.figures
    assert len(read.figures) == 6
