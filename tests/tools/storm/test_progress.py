import io
from dataclasses import replace

import pytest
from rich.console import Console

from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.play import Moment
from hwangso_tools.storm.progress import PlainProgress, clock, line, open_progress

ERASE_LINE = "\x1b[2K"
"""ECMA-48: EL, the whole line."""

MOMENT = Moment(
    control=True,
    at_s=125.0,
    calm_s=600.0,
    end_s=9_000.0,
    sessions=640,
    devices=1_000,
    connects_per_s=38.24,
    stage=Stage.EMERGENCY,
)


def test_a_time_of_the_story() -> None:
    times = {
        0.0: "0:00:00",
        59.9: "0:00:59",
        3_599.0: "0:59:59",
        3_600.0: "1:00:00",
        7_680.0: "2:08:00",
        -600.0: "-0:10:00",
        -0.5: "0:00:00",
        -1.0: "-0:00:01",
    }
    assert {at_s: clock(at_s) for at_s in times} == times


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (
            MOMENT,
            ("control on  0:02:05/2:30:00  640/1,000 connected  38.2 connects/s  EMERGENCY"),
        ),
        (
            replace(MOMENT, at_s=-60.0, connects_per_s=0.9, stage=Stage.NORMAL),
            "control on  -0:01:00 calm  640/1,000 connected  0.9 connects/s  NORMAL",
        ),
        (
            replace(MOMENT, at_s=-600.0),
            "control on  -0:10:00 calm  640/1,000 connected  38.2 connects/s  EMERGENCY",
        ),
        (
            replace(MOMENT, at_s=0.0),
            "control on  0:00:00/2:30:00  640/1,000 connected  38.2 connects/s  EMERGENCY",
        ),
        (
            replace(MOMENT, at_s=-601.0, sessions=3, connects_per_s=0, control=False),
            "control off  phones connect  3/1,000 connected  0.0 connects/s",
        ),
        (
            replace(MOMENT, at_s=float("-inf"), sessions=0, connects_per_s=0, control=False),
            "control off  phones connect  0/1,000 connected  0.0 connects/s",
        ),
    ],
)
def test_a_moment_in_words(moment: Moment, text: str) -> None:
    assert line(moment) == text


def test_the_longest_line_of_1000_phones_fits_into_80_columns() -> None:
    assert len(line(replace(MOMENT, sessions=1_000, connects_per_s=999.9))) <= 80


def test_a_line_now_and_then() -> None:
    lines: list[str] = []
    times = iter((0.0, 1.0, 9.9, 10.0, 10.0, 19.9, 20.0, 20.0))
    plain = PlainProgress(lines.append, lambda: next(times))
    for _ in range(5):
        plain.show(MOMENT)
    assert lines == [line(MOMENT)] * 2
    assert list(times) == []


def test_a_pipe_gets_nothing_of_a_short_run() -> None:
    out = io.StringIO()
    with open_progress(Console(file=out)) as show:
        show(MOMENT)
    assert out.getvalue() == ""


def test_a_pipe_gets_a_line_whole_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """However narrow rich takes it to be."""
    monkeypatch.setattr("hwangso_tools.storm.progress.PLAIN_EVERY_S", 0.0)
    out = io.StringIO()
    with open_progress(Console(file=out, width=20)) as show:
        show(MOMENT)
    assert out.getvalue() == line(MOMENT) + "\n"


def test_a_terminal_gets_one_line_that_is_gone_in_the_end() -> None:
    out = io.StringIO()
    with open_progress(Console(file=out, force_terminal=True, width=80)) as show:
        show(MOMENT)
        assert "0:02:05/2:30:00" in out.getvalue()
        show(replace(MOMENT, at_s=126.0))
        shown = out.getvalue()
    assert "0:02:06/2:30:00" in shown
    assert shown.count("\n") == 0
    assert out.getvalue().removeprefix(shown).count(ERASE_LINE) >= 1
