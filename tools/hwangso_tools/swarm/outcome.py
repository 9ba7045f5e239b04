"""What a run came to: the figures of its results file, and the table for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from hwangso_tools.results import Figure
from hwangso_tools.swarm.figures import Figures
from hwangso_tools.swarm.ledger import Audit
from hwangso_tools.swarm.saturation import Load


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    devices: int
    enrolled: int
    """Devices that the server let in at least once."""
    audit: Audit
    figures: Figures
    load: Load
    connected: int
    """Devices with a session when the settling time was over."""
    unanswered: int
    """Messages that the server had neither acknowledged nor refused by then."""

    def complaints(self) -> list[str]:
        """What is not as it should be, in words; empty if all is well."""
        audit = self.audit
        missing = self.devices - self.enrolled
        away = self.enrolled - self.connected
        found = {
            f"{missing:,} devices could not enrol": missing,
            f"the server is gone, or does not let devices in: {away:,} of {self.enrolled:,} have no"
            " session at the end": away > self.connected,
            f"{self.unanswered:,} messages were never acknowledged": self.unanswered,
            f"{audit.lost:,} acknowledged messages are lost on some device": audit.lost,
            f"{audit.duplicated:,} copies came twice": audit.duplicated,
            f"{audit.strays:,} copies came to devices they were not for": audit.strays,
        }
        return [complaint for complaint, wrong in found.items() if wrong]

    def as_figures(self) -> dict[str, Figure]:
        """For a results file. `received`, `expected` and `duplicated` count copies, one a device;
        `sent`, `acknowledged` and `lost` count messages."""
        counts = self.figures.counts
        return {
            "devices": self.devices,
            "enrolled": self.enrolled,
            "connected": self.connected,
            "logins": self.figures.logins,
            "logins_by_kind_and_intent": dict(self.figures.by_prefix("login")),
            "reconnects": counts["reconnects"],
            "sent": counts["sent"],
            "not_sent": counts["not_sent"],
            "acknowledged": self.audit.acknowledged,
            "refused": counts["refused"],
            "unanswered": self.unanswered,
            "retried": counts["retried"],
            "expected": self.audit.expected,
            "received": counts["received"],
            "duplicated": self.audit.duplicated,
            "dropped_duplicates": counts["dropped_duplicates"],
            "strays": self.audit.strays,
            "lost": self.audit.lost,
            "errors": sum(self.figures.by_prefix("error").values()),
            "errors_by_kind": dict(self.figures.by_prefix("error")),
            "sessions_ended": dict(self.figures.by_prefix("session")),
            "latencies": self.figures.latency_figures(),
            "generator": {
                "saturated": self.load.saturated,
                "windows": self.load.windows,
                "saturated_windows": self.load.saturated_windows,
                "lateness_max_ms": self.load.lateness_max_ms,
                "cpu_share_max": self.load.cpu_share_max,
            },
        }


def latency_table(figures: Figures) -> Table:
    """Percentiles of everything that was timed, from its intended start, in milliseconds."""
    table = Table("ms from the intended start", "count", "p50", "p99", "p99.9", "max")
    for name, latencies in sorted(figures.latencies.items()):
        points = (latencies.percentile_ms(50), latencies.percentile_ms(99))
        more = (latencies.percentile_ms(99.9), latencies.max_ms())
        table.add_row(
            name.replace(".", " ").replace("_", " "),
            f"{len(latencies):,}",
            *(milliseconds(point) for point in (*points, *more)),
        )
    return table


def complaint_line(complaints: Sequence[str]) -> str:
    """A bad verdict as one line."""
    return f"Not as it should be: {'; '.join(complaints)}."


def milliseconds(value: float | None) -> str:
    """For people: no noise behind the digits that matter."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def saturation_line(load: Load) -> str | None:
    """What to say about the generator, if anything."""
    if not load.saturated:
        return None
    return (
        f"the generator was saturated in {load.saturated_windows} of {load.windows} seconds "
        f"(up to {load.lateness_max_ms:,.0f} ms late, {load.cpu_share_max:.0%} of a core): "
        "latencies are partly its own; use fewer devices a process or a lower rate"
    )
