"""What does each mechanism of the control buy? A storm, again and again, each time without one.

A column is a figure that a mechanism can move; in all of them less is better. A mechanism that
moves none of them buys nothing in that world: what it is for does not happen there. So those that
the scenario does not ask for have a world of their own, in which the same people live.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import inf
from statistics import median
from typing import Final

import msgspec

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.experiments.trial import Finding, Trial
from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.scenario import Event, Outage, Restart, Scenario

SECONDS_MAX: Final = 1_800.0
"""The scenario is played no longer: who is not back by then has not been saved by the control."""

LIARS_SHARE: Final = 0.2
"""Of the devices, where some lie: as in the issue's goal for honest people."""

LIARS_CALM_S: Final = 10_800.0
"""Liars need a history: in three hours a phone connects by itself about eight times, and the
foreground budget has room for five or six claims."""

RESTART: Final = Restart(at_s=0.0, down_s=120.0)
"""Nobody is there who could hand out slots, and all phones try: their back-off alone spreads them.
Then the whole crowd is in the calendar."""

FLAPS: Final = tuple(Outage(at_s=10.0 * number, share=0.1, duration_s=3.0) for number in range(60))
"""A carrier that comes and goes for ten minutes: readings pass their thresholds again and again."""

AFTERMATH_S: Final = 900.0
"""So long such a world is told."""

FULL: Final = "all on"
OFF: Final = "control off"

SAME: Final = 1.5
"""Two values that differ by less than this factor are much the same."""


class World(Enum):
    """Where a mechanism can be missed. The values are the headings of the table."""

    STORM = "the storm"
    """The scenario."""
    LIARS = f"{LIARS_SHARE:.0%} lie"
    """The scenario, where a share of the phones always claims foreground."""
    RESTART = "restart"
    """The server goes down, and is back after a while, in place of the scenario's events."""
    FLAPPING = "flapping carrier"
    """A tenth of the phones lose service every ten seconds, in place of them."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a world, and what is switched off in it."""

    without: Mechanism | None = None
    control: bool = True
    world: World = World.STORM

    @property
    def name(self) -> str:
        """As the table has it."""
        if not self.control:
            return OFF
        return FULL if self.without is None else self.without.value


ALSO: Final = {
    World.LIARS: (Mechanism.FOREGROUND_BUDGET,),
    World.RESTART: (Mechanism.RECOVERY_GOVERNOR, Mechanism.CLIENT_JITTER),
    World.FLAPPING: (Mechanism.HYSTERESIS,),
}
"""What is switched off in the other worlds: what they were made to show."""


def _lines(world: World, mechanisms: Iterable[Mechanism]) -> list[Line]:
    without = [Line(mechanism, world=world) for mechanism in mechanisms]
    return [Line(world=world), *without, Line(control=False, world=world)]


LINES: Final = (
    *_lines(World.STORM, Mechanism),
    *(line for world, mechanisms in ALSO.items() for line in _lines(world, mechanisms)),
)
"""World after world, each with everything on, with a mechanism off, and with the control off."""


def trial(line: Line, scenario: Scenario, seed: int) -> Trial:
    """One run of a line."""
    without = () if line.without is None else (line.without,)
    return Trial(_played(line.world, scenario), line.control, seed, without)


def _played(world: World, scenario: Scenario) -> Scenario:
    about, population, replace = scenario.scenario, scenario.population, msgspec.structs.replace
    seconds = min(about.seconds, SECONDS_MAX)
    events: tuple[Event, ...] = tuple(one for one in scenario.event if one.at_s < seconds)
    match world:
        case World.STORM:
            pass
        case World.LIARS:
            about = replace(about, calm_seconds=max(about.calm_seconds, LIARS_CALM_S))
            population = replace(population, liars=LIARS_SHARE)
        case World.RESTART:
            seconds, events = AFTERMATH_S, (RESTART,)
        case World.FLAPPING:
            seconds, events = AFTERMATH_S, FLAPS
    about = replace(about, seconds=seconds)
    return replace(scenario, scenario=about, population=population, event=events)


@dataclass(frozen=True, slots=True)
class Column:
    """A figure. Less is better, infinity stands for what did not happen; values that differ by less
    than `matters` are the same."""

    name: str
    value: Callable[[Finding], float]
    matters: float


def _of(get: Callable[[StormFigures], float | None]) -> Callable[[Finding], float]:
    return lambda finding: _or_never(get(finding.figures))


def _failures(figures: StormFigures) -> float:
    return 0.0 if figures.fg_success is None else 1 - figures.fg_success


def _or_never(value: float | None) -> float:
    return inf if value is None else value


COLUMNS: Final = (
    Column("fg_failures", _of(_failures), 0.005),
    Column("fg_p99_s", _of(lambda figures: figures.fg_p99_s), 0.5),
    Column("response_normal_after_s", _of(lambda figures: figures.response_normal_after_s), 20),
    Column("max_bg_wait_s", _of(lambda figures: figures.max_bg_wait_s), 20),
    Column("max_deferrals", _of(lambda figures: figures.max_deferrals), 2),
    Column("second_peak_ratio", _of(lambda figures: figures.second_peak_ratio), 0.3),
    Column("stage_changes", lambda finding: finding.stage_changes, 4),
    Column("attempts_per_device", lambda finding: finding.attempts_per_device, 1),
    Column("bg_back_after_s", lambda finding: _or_never(finding.back_after_s), 20),
)

Values = Mapping[str, float]
"""Of one line, by column."""


def values(findings: Sequence[Finding]) -> Values:
    """The medians of a line's runs."""
    return {
        column.name: median(column.value(finding) for finding in findings) for column in COLUMNS
    }


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that a line has moved."""

    column: str
    full: float
    without: float

    @property
    def is_worse(self) -> bool:
        """Without the mechanism."""
        return self.without > self.full


def differences(full: Values, without: Values) -> list[Difference]:
    """What is clearly another figure, among those of the columns."""
    found = (
        Difference(column.name, full[column.name], without[column.name])
        for column in COLUMNS
        if _differ(full[column.name], without[column.name], column.matters)
    )
    return list(found)


def _differ(one: float, other: float, matters: float) -> bool:
    low, high = sorted((one, other))
    return low < high and high - low >= matters and high > SAME * low


def full_line(line: Line, lines: Iterable[Line]) -> Line | None:
    """The line with all mechanisms in the same world; None for that line itself."""
    same = (one for one in lines if one.control and one.without is None)
    return next((one for one in same if one.world is line.world and one != line), None)
