"""The ablation as a table, in sentences, and as figures for a results file."""

from collections.abc import Mapping
from math import isinf
from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.experiments.ablation import (
    COLUMNS,
    LIARS_SHARE,
    Difference,
    Line,
    Values,
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
    "second_peak_ratio": "second peak",
    "attempts_per_device": "tries each",
    "bg_back_after_s": "BG back, s",
}
"""Of the columns; `storm.figures` and `Finding` say what each is."""


def table(found: Found) -> Table:
    """A row for each line; those with liars come last."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 0))
    made.add_column("without", no_wrap=True)
    for column in COLUMNS:
        made.add_column(HEADINGS[column.name], justify="right")
    liars = False
    for line, values in found.items():
        if line.liars and not liars:
            made.add_section()
            made.add_row(f"{LIARS_SHARE:.0%} lie:")
            liars = True
        made.add_row(line.name, *(in_table(name, value) for name, value in values.items()))
    return made


def in_table(name: str, value: float) -> str:
    """A figure, short."""
    if isinf(value):
        return "never"
    if name == "fg_failures":
        return percent(1 - value)
    if name == "max_deferrals" or value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}"


def sentences(found: Found) -> list[str]:
    """What each mechanism buys, by the table: a line each."""
    said = []
    for line, values in found.items():
        full = full_line(line, found)
        if full is not None and line.control:
            moved = differences(found[full], values)
            where = f", where {LIARS_SHARE:.0%} lie" if line.liars else ""
            said.append(f"without {line.name}{where}: {_moved(moved)}")
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
        lines.append({"without": line.name, "liars": line.liars, **figures})
    return {"lines": lines}
