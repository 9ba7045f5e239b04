"""What a crowd of devices did, counted from what they report. Pure, and mergeable.

Latencies begin at the *intended* start: the end of a back-off, the moment a user opened the app or
wrote a message. A generator too busy to start on time does not hide the wait of its own making.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    DeviceEvent,
    DuplicateArrived,
    MessageAcknowledged,
    MessageRefused,
    Outcome,
    SessionEnded,
)
from hwangso_protocol.hello import Kind
from hwangso_tools.results import Figure
from hwangso_tools.swarm.latencies import Latencies

ERROR_KINDS_MAX: Final = 64
"""Kinds of errors that are told apart; details come from enums and the operating system."""

_NAMED_BY_DETAIL: Final = (Outcome.DENIED, Outcome.REFUSED)
"""Outcomes whose detail is a code of the protocol."""


class Snapshot(msgspec.Struct, frozen=True):
    """Figures on their way to another process."""

    counts: Mapping[str, int]
    latencies: Mapping[str, bytes]


class Figures:
    """Counts and latencies by name: `login.resume.BG`, `error.answer timeout`, `session.lost`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.latencies: dict[str, Latencies] = {}

    def take(self, event: DeviceEvent) -> None:
        """Count what a device reports. Messages that arrive are the crowd's to count."""
        match event:
            case AttemptEnded(attempt, outcome, ended_at):
                if outcome is Outcome.WELCOMED:
                    self._logged_in(attempt, ended_at)
                elif outcome is not Outcome.ABANDONED:
                    named = outcome in _NAMED_BY_DETAIL and event.detail
                    self.error(f"{outcome.value} {event.detail}" if named else outcome.value)
            case SessionEnded(end=end):
                self.counts[f"session.{end.value}"] += 1
            case AppReady(intended_at, ready_at):
                self.record("app_open", ready_at - intended_at)
            case MessageAcknowledged(intended_at=intended_at, acknowledged_at=at, tries=tries):
                self.record("acknowledge", at - intended_at)
                self.counts["acknowledged"] += 1
                self.counts["retried"] += tries - 1
            case MessageRefused(code=code):
                self.counts["refused"] += 1
                self.error(f"message {code.value}")
            case DuplicateArrived():
                self.counts["dropped_duplicates"] += 1
            case _:
                pass

    def record(self, name: str, seconds: float) -> None:
        """Count one latency."""
        latencies = self.latencies.get(name)
        if latencies is None:
            latencies = self.latencies[name] = Latencies()
        latencies.record(seconds)

    def error(self, kind: str) -> None:
        """Count an error of this kind; those beyond ERROR_KINDS_MAX count as one."""
        key = f"error.{kind}"
        if key not in self.counts and len(self.by_prefix("error")) >= ERROR_KINDS_MAX:
            key = "error.other"
        self.counts[key] += 1

    def by_prefix(self, prefix: str) -> dict[str, int]:
        """The counts `prefix.*`, by what follows the dot, in order."""
        return by_prefix(self.counts, prefix)

    @property
    def logins(self) -> int:
        """Connects that ended in a session."""
        return sum(self.by_prefix("login").values())

    def snapshot(self) -> Snapshot:
        """All of it, for another process."""
        encoded = {name: latencies.encode() for name, latencies in self.latencies.items()}
        return Snapshot(dict(self.counts), encoded)

    def merge(self, snapshot: Snapshot) -> None:
        """Count what another process has counted, too."""
        self.counts.update(snapshot.counts)
        for name, encoded in snapshot.latencies.items():
            latencies = Latencies.decode(encoded)
            if name in self.latencies:
                self.latencies[name].add(latencies)
            else:
                self.latencies[name] = latencies

    def latency_figures(self) -> dict[str, Figure]:
        """Percentiles by name, for a results file."""
        return {name: dict(self.latencies[name].figures()) for name in sorted(self.latencies)}

    def _logged_in(self, attempt: AttemptStarted, ended_at: float) -> None:
        name = f"login.{attempt.kind.name.lower()}.{attempt.intent.tag}"
        self.counts[name] += 1
        if attempt.kind is not Kind.ENROL:
            self.counts["reconnects"] += 1
        self.record(name, ended_at - attempt.intended_at)
        self.record("start_lateness", attempt.started_at - attempt.intended_at)


def by_prefix(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Those of `counts` that are named `prefix.*`, by what follows the dot, in order."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): count
        for name, count in sorted(counts.items())
        if name.startswith(start)
    }
