"""Where does a crowd come back by itself, and where does the outage outlive its trigger?

A metastable failure (Bronson and others, HotOS '21; the story of 2016) needs a trigger of some
size, and then stays when the trigger is gone. The trigger here is a carrier's outage: for a share
of the phones, for some time. Each cell of the map is one run in virtual time of people and phones
as on any day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from hwangso_tools.experiments.trial import Trial
from hwangso_tools.storm.scenario import About, Outage, Population, Scenario

SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the phones."""

DURATIONS_S: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0)

BOUND_S: Final = 1_200.0
"""A crowd that is not back so long after the trigger counts as collapsed. All phones, one after the
other, are 67 s of work for the server."""

CALM_S: Final = 60.0
"""Before the outage; nothing is compared with it."""

DEVICES: Final = 100
"""The server's capacity goes with them, so that a larger crowd gives much the same map."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A place on the map."""

    control: bool
    duration_s: float
    share: float


BackAfter = Mapping[Cell, float | None]
"""Seconds from the end of the outage until the crowd is back (see `Finding`); None: collapsed."""


def cells(shares: Sequence[float], durations_s: Sequence[float]) -> list[Cell]:
    """Those of the map without control, then those of the map with it."""
    return [Cell(*place) for place in product((False, True), durations_s, shares)]


def trial(cell: Cell, devices: int, seed: int, *, told: bool) -> Trial:
    """The run that fills a cell. `told`: phones know that they have no service, lose their
    connections at once, and try again when there is service."""
    outage = Outage(at_s=0.0, share=cell.share, duration_s=cell.duration_s, silently=not told)
    about = About(
        name="stability",
        title="One cell of a stability map",
        about="A carrier fails, and is back.",
        seconds=cell.duration_s + BOUND_S,
        calm_seconds=CALM_S,
    )
    scenario = Scenario(about, population=Population(devices=devices), event=(outage,))
    return Trial(scenario, cell.control, seed)
