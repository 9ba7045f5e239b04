"""What a Recording holds, in steps that a chart can show. Pure.

A column has a value for each step of the run, the calm baseline included; None where there was
nothing to measure. COLUMNS says what each is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hwangso_protocol.hello import Intent
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.figures import is_judged, percentile, wait_percentile_s, was_served
from hwangso_tools.storm.recording import Open, Recording, StageChange

STEPS_S: Final = (5, 10, 30, 60, 120, 300)
"""A step is one of these ..."""

POINTS_MAX: Final = 1_000
"""... and the shortest that makes no more points than this: a screen shows no more."""

DIGITS: Final = 6
"""Behind the point: microseconds."""

Numbers = tuple[float | None, ...]

COLUMNS: Final = {
    "at_s": "where the step begins, in seconds of the story; the calm baseline is before 0",
    "stage": "the highest stage in the step; empty with control off",
    "connects_background_per_s": "attempts to connect that began, intent background",
    "connects_foreground_per_s": "the same, intent foreground",
    "welcomed_background_per_s": "attempts that brought a session, intent background",
    "welcomed_foreground_per_s": "the same, intent foreground",
    "deferred_per_s": "attempts that the server put off",
    "failed_per_s": "attempts that ended otherwise, and were not given up by the phone itself",
    "sessions": "phones with a session, at the end of the step",
    "waiting": (
        "phones whose background attempt has brought no session yet, at the end of the step"
    ),
    "response_background_s": (
        "mean time of an attempt until its session, or until the phone gave up without an answer, "
        "by the moment of its end; intent background"
    ),
    "response_foreground_s": "the same, intent foreground",
    "opens": (
        "people who opened the app in the step and had a session, or waited for 10 s at least; "
        "from 0 on"
    ),
    "opens_failed": "those of them without a session within 30 s",
    "open_p50_s": (
        "their median wait for the session; who left without one counts with the time until then"
    ),
    "open_p99_s": "the 99th percentile of the same",
    "busy_share": ("share of the time in which the server's processor had work; virtual time only"),
    "useful_share": (
        "share of the time in which that work went into sessions that came to be and into "
        "messages; virtual time only"
    ),
}
"""The columns of Series, with their meaning, in the order of the CSV file. The unit ends the name:
seconds (`_s`), per second (`_per_s`), a share of 1 (`_share`); the others are counts."""


@dataclass(frozen=True, slots=True)
class Series:
    """The columns of one run."""

    at_s: tuple[float, ...]
    stage: tuple[str | None, ...]
    connects_background_per_s: Numbers
    connects_foreground_per_s: Numbers
    welcomed_background_per_s: Numbers
    welcomed_foreground_per_s: Numbers
    deferred_per_s: Numbers
    failed_per_s: Numbers
    sessions: Numbers
    waiting: Numbers
    response_background_s: Numbers
    response_foreground_s: Numbers
    opens: Numbers
    opens_failed: Numbers
    open_p50_s: Numbers
    open_p99_s: Numbers
    busy_share: Numbers
    useful_share: Numbers

    def by_name(self) -> dict[str, tuple[float | str | None, ...]]:
        """All, in the order of COLUMNS."""
        return {name: getattr(self, name) for name in COLUMNS}


@dataclass(frozen=True, slots=True)
class OpenWaits:
    """How long people waited from opening the app to a session. None: that one had no session, or
    there is none."""

    opens: int
    """Who had a session, or waited for 10 s at least."""
    failed: int
    """Without a session within 30 s."""
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    p99_9_s: float | None
    max_s: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the report shows it."""

    control: bool
    step_s: int
    begins_s: float
    """Of the story: below 0."""
    ends_s: float
    capacity_per_s: float
    """Resumes a second that the server can do."""
    series: Series
    stages: tuple[StageChange, ...]
    """That in which the run begins, and its changes; none with control off."""
    waits: OpenWaits


def step_s(seconds: int) -> int:
    """The step for a run of so many seconds. The longest of STEPS_S does for the longest run."""
    return next((step for step in STEPS_S if seconds <= step * POINTS_MAX), STEPS_S[-1])


def run_of(recording: Recording) -> Run:
    """A recording, in steps."""
    steps = _Steps(recording)
    return Run(
        control=recording.controlled,
        step_s=steps.step_s,
        begins_s=-float(recording.calm_seconds),
        ends_s=float(recording.seconds),
        capacity_per_s=recording.capacity_per_s,
        series=steps.series(),
        stages=stages(recording),
        waits=open_waits(recording.opens),
    )


def open_waits(opens: Sequence[Open]) -> OpenWaits:
    """The percentiles, of all opens of a run."""
    judged = [opened for opened in opens if is_judged(opened)]

    def wait_s(percent: float) -> float | None:
        found_s = wait_percentile_s(judged, percent)
        return None if found_s is None else round(found_s, DIGITS)

    return OpenWaits(
        opens=len(judged),
        failed=sum(not was_served(opened) for opened in judged),
        p50_s=wait_s(50),
        p90_s=wait_s(90),
        p99_s=wait_s(99),
        p99_9_s=wait_s(99.9),
        max_s=wait_s(100),
    )


class _Steps:
    """A recording, cut in steps. One begins at 0; the first and the last may be shorter."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        seconds = recording.series.seconds
        self.step_s = step_s(seconds)
        cuts = range(recording.calm_seconds % self.step_s, seconds, self.step_s)
        edges = sorted({0, *cuts, seconds})
        self._windows = [slice(start, stop) for start, stop in pairwise(edges)]

    def series(self) -> Series:
        recorded, back, front = self._recording.series, Intent.BACKGROUND, Intent.FOREGROUND
        opens = self._opens()
        waits_s = [[opened.waited_s for opened in together] for together in opens]
        return Series(
            at_s=tuple(float(w.start - self._recording.calm_seconds) for w in self._windows),
            stage=self._stage(),
            connects_background_per_s=self._rate(recorded.connects[back]),
            connects_foreground_per_s=self._rate(recorded.connects[front]),
            welcomed_background_per_s=self._rate(recorded.welcomed[back]),
            welcomed_foreground_per_s=self._rate(recorded.welcomed[front]),
            deferred_per_s=self._rate(recorded.deferred),
            failed_per_s=self._rate(recorded.failed),
            sessions=tuple(recorded.sessions[w.stop - 1] for w in self._windows),
            waiting=tuple(recorded.waiting[w.stop - 1] for w in self._windows),
            response_background_s=self._mean(recorded.response_s[back], recorded.responses[back]),
            response_foreground_s=self._mean(recorded.response_s[front], recorded.responses[front]),
            opens=tuple(map(len, opens)),
            opens_failed=tuple(
                sum(not was_served(opened) for opened in together) for together in opens
            ),
            open_p50_s=_rounded(percentile(together, 50) for together in waits_s),
            open_p99_s=_rounded(percentile(together, 99) for together in waits_s),
            busy_share=self._share(recorded.busy_s),
            useful_share=self._share(recorded.useful_s),
        )

    def _rate(self, counts: Sequence[float]) -> Numbers:
        return _rounded(sum(counts[w]) / (w.stop - w.start) for w in self._windows)

    def _mean(self, sums: Sequence[float], counts: Sequence[int]) -> Numbers:
        made = ((sum(sums[w]), sum(counts[w])) for w in self._windows)
        return _rounded(total / count if count else None for total, count in made)

    def _share(self, worked_s: Sequence[float]) -> Numbers:
        """None where the processor's work is not known: it never does nothing for a whole run."""
        known = any(self._recording.series.busy_s)
        return self._rate(worked_s) if known else (None,) * len(self._windows)

    def _opens(self) -> list[list[Open]]:
        """Those that are judged, by the step in which the wait began."""
        opens: list[list[Open]] = [[] for _ in self._windows]
        stops = [window.stop for window in self._windows]
        for opened in filter(is_judged, self._recording.opens):
            step = bisect_right(stops, self._recording.index(opened.at_s))
            if step < len(opens):
                opens[step].append(opened)
        return opens

    def _stage(self) -> tuple[str | None, ...]:
        if not self._recording.controlled:
            return (None,) * len(self._windows)
        first, *later = stages(self._recording)
        highest, stage = [], first.stage
        changes = [(self._recording.index(change.at_s), change.stage) for change in later]
        for window in self._windows:
            within = [into for place, into in changes if window.start <= place < window.stop]
            highest.append(max([stage, *within]).name)
            stage = within[-1] if within else stage
        return tuple(highest)


def stages(recording: Recording) -> tuple[StageChange, ...]:
    """The stage with which the calm baseline begins, and its changes from there on; nothing with
    control off."""
    if not recording.controlled:
        return ()
    begins_s = -float(recording.calm_seconds)
    before = [change.stage for change in recording.stages if change.at_s <= begins_s]
    first = StageChange(begins_s, before[-1] if before else Stage.NORMAL)
    later = (
        StageChange(round(change.at_s, DIGITS), change.stage)
        for change in recording.stages
        if begins_s < change.at_s < recording.seconds
    )
    return (first, *later)


def _rounded(values: Iterable[float | None]) -> Numbers:
    return tuple(None if value is None else round(value, DIGITS) for value in values)
