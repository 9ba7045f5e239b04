"""What does each mechanism of the control buy? One storm, again and again, each time without one.

A column is a figure that a mechanism can move; in all of them less is better. A mechanism that
moves none of them buys nothing here: either the scenario has no use for it, or nothing has.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Final

import msgspec

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.experiments.trial import Finding, Trial
from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.scenario import Scenario

SECONDS_MAX: Final = 1_800.0
"""The scenario is played no longer: who is not back by then has not been saved by the control."""

LIARS_SHARE: Final = 0.2
"""Of the devices, where some lie: as in the issue's goal for honest people."""

LIARS_CALM_S: Final = 10_800.0
"""Liars need a history: in three hours a phone connects by itself about eight times, and the
foreground budget has room for five or six claims."""

FULL: Final = "all on"
OFF: Final = "control off"

SAME: Final = 1.5
"""Two values that differ by less than this factor are much the same."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a world, and what is switched off in it."""

    without: Mechanism | None = None
    control: bool = True
    liars: bool = False

    @property
    def name(self) -> str:
        """As the table has it."""
        if not self.control:
            return OFF
        return FULL if self.without is None else self.without.value


LINES: Final = (
    Line(),
    *(Line(mechanism) for mechanism in Mechanism),
    Line(control=False),
    Line(liars=True),
    Line(Mechanism.FOREGROUND_BUDGET, liars=True),
    Line(control=False, liars=True),
)
"""Liars have lines of their own: without them the foreground budget has nothing to do, and with
them nothing else can be told apart."""


def trial(line: Line, scenario: Scenario, seed: int) -> Trial:
    """One run of a line."""
    about, population, replace = scenario.scenario, scenario.population, msgspec.structs.replace
    if line.liars:
        about = replace(about, calm_seconds=max(about.calm_seconds, LIARS_CALM_S))
        population = replace(population, liars=LIARS_SHARE)
    seconds = min(about.seconds, SECONDS_MAX)
    played = replace(
        scenario,
        scenario=replace(about, seconds=seconds),
        population=population,
        event=tuple(event for event in scenario.event if event.at_s < seconds),
    )
    without = () if line.without is None else (line.without,)
    return Trial(played, line.control, seed, without)


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
    return next((one for one in same if one.liars == line.liars and one != line), None)
