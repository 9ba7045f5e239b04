"""The ablation on real sockets: its storms, of a server that is made slower on purpose.

A machine that plays the phones, too, measures itself when the server may use all of it. So the
server is slowed to what the scenario's has (`hwangso serve --slowed-to`), and so many times more as
the story is told faster: it is the limit, on whatever machine, and the phones' process is not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from hwangso_tools.errors import first_of
from hwangso_tools.experiments.ablation import Line, World, trial
from hwangso_tools.experiments.trial import Finding, Trial, carry_out
from hwangso_tools.storm.pace import faster
from hwangso_tools.storm.really import RealPlace
from hwangso_tools.storm.scenario import Scenario

BUSY_MAX: Final = 0.1
"""A run counts if the phones' process could keep up in all but this share of its seconds."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How a world is told where a second takes a second. Times are the story's."""

    speed: float
    seconds: float
    calm_seconds: float


TELLINGS: Final = {
    World.STORM: Telling(10.0, 300.0, 300.0),
    World.LIARS: Telling(30.0, 300.0, 5_400.0),
    World.RESTART: Telling(10.0, 420.0, 120.0),
    World.FLAPPING: Telling(5.0, 240.0, 120.0),
}
"""Trust comes back by the clock of the server, for which liars of a story told 30 times as fast
claim 30 times as often: half the history is enough."""

Findings = dict[Line, list[Finding]]
"""The runs that count."""


def measure(
    lines: Iterable[Line], scenario: Scenario, seeds: Iterable[int], say: Callable[[str], None]
) -> Findings:
    """Play all lines, one after the other; `say` hears of each run, and why it does not count.
    Raises CommandError."""
    told = list(lines)
    findings: Findings = {line: [] for line in told}
    for seed in seeds:
        for line in told:
            found, why_not = _play(real_trial(line, scenario, seed))
            if why_not is None:
                findings[line].append(found)
            outcome = "played" if why_not is None else f"does not count: {why_not}"
            say(f"{line.world.value}, {line.name}, seed {seed}: {outcome}")
    return findings


def real_trial(line: Line, scenario: Scenario, seed: int) -> Trial:
    """As in virtual time, but shorter and faster."""
    telling, replace = TELLINGS[line.world], msgspec.structs.replace
    made = trial(line, scenario, seed)
    about = replace(
        made.scenario.scenario,
        seconds=min(telling.seconds, made.scenario.scenario.seconds),
        calm_seconds=telling.calm_seconds,
        real_speed=telling.speed,
    )
    events = tuple(event for event in made.scenario.event if event.at_s < about.seconds)
    told = faster(replace(made.scenario, scenario=about, event=events))
    return replace(made, scenario=told, speed=telling.speed)


def _play(trial: Trial) -> tuple[Finding, str | None]:
    """What was found, and why it says nothing, if so."""
    place = RealPlace()
    try:
        found = carry_out(trial, place=place)
    except ExceptionGroup as group:
        raise first_of(group) from group
    load = place.load
    if load.saturated_windows <= BUSY_MAX * load.windows:
        return found, None
    return found, (
        f"the phones' process could not keep up in {load.saturated_windows} of {load.windows} "
        f"seconds (up to {load.lateness_max_ms:,.0f} ms late)"
    )
