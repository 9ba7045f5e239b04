"""Why a device was admitted, deferred or refused: every decision has one rule, and can be told."""

from enum import StrEnum

from msgspec import Struct

from hwangso_protocol.hello import Intent
from hwangso_server.admission.signals import Signals
from hwangso_server.admission.stage import Reading, Stage, StageRule


class Outcome(StrEnum):
    """What a decision comes to."""

    ADMITTED = "admitted"
    DEFERRED = "deferred"
    REFUSED = "refused"


class Rule(StrEnum):
    """Every reason that a decision can have."""

    NORMAL = "normal"
    """Admitted: background is not put off in stage NORMAL."""
    FOREGROUND = "foreground"
    """Admitted: a person waits."""
    SPARE = "spare"
    """Admitted: foreground leaves room for one more just now."""
    DUE = "due"
    """Admitted: its slot has come."""
    AGE = "age"
    """Admitted: it has been put off often or long enough, although the queue is full."""
    SILENT = "silent"
    """Admitted: would have been deferred if deferrals were spoken."""

    OVER_BUDGET = "over-budget"
    """Deferred: there is no room for it before its slot."""
    EARLY = "early"
    """Deferred: its slot is still to come, and is kept."""
    QUEUE_FULL = "queue-full"
    """Deferred: its slot has come, and there is no room yet; another slot."""
    FOREGROUND_FULL = "foreground-full"
    """Deferred: people alone are more than the server can serve."""
    ONE_ATTEMPT = "one-attempt"
    """Deferred: the device has an attempt waiting."""

    FULL = "full"
    """Refused: as many handshakes or sessions as this server can hold."""

    @property
    def outcome(self) -> Outcome:
        """What it comes to."""
        if self is Rule.FULL:
            return Outcome.REFUSED
        return Outcome.DEFERRED if self in _DEFERRED else Outcome.ADMITTED


_DEFERRED = frozenset(
    {
        Rule.OVER_BUDGET,
        Rule.EARLY,
        Rule.QUEUE_FULL,
        Rule.FOREGROUND_FULL,
        Rule.ONE_ATTEMPT,
    }
)


class Explanation(Struct, frozen=True, gc=False):
    """The last decision about a device. Times are those of the controller's clock, in seconds."""

    device_id: int
    at_s: float
    claimed: Intent
    """What its hello said."""
    served_as: Intent
    stage: Stage
    rule: Rule
    until_s: float | None
    """Its slot, if it was deferred."""
    deferrals: int
    """In a row, this one counted; early returns are not."""

    @property
    def outcome(self) -> Outcome:
        """What it came to."""
        return self.rule.outcome


class Status(Struct, frozen=True, gc=False):
    """How admission stands now. Times are those of the controller's clock, in seconds."""

    stage: Stage
    since_s: float
    """When it was entered; minus infinity: never anything else."""
    rule: StageRule
    """What put it there."""
    pinned_until_s: float | None
    signals: Signals
    """Of the last window."""
    readings: tuple[Reading, ...]
    """What the stage follows from, each beside its limit."""
    background_per_s: float
    """The budget: background resumes that foreground leaves room for."""
    foreground_waiting: int
    background_waiting: int
    """Admitted, their handshake not begun."""
    slots: int
    """In the calendar, still to come."""
    last_slot_s: float
    """When the last of them is over; now if there are none."""
    overbooked: int
    """Slots handed out for which the calendar had no room, since start."""
    foreign_tickets: int
    """Deferral tickets that were not ours, altered, or another device's, since start."""
    spent_tickets: int
    """Deferral tickets that came a second time, since start."""
    decisions: dict[Rule, int]
    """How often each rule has decided, since start."""
