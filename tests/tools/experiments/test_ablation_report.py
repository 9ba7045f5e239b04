"""The ablation as a table and in sentences."""

from io import StringIO
from math import inf

from rich.console import Console

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.experiments.ablation import COLUMNS, Line, World
from hwangso_tools.experiments.ablation_report import as_figures, sentences, table

NAMES = [column.name for column in COLUMNS]
GOOD = dict(zip(NAMES, (0.0, 1.5, 60.0, 40.0, 2.0, 1.1, 4.0, 3.0, 50.0), strict=True))
BAD = dict(zip(NAMES, (0.25, inf, inf, 900.0, 0.0, 2.4, 0.0, 20.0, inf), strict=True))
FOUND = {
    Line(): GOOD,
    Line(Mechanism.LANES): BAD,
    Line(Mechanism.HYSTERESIS): GOOD,
    Line(control=False): BAD,
    Line(world=World.LIARS): GOOD,
    Line(Mechanism.FOREGROUND_BUDGET, world=World.LIARS): {
        **GOOD,
        "fg_p99_s": 9.0,
        "max_bg_wait_s": 9.0,
    },
    Line(world=World.FLAPPING): GOOD,
    Line(Mechanism.HYSTERESIS, world=World.FLAPPING): {**GOOD, "stage_changes": 40.0},
}


def test_a_row_for_each_line_world_after_world() -> None:
    shown = StringIO()
    Console(file=shown, width=80).print(table(FOUND))
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    rows = [line for line in lines if line and "─" not in line]
    assert "…" not in shown.getvalue()
    assert rows[-11:] == [
        "the storm:",
        "all on 100 % 1.5 60 40 2 1.1 4 3.0 50",
        "lanes 75 % never never 900 0 2.4 0 20 never",
        "hysteresis 100 % 1.5 60 40 2 1.1 4 3.0 50",
        "control off 75 % never never 900 0 2.4 0 20 never",
        "20% lie:",
        "all on 100 % 1.5 60 40 2 1.1 4 3.0 50",
        "foreground-budget 100 % 9.0 60 9.0 2 1.1 4 3.0 50",
        "flapping carrier:",
        "all on 100 % 1.5 60 40 2 1.1 4 3.0 50",
        "hysteresis 100 % 1.5 60 40 2 1.1 40 3.0 50",
    ]


def test_what_each_mechanism_buys_in_its_own_world() -> None:
    lanes, hysteresis, budget, slow = sentences(FOUND)
    assert lanes == (
        "the storm, without lanes: worse: FG served 100 % -> 75 %, FG p99 1.5 -> never s, FG well "
        "60 -> never s, BG wait 40 -> 900 s, 2nd peak 1.1 -> 2.4, tries each 3.0 -> 20, BG back "
        "50 -> never s; better: most defers 2 -> 0, stage moves 4 -> 0"
    )
    assert hysteresis == "the storm, without hysteresis: nothing moves"
    assert budget == (
        "20% lie, without foreground-budget: worse: FG p99 1.5 -> 9.0 s; better: BG wait "
        "40 -> 9.0 s"
    )
    assert slow == "flapping carrier, without hysteresis: worse: stage moves 4 -> 40"


def test_figures_for_a_file() -> None:
    lines = as_figures(FOUND)["lines"]
    assert isinstance(lines, list)
    assert lines[1] == {
        "without": "lanes",
        "world": "storm",
        **{name: None if value == inf else value for name, value in BAD.items()},
    }
