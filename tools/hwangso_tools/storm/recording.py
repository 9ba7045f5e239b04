"""What was written down about one run of a storm: the data between `recorder` and `figures`."""

from array import array
from dataclasses import dataclass, field
from math import floor, inf
from typing import Final

from hwangso_protocol.hello import Intent
from hwangso_server.admission.stage import Stage

RATE_S: Final = 10
"""Connect rates are means over so many seconds."""


def _zeros(seconds: int) -> "array[int]":
    return array("q", bytes(8 * seconds))


def _no_time(seconds: int) -> "array[float]":
    return array("d", bytes(8 * seconds))


@dataclass(slots=True)
class Series:
    """One number for each second of the run; the first second is where the calm baseline begins.
    Counts are of what happened in that second."""

    seconds: int
    connects: dict[Intent, "array[int]"] = field(init=False)
    """Attempts that began."""
    welcomed: dict[Intent, "array[int]"] = field(init=False)
    deferred: "array[int]" = field(init=False)
    failed: "array[int]" = field(init=False)
    """Attempts that ended otherwise, and were not given up by the phone itself."""
    responses: dict[Intent, "array[int]"] = field(init=False)
    """Attempts whose response time is in `response_s`: welcomed, or no answer in time."""
    response_s: dict[Intent, "array[float]"] = field(init=False)
    """Their sum."""
    sessions: "array[int]" = field(init=False)
    """Phones with a session at the end of that second."""
    waiting: "array[int]" = field(init=False)
    """Phones whose background attempt has brought no session yet, at the end of that second."""
    busy_s: "array[float]" = field(init=False)
    """What the server's processor did, where that is known, ..."""
    useful_s: "array[float]" = field(init=False)
    """... and what of it was for sessions that came to be, and for messages."""

    def __post_init__(self) -> None:
        self.connects = {intent: _zeros(self.seconds) for intent in Intent}
        self.welcomed = {intent: _zeros(self.seconds) for intent in Intent}
        self.deferred = _zeros(self.seconds)
        self.failed = _zeros(self.seconds)
        self.responses = {intent: _zeros(self.seconds) for intent in Intent}
        self.response_s = {intent: _no_time(self.seconds) for intent in Intent}
        self.sessions = _zeros(self.seconds)
        self.waiting = _zeros(self.seconds)
        self.busy_s = _no_time(self.seconds)
        self.useful_s = _no_time(self.seconds)


@dataclass(frozen=True, slots=True)
class Open:
    """A person opened the app. Without service nothing can be had from any server, so that a wait
    counts from when there was service."""

    at_s: float
    waited_s: float
    """Until there was a session, or the person left, or the run was over."""
    ready: bool


@dataclass(frozen=True, slots=True)
class StageChange:
    """The server's stage from this time on."""

    at_s: float
    stage: Stage


@dataclass(slots=True)
class Recording:
    """One run. Times are seconds of the scenario: 0 is where its story begins."""

    calm_seconds: int
    seconds: int
    """From 0 on."""
    devices: int
    capacity_per_s: float
    """Resumes a second that the server can do."""
    triggers_end_s: float
    first_event_s: float
    controlled: bool
    """Whether the server had its control on."""
    series: Series = field(init=False)
    calm_responses_s: "array[float]" = field(default_factory=lambda: array("d"))
    """Of attempts in the calm baseline."""
    calm_opens_s: "array[float]" = field(default_factory=lambda: array("d"))
    opens: list[Open] = field(default_factory=list)
    """From 0 on, in order of their ends; as many as the script has."""
    opens_without_service: int = 0
    """That were left before there was service: they count for nothing."""
    stages: list[StageChange] = field(default_factory=list)
    max_background_wait_s: float = 0.0
    max_deferrals: int = 0
    messages: int = 0
    acknowledged: int = 0

    def __post_init__(self) -> None:
        self.series = Series(self.calm_seconds + self.seconds)

    def index(self, at_s: float) -> int:
        """The place of a time in `series`; one outside of the run lies outside of them."""
        return floor(at_s) + self.calm_seconds

    def connects_per_s(self, at_s: float) -> float:
        """Connects a second in the RATE_S before that time, for people to look at."""
        place = max(0, self.index(at_s)) if at_s > -inf else 0
        window = slice(max(0, place - RATE_S), place)
        return sum(sum(counts[window]) for counts in self.series.connects.values()) / RATE_S
