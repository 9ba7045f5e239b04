"""The demo's table and its one sentence."""

from rich.table import Table

from hwangso_tools.demo.script import DemoOutcome, Phase
from hwangso_tools.results import Figure
from hwangso_tools.swarm.outcome import milliseconds


def phase_table(demo: DemoOutcome) -> Table:
    """A row for each phase; what was lost or came twice is known at the end only."""
    table = Table(
        "phase", "s", "logins", "p50 ms", "p99 ms", "sent", "acked", "received", "missed, caught up"
    )
    for phase in demo.phases:
        counts = phase.figures.counts
        table.add_row(
            phase.name,
            f"{phase.seconds:.1f}",
            logins(phase) or "-",
            *login_latency(phase),
            f"{counts['sent']:,}",
            f"{counts['acknowledged']:,}",
            f"{counts['received']:,}",
            f"{counts['caught_up']:,}",
        )
    return table


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
        return f"Not as it should be: {'; '.join(complaints)}."
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
