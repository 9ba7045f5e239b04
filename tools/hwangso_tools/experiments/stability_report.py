"""The stability map as text, in sentences, and as figures for a results file."""

from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.durations import in_words
from hwangso_tools.experiments.stability import BackAfter, Cell
from hwangso_tools.results import Figure
from hwangso_tools.storm.progress import control_name

NEVER: Final = "never"


def grids(found: BackAfter) -> list[Table]:
    """Two grids, outage x share, which need no colour."""
    return [_grid(found, control) for control in controls(found)]


def sentences(found: BackAfter) -> list[str]:
    """What each map says."""
    said = []
    for control in controls(found):
        back_s = [after_s for cell, after_s in found.items() if cell.control is control]
        ended = [after_s for after_s in back_s if after_s is not None]
        slowest = f", at the latest after {in_words(max(ended))}" if ended else ""
        said.append(
            f"{control_name(control).capitalize()}: the crowd came back in {len(ended)} of "
            f"{len(back_s)} cells{slowest}."
        )
    return said


def as_figures(found: BackAfter) -> dict[str, Figure]:
    """For a results file."""
    rows: list[Figure] = [
        {
            "control": "on" if cell.control else "off",
            "duration_s": cell.duration_s,
            "share": cell.share,
            "back_after_s": after_s,
        }
        for cell, after_s in found.items()
    ]
    return {"cells": rows}


def _grid(found: BackAfter, control: bool) -> Table:
    title = control_name(control)
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.add_column("outage", no_wrap=True)
    for share in shares(found):
        made.add_column(f"{share:.0%}", justify="right", no_wrap=True)
    for duration_s in durations_s(found):
        row = (shown(found[Cell(control, duration_s, share)]) for share in shares(found))
        made.add_row(in_words(duration_s), *row)
    return made


def shown(after_s: float | None) -> str:
    """A cell."""
    return NEVER if after_s is None else f"{after_s:.0f}"


def shares(found: BackAfter) -> list[float]:
    """The columns."""
    return sorted({cell.share for cell in found})


def durations_s(found: BackAfter) -> list[float]:
    """The rows."""
    return sorted({cell.duration_s for cell in found})


def controls(found: BackAfter) -> list[bool]:
    """The maps."""
    return sorted({cell.control for cell in found})
