"""The demo's table and its one sentence."""

from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.demo.script import DemoOutcome, Phase
from hwangso_tools.results import Figure
from hwangso_tools.swarm.figures import Figures
from hwangso_tools.swarm.outcome import complaint_line, milliseconds

_MESSAGES: Final = ("sent", "acked", "got", "late", "twice", "lost")
"""Messages sent, acknowledged, lost; copies that devices got, those of them that were written while
the device was away, and those that came twice."""


def phase_table(demo: DemoOutcome) -> Table:
    """A row for each phase, and one for all: what came twice or is lost shows at the end only."""
    table = Table(box=box.SIMPLE_HEAD, padding=0)  # fits into 80 columns
    table.add_column("phase", no_wrap=True)
    for heading in ("s", "logins", "p50", "p99", *_MESSAGES):
        table.add_column(heading, justify="right", no_wrap=True)
    for phase in demo.phases:
        table.add_row(
            phase.name,
            f"{phase.seconds:.1f}",
            logins(phase) or "-",
            *login_latency(phase),
            *_messages(phase.figures),
        )
    audit = demo.audit
    table.add_section()
    table.add_row(
        "all",
        f"{sum(phase.seconds for phase in demo.phases):.1f}",
        f"{demo.outcome.figures.logins:,}",
        "",
        "",
        *_messages(demo.outcome.figures)[:-2],
        f"{audit.duplicated:,}",
        f"{audit.lost:,}",
    )
    return table


def _messages(figures: Figures) -> tuple[str, ...]:
    names = ("sent", "acknowledged", "received", "caught_up")
    return (*(f"{figures.counts[name]:,}" for name in names), "", "")


def logins(phase: Phase) -> str:
    """Logins by kind and intent."""
    found = phase.figures.by_prefix("login")
    return ", ".join(f"{count:,} {name.replace('.', ' ')}" for name, count in found.items())


def login_latency(phase: Phase) -> tuple[str, str]:
    """Median and 99 % of the phase's logins; of its commonest kind, if there are several."""
    found = phase.figures.by_prefix("login")
    if not found:
        return "-", "-"
    commonest = max(found, key=lambda name: found[name])
    latencies = phase.figures.latencies[f"login.{commonest}"]
    return milliseconds(latencies.percentile_ms(50)), milliseconds(latencies.percentile_ms(99))


def sentence(demo: DemoOutcome) -> str:
    """What it means, for people."""
    complaints = demo.complaints()
    if complaints:
        return complaint_line(complaints)
    audit = demo.audit
    caught_up = demo.outcome.figures.counts["caught_up"]
    return (
        f"All {demo.returned.devices:,} phones were cut off at once and each came back by itself, "
        f"with a background resume; all {audit.acknowledged:,} acknowledged messages reached every "
        f"device they were for exactly once ({audit.expected:,} copies, {caught_up:,} of them "
        "written while that phone was away)."
    )


def as_figures(demo: DemoOutcome) -> dict[str, Figure]:
    """For a results file."""
    phases: list[Figure] = [
        {
            "name": phase.name,
            "seconds": round(phase.seconds, 3),
            "logins_by_kind_and_intent": dict(phase.figures.by_prefix("login")),
            "sent": phase.figures.counts["sent"],
            "acknowledged": phase.figures.counts["acknowledged"],
            "received": phase.figures.counts["received"],
            "caught_up": phase.figures.counts["caught_up"],
            "latencies": phase.figures.latency_figures(),
        }
        for phase in demo.phases
    ]
    return {
        **demo.outcome.as_figures(),
        "came_back": demo.returned.resumed + demo.returned.logged_in,
        "came_back_by_background_resume": demo.returned.resumed,
        "settled": demo.settled,
        "phases": phases,
    }
