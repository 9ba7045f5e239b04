"""The tables of `hwangso bench storm`: ours beside the published figures, and what must be."""

from collections.abc import Mapping
from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.bench.report import shown

Figures = Mapping[str, float]

_PEERS: Final = ("mosquitto", "ejabberd", "prosody")
_ROWS: Final[tuple[tuple[str, str, str, tuple[str, str, str]], ...]] = (
    ("FG p99, calm", "fg_p99_calm_ms", "fg_p99_calm_off_ms", ("6.5 ms", "14.5 ms", "247 ms")),
    ("FG p50, patient", "base_fg_p50_ms", "off_fg_p50_ms", ("1.9 ms", "never", "9.7 s")),
    ("FG p99, patient", "base_fg_p99_ms", "off_fg_p99_ms", ("4.0-9.6 s", "never", "34 s")),
    ("FG max, patient", "base_fg_max_ms", "off_fg_max_ms", ("", "", "")),
    (
        "BG back, patient",
        "base_bg_back",
        "off_bg_back",
        ("10,000", "369-755", "9,681-9,999"),
    ),
    ("BG 99 %, patient", "base_bg_t99_s", "off_bg_t99_s", ("5.0-10.4 s", "never", "")),
    ("attempts, patient", "base_bg_attempts", "off_bg_attempts", ("", "", "")),
    ("FG p50, impatient", "impatient_fg_p50_ms", "", ("1.6 s", "3.7 s", "6.4 s")),
    ("FG p99, impatient", "impatient_fg_p99_ms", "", ("7.2 s", "25 s", "36 s")),
    ("BG back, impatient", "impatient_bg_back", "", ("0-1", "25-76", "0")),
    ("attempts, impatient", "impatient_bg_attempts", "", ("409,000", "408,000", "410,000")),
)
"""Published: mosquitto 2.0.11, ejabberd 23.01 and prosody 0.12.3, 10,000 devices, 60 s for them to
come back, one server core, TLS 1.3, limits switched off, on the same kind of machine
(`shared/peers`). Medians, or smallest to largest where three runs differ."""

_GOALS: Final[tuple[tuple[str, str, float], ...]] = (
    ("fg_p99_ratio", "at most", 3.0),
    ("fg_max_storm_ms", "at most", 250.0),
    ("fg_failures", "at most", 0.0),
    ("fg_p99_ratio_control_off", "at least", 10.0),
    ("bg_drain_ratio", "at most", 1.5),
    ("attempts_per_device", "at most", 2.5),
    ("impatient_drain_ratio", "at most", 2.0),
    ("disobedient_fg_p99_ratio", "at most", 5.0),
    ("defer_cost_ratio", "at most", 0.25),
)

HEADLINES: Final = ("fg_p99_calm_ms", "fg_p99_storm_ms", *(name for name, _, _ in _GOALS))
"""The figures that are shown of each run; a results file holds them all."""


def comparison(figures: Figures) -> Table:
    """Our medians, with control and without, and what other servers do in the same storm."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    made.add_column("", no_wrap=True)
    for heading in ("hwangso", "control off", *_PEERS):
        made.add_column(heading, justify="right", no_wrap=True)
    for name, on, off, peers in _ROWS:
        if on in figures or off in figures:
            made.add_row(name, _with_unit(figures, on), _with_unit(figures, off), *peers)
    return made


def goals(figures: Figures) -> Table:
    """What the control must reach, and whether it does."""
    made = Table("figure", box=box.SIMPLE_HEAD)
    for heading in ("median", "must be", ""):
        made.add_column(heading, justify="right")
    for name, relation, bound in _GOALS:
        if name in figures:
            value = figures[name]
            reached = value <= bound if relation == "at most" else value >= bound
            made.add_row(
                name, shown(value), f"{relation} {bound:g}", "reached" if reached else "missed"
            )
    return made


def _with_unit(figures: Figures, name: str) -> str:
    if name not in figures:
        return ""
    value = figures[name]
    if name.endswith("_ms"):
        return f"{shown(value)} ms" if value < 1_000 else f"{shown(value / 1_000)} s"
    return f"{shown(value)} s" if name.endswith("_s") else f"{value:,.0f}"
