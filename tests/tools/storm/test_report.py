"""The table and the sentences, of figures made by hand."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.library import find
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.report import (
    LABELS,
    Outcome,
    as_figures,
    percent,
    published_in_words,
    sentences,
    sources,
    table,
    value_in_words,
)
from hwangso_tools.storm.scenario import Published

ON = StormFigures(
    bg_share_calm=0.83,
    connect_peak_ratio=47.8,
    bg_share_peak=0.935,
    fg_success=0.9996,
    fg_p99_s=0.711,
    emergency_detected_after_s=0.0,
    response_normal_after_s=104.0,
    stage_normal_after_s=206.5,
    max_bg_wait_s=88.6,
    max_deferrals=3,
    second_peak_ratio=0.9467,
    goodput_share=0.62,
)
OFF = replace(
    ON,
    fg_success=0.312,
    fg_p99_s=None,
    emergency_detected_after_s=None,
    response_normal_after_s=8_130.0,
    stage_normal_after_s=None,
    max_bg_wait_s=8_133.9,
    max_deferrals=0,
    second_peak_ratio=1.6,
    goodput_share=0.03,
)
GYEONGJU = find("gyeongju-2016")
QUIET = replace(
    ON, connect_peak_ratio=1.7, fg_success=1.0, response_normal_after_s=0.0, fg_p99_s=0.2
)


def shown(outcome: Outcome, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table(outcome))
    return out.getvalue()


def rows(outcome: Outcome) -> dict[str, list[str]]:
    made = table(outcome)
    columns = [list(column.cells) for column in made.columns]
    return {
        str(cells[0]): [str(cell) for cell in cells[1:]] for cells in zip(*columns, strict=True)
    }


def test_published_beside_off_and_on() -> None:
    found = rows(Outcome(GYEONGJU, OFF, ON))
    assert found == {
        "background among calm connects": ["", "83 %", "83 %"],
        "connects at the peak, times calm": ["40 to 50", "48", "48"],
        "background among them": ["", "94 %", "94 %"],
        "app opens with a session in 30 s": ["", "31 %", "99.96 %"],
        "app open to session, p99": ["", "never", "711 ms"],
        "slow answers to EMERGENCY": ["", "-", "0 s"],
        "answers normal again after": ["over 2 h", "2 h 15 min", "1 min 44 s"],
        "stage NORMAL again after": ["", "-", "3 min 26 s"],
        "longest background wait": ["", "2 h 15 min", "1 min 28 s"],
        "most deferrals of one phone": ["", "0", "3"],
        "second peak, times capacity": ["", "1.6", "0.9"],
        "work that was of use, busiest minute": ["", "3.0 %", "62 %"],
    }
    assert list(found) == list(LABELS.values())


def test_it_fits_into_80_columns() -> None:
    worst = replace(OFF, response_normal_after_s=None, second_peak_ratio=None)
    for line in shown(Outcome(GYEONGJU, worst, ON)).splitlines():
        assert len(line.rstrip()) <= 80
    assert "never" in shown(Outcome(GYEONGJU, worst, ON))
    assert "…" not in shown(Outcome(GYEONGJU, worst, ON))


def test_one_run_alone() -> None:
    assert next(iter(rows(Outcome(GYEONGJU, None, ON)).values())) == ["", "83 %"]
    assert "control off" not in shown(Outcome(GYEONGJU, None, ON))
    assert len(sentences(Outcome(GYEONGJU, None, ON))) == 1


def test_where_it_is_published() -> None:
    assert sources(GYEONGJU)[0] == (
        "published, connects at the peak, times calm: 40 to 50 (Kakao on KakaoTalk's traffic, "
        "2018: connects rose to 40 to 50 times the usual)"
    )


@pytest.mark.parametrize(
    ("published", "words"),
    [
        (Published(FigureName.BG_SHARE_PEAK, "x", value=0.96), "96 %"),
        (Published(FigureName.CONNECT_PEAK_RATIO, "x", at_least=5), "over 5.0"),
        (Published(FigureName.FG_P99_S, "x", range=(0.5, 90)), "500 ms to 1 min 30 s"),
    ],
)
def test_published_figures_in_words(published: Published, words: str) -> None:
    assert published_in_words(published) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (FigureName.BG_SHARE_CALM, "-"),
        (FigureName.CONNECT_PEAK_RATIO, "never"),
        (FigureName.FG_SUCCESS, "nobody came"),
        (FigureName.FG_P99_S, "never"),
        (FigureName.EMERGENCY_DETECTED_AFTER_S, "-"),
        (FigureName.RESPONSE_NORMAL_AFTER_S, "not yet"),
        (FigureName.STAGE_NORMAL_AFTER_S, "not yet"),
        (FigureName.SECOND_PEAK_RATIO, "never"),
        (FigureName.GOODPUT_SHARE, "-"),
    ],
)
def test_what_never_happened(name: FigureName, words: str) -> None:
    run = replace(ON)
    object.__setattr__(run, name.value, None)
    assert value_in_words(name, run, control=True) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "100 %"),
        (0.999999, "99.99 %"),
        (0.995, "99.50 %"),
        (0.98, "98 %"),
        (0.034, "3.4 %"),
        (0.0, "0 %"),
    ],
)
def test_shares(share: float, words: str) -> None:
    assert percent(share) == words


def test_what_it_means() -> None:
    assert sentences(Outcome(GYEONGJU, OFF, ON)) == [
        (
            "Control off: connects rose to 48 times the calm rate, 31 % of app opens got a session "
            "in time, and answers were back at normal speed after 2 h 15 min, not before the "
            "operator stepped in after 2 h 8 min."
        ),
        (
            "Control on: connects rose to 48 times the calm rate, 99.96 % of app opens got a "
            "session in time, and answers were back at normal speed after 1 min 44 s."
        ),
        ("The control cut the time of slow or missing answers from 2 h 15 min to 1 min 44 s."),
    ]


def test_a_run_that_recovers_before_the_operator_comes() -> None:
    early = replace(OFF, response_normal_after_s=300.0)
    assert sentences(Outcome(GYEONGJU, early, None))[0].endswith("normal speed after 5 min.")


def test_an_end_that_does_not_come() -> None:
    never = replace(OFF, response_normal_after_s=None)
    said = sentences(Outcome(GYEONGJU, never, ON))
    assert said[0].endswith("answers were not back at normal speed by the end.")
    assert said[2] == (
        "The control cut the time of slow or missing answers from more than 2 h 30 min to "
        "1 min 44 s."
    )


def verdict(off: StormFigures, on: StormFigures) -> str:
    return sentences(Outcome(GYEONGJU, off, on))[-1]


def test_a_day_that_needs_no_control() -> None:
    assert sentences(Outcome(find("calm-day"), QUIET, QUIET))[0] == (
        "Control off: connects rose to 1.7 times the calm rate, 100 % of app opens got a session "
        "in time, and answers kept their normal speed."
    )
    assert verdict(QUIET, QUIET) == "The control made no difference that matters here."


def test_runs_that_went_badly() -> None:
    assert verdict(ON, OFF) == "The control made it worse."
    mixed = replace(OFF, fg_success=1.0)
    assert verdict(mixed, replace(ON, fg_success=0.9)) == (
        "The control helped in one way and harmed in the other: see the table."
    )
    both_lost = replace(OFF, response_normal_after_s=None)
    assert verdict(both_lost, both_lost) == "The control made no difference that matters here."
    assert verdict(both_lost, replace(both_lost, fg_success=0.99)) == (
        "The control let people in who would have failed."
    )
    assert verdict(OFF, QUIET).endswith("from 2 h 15 min to none.")


def test_nobody_opens_the_app() -> None:
    """So nothing can be said about how long they waited."""
    nobody = replace(QUIET, fg_success=None, connect_peak_ratio=None)
    assert sentences(Outcome(GYEONGJU, nobody, None)) == ["Control off: nobody opened the app."]


def test_for_a_results_file() -> None:
    figures = as_figures(Outcome(GYEONGJU, OFF, ON))
    assert list(figures) == ["off", "on"]
    assert figures["on"] == {
        "bg_share_calm": 0.83,
        "connect_peak_ratio": 47.8,
        "bg_share_peak": 0.935,
        "fg_success": 0.9996,
        "fg_p99_s": 0.711,
        "emergency_detected_after_s": 0.0,
        "response_normal_after_s": 104.0,
        "stage_normal_after_s": 206.5,
        "max_bg_wait_s": 88.6,
        "max_deferrals": 3,
        "second_peak_ratio": 0.9467,
        "goodput_share": 0.62,
    }
    assert as_figures(Outcome(GYEONGJU, None, ON)) == {"on": figures["on"]}
