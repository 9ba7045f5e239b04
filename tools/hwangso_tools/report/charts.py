"""Which charts a report has, and what is in them. Pure data: `plot` draws them.

Each chart has a panel for each run, with the same axes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from hwangso_server.admission.stage import Stage
from hwangso_tools.report.events import Mark
from hwangso_tools.report.series import Numbers, Run
from hwangso_tools.storm.figures import SERVED_WITHIN_S
from hwangso_tools.storm.progress import control_name

CALM_SHOWN: Final = 0.1
"""Before the first event, as a share of the story."""


class Look(Enum):
    """How a line looks, besides its colour: nothing is told by colour alone."""

    SOLID = auto()
    DASHED = auto()
    DOTTED = auto()
    AREA = auto()
    """Areas are stacked."""
    HATCHED = auto()
    """An area, too."""
    DISCS = auto()
    """Points: of values that jump, lines show nothing but jumps."""
    DIAMONDS = auto()
    """Points, too."""


class Hue(Enum):
    """What a colour stands for, the same in all charts."""

    BACKGROUND = auto()
    FOREGROUND = auto()
    GOOD = auto()
    PUT_OFF = auto()
    TROUBLE = auto()
    LIMIT = auto()


class Scale(Enum):
    """What the vertical axis is."""

    LINEAR = auto()
    LOGARITHMIC = auto()
    SHARE = auto()
    STAGE = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """One value at each time, which holds until the next; None is a gap."""

    name: str
    at_s: tuple[float, ...]
    values: Numbers
    look: Look
    hue: Hue


@dataclass(frozen=True, slots=True)
class Panel:
    """One run."""

    title: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    shown_from_s: float
    """Where the time axis begins at first; what is before it can be scrolled to."""
    ends_s: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One subject, a panel for each run."""

    key: str
    title: str
    about: str
    """How to read it."""
    unit: str
    scale: Scale
    panels: tuple[Panel, ...]


def charts(runs: Sequence[Run], marks: Sequence[Mark]) -> list[Chart]:
    """All charts of a report; without those of which nothing is known."""
    made = [_connects(runs), _turned_away(runs), _phones(runs), _responses(runs), _opens(runs)]
    if any(share is not None for run in runs for share in run.series.busy_share):
        made.append(_processor(runs))
    if any(run.control for run in runs):
        made.append(_stages(runs))
    return [drawing.chart(runs, marks) for drawing in made]


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A chart but for its marks; the lines of each run."""

    key: str
    title: str
    about: str
    unit: str
    scale: Scale
    lines: Sequence[tuple[Line, ...]]

    def chart(self, runs: Sequence[Run], marks: Sequence[Mark]) -> Chart:
        panels = tuple(
            Panel(
                control_name(run.control),
                lines,
                tuple(mark for mark in marks if not (run.control and mark.only_without_control)),
                _shown_from_s(run, marks),
                run.ends_s,
            )
            for run, lines in zip(runs, self.lines, strict=True)
        )
        return Chart(self.key, self.title, self.about, self.unit, self.scale, panels)


def _shown_from_s(run: Run, marks: Sequence[Mark]) -> float:
    """A little before the first event: most of the calm baseline says the same."""
    if not marks:
        return run.begins_s
    return max(run.begins_s, min(mark.at_s for mark in marks) - CALM_SHOWN * run.ends_s)


def _level(name: str, run: Run, value: float) -> Line:
    """The same value all the time."""
    return Line(name, (run.begins_s, run.ends_s), (value, value), Look.DOTTED, Hue.LIMIT)


def _connects(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        made, at_s = run.series, run.series.at_s
        back, front = made.connects_background_per_s, made.connects_foreground_per_s
        return (
            Line("foreground", at_s, front, Look.AREA, Hue.FOREGROUND),
            Line("background", at_s, back, Look.HATCHED, Hue.BACKGROUND),
            _level("capacity (resumes)", run, run.capacity_per_s),
        )

    return _Drawing(
        "connects",
        "Connects by intent",
        "Attempts to connect that begin, one intent on top of the other. Above the capacity, the "
        "server cannot take all of them.",
        "connects/s",
        Scale.LINEAR,
        [lines(run) for run in runs],
    )


def _turned_away(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        made, at_s = run.series, run.series.at_s
        return (
            Line("deferred", at_s, made.deferred_per_s, Look.SOLID, Hue.PUT_OFF),
            Line("failed", at_s, made.failed_per_s, Look.DASHED, Hue.TROUBLE),
        )

    return _Drawing(
        "turned-away",
        "Attempts deferred and failed",
        "Deferred: the server named the time at which to come back. Failed: no connection, no "
        "answer in time, or refused.",
        "attempts/s",
        Scale.LINEAR,
        [lines(run) for run in runs],
    )


def _phones(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        made, at_s = run.series, run.series.at_s
        return (
            Line("with a session", at_s, made.sessions, Look.SOLID, Hue.GOOD),
            Line("waiting for one", at_s, made.waiting, Look.DASHED, Hue.TROUBLE),
        )

    return _Drawing(
        "phones",
        "Phones",
        "Waiting: a background attempt has brought no session yet. The others sleep.",
        "phones",
        Scale.LINEAR,
        [lines(run) for run in runs],
    )


def _responses(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        made, at_s = run.series, run.series.at_s
        back, front = made.response_background_s, made.response_foreground_s
        return (
            Line("foreground", at_s, front, Look.DISCS, Hue.FOREGROUND),
            Line("background", at_s, back, Look.DIAMONDS, Hue.BACKGROUND),
        )

    return _Drawing(
        "responses",
        "Mean response time of an attempt",
        "Until there was a session, or the phone gave up without an answer. Deferrals are answers, "
        "too, but none that tells how long a session takes: they do not count here.",
        "seconds",
        Scale.LOGARITHMIC,
        [lines(run) for run in runs],
    )


def _opens(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        made, at_s = run.series, run.series.at_s
        return (
            Line("p50", at_s, made.open_p50_s, Look.DISCS, Hue.FOREGROUND),
            Line("p99", at_s, made.open_p99_s, Look.DIAMONDS, Hue.TROUBLE),
            _level("failed beyond", run, SERVED_WITHIN_S),
        )

    return _Drawing(
        "opens",
        "Waiting after opening the app",
        "What people feel: from opening the app to a session, by the moment of opening, from the "
        "beginning of the story on. Who left without a session counts with the time until then.",
        "seconds",
        Scale.LOGARITHMIC,
        [lines(run) for run in runs],
    )


def _processor(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        made, at_s = run.series, run.series.at_s
        return (
            Line("busy", at_s, made.busy_share, Look.DASHED, Hue.TROUBLE),
            Line("of use", at_s, made.useful_share, Look.SOLID, Hue.GOOD),
        )

    return _Drawing(
        "processor",
        "The server's processor",
        "Of use: for sessions that came to be, and for messages. What is between the two lines was "
        "for peers who had gone, and for saying no.",
        "share of the time",
        Scale.SHARE,
        [lines(run) for run in runs],
    )


def _stages(runs: Sequence[Run]) -> _Drawing:
    def lines(run: Run) -> tuple[Line, ...]:
        if not run.stages:
            return ()
        at_s = (*(change.at_s for change in run.stages), run.ends_s)
        values = (*(change.stage for change in run.stages), run.stages[-1].stage)
        return (Line("stage", at_s, values, Look.SOLID, Hue.PUT_OFF),)

    names = ", ".join(f"{stage.value} {stage.name}" for stage in Stage)
    return _Drawing(
        "stages",
        "The server's stage",
        f"How far connects are put off: {names}. With control off there are no stages.",
        "stage",
        Scale.STAGE,
        [lines(run) for run in runs],
    )
