"""The ablation as a table, in sentences, and as figures for a results file."""

from collections.abc import Mapping
from math import isinf
from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.experiments.ablation import (
    COLUMNS,
    Difference,
    Line,
    Values,
    World,
    differences,
    full_line,
)
from hwangso_tools.results import Figure
from hwangso_tools.storm.report import percent

Found = Mapping[Line, Values]

HEADINGS: Final = {
    "fg_failures": "FG served",
    "fg_p99_s": "FG p99, s",
    "response_normal_after_s": "FG well, s",
    "max_bg_wait_s": "BG wait, s",
    "max_deferrals": "most defers",
    "second_peak_ratio": "2nd peak",
    "stage_changes": "stage moves",
    "attempts_per_device": "tries each",
    "bg_back_after_s": "BG back, s",
}
"""Of the columns; `storm.figures` and `Finding` say what each is."""

_COUNTS: Final = frozenset({"max_deferrals", "stage_changes"})


def table(found: Found) -> Table:
    """A row for each line, world after world."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 0))
    made.add_column("without", no_wrap=True)
    for column in COLUMNS:
        made.add_column(HEADINGS[column.name], justify="right")
    world: World | None = None
    for line, values in found.items():
        if line.world is not world:
            world = line.world
            made.add_section()
            made.add_row(f"{world.value}:")
        made.add_row(line.name, *(in_table(name, value) for name, value in values.items()))
    return made


def in_table(name: str, value: float) -> str:
    """A figure, short."""
    if isinf(value):
        return "never"
    if name == "fg_failures":
        return percent(1 - value)
    if name in _COUNTS or value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}"


def sentences(found: Found) -> list[str]:
    """What each mechanism buys, by the table: a line each."""
    said = []
    for line, values in found.items():
        full = full_line(line, found)
        if full is not None and line.control:
            moved = differences(found[full], values)
            said.append(f"{line.world.value}, without {line.name}: {_moved(moved)}")
    return said


def _moved(moved: list[Difference]) -> str:
    worse = ", ".join(_in_words(one) for one in moved if one.is_worse)
    better = ", ".join(_in_words(one) for one in moved if not one.is_worse)
    if not moved:
        return "nothing moves"
    return "; ".join(
        part for part in (worse and f"worse: {worse}", better and f"better: {better}") if part
    )


def _in_words(moved: Difference) -> str:
    before, after = (in_table(moved.column, value) for value in (moved.full, moved.without))
    name, _, unit = HEADINGS[moved.column].partition(", ")
    return f"{name} {before} -> {after} {unit}".rstrip()


def as_figures(found: Found) -> dict[str, Figure]:
    """For a results file: null for what did not happen."""
    lines: list[Figure] = []
    for line, values in found.items():
        figures: dict[str, Figure] = {
            name: None if isinf(value) else round(value, 6) for name, value in values.items()
        }
        lines.append({"without": line.name, "world": line.world.name.lower(), **figures})
    return {"lines": lines}
