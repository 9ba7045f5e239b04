"""The ablation on real sockets: `hwangso bench storm`, with each mechanism switched off alone."""

from collections.abc import Callable, Mapping
from typing import Final

import trio
from rich import box
from rich.table import Table

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.bench.report import shown
from hwangso_tools.bench.runs import Run, medians, repeat
from hwangso_tools.bench.storm.parts import Program
from hwangso_tools.bench.storm.plan import Part
from hwangso_tools.experiments.ablation import FULL, OFF
from hwangso_tools.results import Figure

PARTS: Final = (Part.BASE, Part.IMPATIENT, Part.DISOBEDIENT)
"""The crowds that come back: patient, impatient, and one that does not hear a DEFER."""

COLUMNS: Final = {
    "fg_p99_ms": "FG p99, ms",
    "fg_max_ms": "FG max, ms",
    "bg_t99_s": "BG 99 % back, s",
    "bg_drain_ratio": "over the ideal",
    "bg_attempts_per_device": "attempts a device",
}
"""Figures of a part, and their headings. The ideal is that of the line with everything on."""

Values = Mapping[str, float]
Found = dict[str, dict[Part, Values]]
"""By line, then by part; a line without runs that count has no parts."""


def measure(devices: int, runs: int, say: Callable[[str], None]) -> Found:
    """Run all lines, one after the other: the server has a core of its own. Raises BenchFailed."""
    found: Found = {}
    ideal_s: float | None = None
    for name, parts, without in _lines():
        say(f"-- {name}")
        done = trio.run(
            repeat, Program(parts, without, say).run, runs, None, devices, _tell(name, say)
        )
        figures = medians(done)
        ideal_s = ideal_s or figures.get("bg_ideal_s")
        found[name] = {part: _values(figures, part, ideal_s) for part in parts if figures}
    return found


def _lines() -> list[tuple[str, tuple[Part, ...], tuple[Mechanism, ...]]]:
    return [
        (FULL, PARTS, ()),
        *((mechanism.value, PARTS, (mechanism,)) for mechanism in Mechanism),
        (OFF, (Part.OFF,), ()),
    ]


def _values(figures: Mapping[str, float], part: Part, ideal_s: float | None) -> Values:
    found = {name: figures[key] for name in COLUMNS if (key := f"{part.value}_{name}") in figures}
    if ideal_s:
        found["bg_drain_ratio"] = found["bg_t99_s"] / ideal_s
    return found


def _tell(name: str, say: Callable[[str], None]) -> Callable[[int, Run], None]:
    def tell(number: int, run: Run) -> None:
        if not run.counts and run.limit is not None:
            say(f"{name}, run {number} does not count: its limit was {run.limit.value}")

    return tell


def table(found: Found) -> Table:
    """A section for each part. The storm without control is a patient one."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.add_column("without", no_wrap=True)
    for heading in COLUMNS.values():
        made.add_column(heading, justify="right")
    for part in PARTS:
        made.add_section()
        made.add_row(f"{part.value}:")
        for name, parts in found.items():
            shows = Part.OFF if name == OFF and part is Part.BASE else part
            if shows in parts:
                values = parts[shows]
                made.add_row(name, *(_in_table(values, column) for column in COLUMNS))
            elif not parts and not (name == OFF and shows is part):
                made.add_row(name, *["-"] * len(COLUMNS))
    return made


def _in_table(values: Values, column: str) -> str:
    return shown(values[column]) if column in values else ""


def as_figures(found: Found) -> dict[str, Figure]:
    """For a results file: by line, then by part."""
    return {
        name: {part.value: dict(values) for part, values in parts.items()}
        for name, parts in found.items()
    }
