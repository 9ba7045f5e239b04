"""A trial: one run of a scenario, and what an experiment wants to know of it."""

from collections.abc import Callable
from typing import Final

import msgspec

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.storm.figures import HOLDS_S, StormFigures, figures
from hwangso_tools.storm.place import Place, Terms
from hwangso_tools.storm.play import Moment
from hwangso_tools.storm.recording import Recording
from hwangso_tools.storm.run import run
from hwangso_tools.storm.scenario import Scenario
from hwangso_tools.storm.virtually import VirtualPlace

WAITING_SHARE: Final = 0.01
"""The crowd is back when no more of the phones than this, or a single one, wait for a session that
nobody but they themselves want. On a calm day it is a tenth of that."""


class Trial(msgspec.Struct, frozen=True):
    """What to run."""

    scenario: Scenario
    control: bool
    seed: int
    without: tuple[Mechanism, ...] = ()
    speed: float = 1.0
    """See `Terms`."""


class Finding(msgspec.Struct, frozen=True):
    """What it came to."""

    figures: StormFigures
    attempts_per_device: float
    """From the first event to the end."""
    stage_changes: int
    """In the same time: each tells every session anew what it may do."""
    back_after_s: float | None
    """From the end of the triggers until the crowd is back, and stays so for HOLDS_S; None if that
    did not happen."""


def carry_out(
    trial: Trial, show: Callable[[Moment], None] = lambda _: None, place: Place | None = None
) -> Finding:
    """Run it in this process, in virtual time or in another place. `show` is called four times a
    second."""
    without = frozenset(trial.without)
    terms = Terms(trial.scenario, trial.control, trial.seed, without, trial.speed)
    recording = run(place or VirtualPlace(), terms, show)
    return Finding(
        figures(recording),
        attempts_per_device(recording),
        stage_changes(recording),
        back_after_s(recording),
    )


def attempts_per_device(recording: Recording) -> float:
    """Connects from the first event on, for whatever reason."""
    first = recording.index(recording.first_event_s)
    connects = recording.series.connects.values()
    return sum(sum(counts[first:]) for counts in connects) / recording.devices


def stage_changes(recording: Recording) -> int:
    """See `Finding`."""
    return sum(change.at_s >= recording.first_event_s for change in recording.stages)


def back_after_s(recording: Recording) -> float | None:
    """See `Finding`."""
    waiting, limit = recording.series.waiting, max(1, WAITING_SHARE * recording.devices)
    begin = recording.index(recording.triggers_end_s)
    back_from = begin
    for place in range(begin, recording.series.seconds):
        if waiting[place] > limit:
            back_from = place + 1
        elif place + 1 - back_from >= HOLDS_S:
            return float(back_from - begin)
    return None
