"""The tables of the comparison."""

from io import StringIO

from rich.console import Console

from hwangso_tools.experiments.budget import Outcome
from hwangso_tools.experiments.budget_report import COLUMNS, as_figures, tables

GOOD = Outcome(1.234, 0.021, 0.3, 0.0004, 1.5, 3, 2.5, 1.11)
NEVER = Outcome(None, 0.9, 7.5, 0.164, 0.0, 0, 0.0, 0.5)
OUTCOMES = {"storm": {"good": GOOD, "never": NEVER}}


def test_one_table_for_each_figure() -> None:
    shown = StringIO()
    console = Console(file=shown, width=80)
    for table in tables(OUTCOMES):
        console.print(table)
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert [line for line in lines if line in COLUMNS] == list(COLUMNS)
    assert lines.count("scenario good never") == len(COLUMNS)
    assert [line for line in lines if line.startswith("storm")] == [
        "storm 1.23 never",
        "storm 2 90",
        "storm 300 7,500",
        "storm 0.4 164.0",
        "storm 1.50 0.00",
        "storm 3 0",
        "storm 1.11 0.50",
    ]


def test_figures_for_a_file() -> None:
    figures = as_figures(OUTCOMES, "good")
    assert figures["best"] == "good"
    assert figures["mean_drain_ratios"] == {"good": 1.234, "never": None}
    assert figures["scenarios"] == {
        "storm": {
            "good": {
                "drain_ratio": 1.234,
                "idle_share": 0.021,
                "background_p99_s": 0.3,
                "foreground_p99_s": 0.0004,
                "deferrals_mean": 1.5,
                "deferrals_max": 3,
                "attempts_mean": 2.5,
                "overshoot": 1.11,
            },
            "never": {
                "drain_ratio": None,
                "idle_share": 0.9,
                "background_p99_s": 7.5,
                "foreground_p99_s": 0.164,
                "deferrals_mean": 0.0,
                "deferrals_max": 0,
                "attempts_mean": 0.0,
                "overshoot": 0.5,
            },
        }
    }
