"""The tables of the comparison of jitters."""

from io import StringIO

from rich.console import Console

from hwangso_tools.experiments.jitter import Outcome
from hwangso_tools.experiments.jitter_report import COLUMNS, as_figures, tables

GOOD = Outcome(0, 1.234, 2.51, 3.33, 12.4)
NEVER = Outcome(2, 9.5, 30.0, 51.8, None)
OUTCOMES = {
    "deep queue, patient": {"good": GOOD, "never": NEVER},
    "shallow queue": {"good": GOOD, "never": NEVER},
}


def test_one_table_for_each_figure_with_the_cases_together_at_the_end() -> None:
    shown = StringIO()
    console = Console(file=shown, width=80)
    for table in tables(OUTCOMES):
        console.print(table)
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert [line for line in lines if line in COLUMNS] == list(COLUMNS)
    assert lines.count("case good never") == len(COLUMNS)
    assert [line for line in lines if line.startswith("deep")] == [
        "deep queue, patient 1.23 9.50 (2 never)",
        "deep queue, patient 2.5 30.0",
        "deep queue, patient 3.3 51.8",
        "deep queue, patient 12 -",
    ]
    assert [line for line in lines if line.startswith("together")][:2] == [
        "together 1.23 9.50 (4 never)",
        "together 2.5 30.0",
    ]


def test_figures_for_a_file() -> None:
    figures = as_figures(OUTCOMES, "good")
    assert figures["best"] == "good"
    assert isinstance(figures["cases"], dict)
    assert figures["cases"]["deep queue, patient"] == {
        "good": {
            "never": 0,
            "back_ratio": 1.234,
            "attempts_mean": 2.51,
            "peak_ratio": 3.33,
            "worst_s": 12.4,
        },
        "never": {
            "never": 2,
            "back_ratio": 9.5,
            "attempts_mean": 30.0,
            "peak_ratio": 51.8,
            "worst_s": None,
        },
    }
    assert isinstance(figures["together"], dict)
    assert list(figures["together"]) == ["good", "never"]
