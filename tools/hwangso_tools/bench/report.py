"""The table of a bench: our figures beside those published for other servers."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.bench.runs import Run
from hwangso_tools.results import Figure

PEERS: Final = ("mosquitto 2.0", "ejabberd 23.01", "prosody 0.12")

PUBLISHED: Final[Mapping[str, tuple[str, str, str]]] = {
    "login_per_s": ("2,460", "480", "287"),
    "resume_per_s": ("-", "734", "-"),
    "idle_bytes_per_connection": ("15,000", "71,000", "-"),
    "messages_per_s": ("30,500 without fsync", "6,360", "4,050"),
}
"""Measured on the same kind of machine, one server core, TLS 1.3 (`shared/peers`)."""

HEADLINES: Final = (
    *PUBLISHED,
    "resume_crypto_share",
    "delivery_p50_ms",
    "delivery_p99_ms",
    "server_cpu_share",
    "generator_cpu_share",
)
"""The figures that the table shows; a results file holds them all."""


def table(figures: Mapping[str, float]) -> Table:
    """Our medians, and the others'."""
    made = Table("figure", box=box.SIMPLE_HEAD)
    for heading in ("median", *PEERS):
        made.add_column(heading, justify="right")
    for name in HEADLINES:
        if name in figures:
            made.add_row(name, shown(figures[name]), *PUBLISHED.get(name, ("", "", "")))
    return made


def shown(value: float) -> str:
    """A figure for people: three digits or more, no noise behind them."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def as_figures(figures: Mapping[str, float], runs: Sequence[Run]) -> dict[str, Figure]:
    """For a results file: the medians, and what each run said."""
    return {
        **figures,
        "counted_runs": sum(run.counts for run in runs),
        "runs": [
            {**run.figures, "limited_by": run.limit.value if run.limit else None} for run in runs
        ],
    }
