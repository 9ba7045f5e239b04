"""One run of a scenario in a place, with its progress shown."""

from time import perf_counter
from typing import Final

import trio

from hwangso_tools.storm.place import Place, Terms
from hwangso_tools.storm.play import Play
from hwangso_tools.storm.progress import Show
from hwangso_tools.storm.recording import Recording

SHOWN_EVERY_S: Final = 0.25
"""Real seconds between two moments that are shown."""

TURNS_PER_LOOK: Final = 50
"""Turns of Trio's loop between two looks at the real clock: a few milliseconds in a storm."""


def run(place: Place, terms: Terms, show: Show) -> Recording:
    """Play the scenario once."""

    async def main() -> Recording:
        play = Play(terms)
        async with place.open(terms, play.take) as world:
            watch = _Watch(play, show)
            trio.lowlevel.add_instrument(watch)
            try:
                return await play.run(world)
            finally:
                trio.lowlevel.remove_instrument(watch)

    return place.run(main, terms.seed)


class _Watch(trio.abc.Instrument):
    """Shows how far the run is, by the real clock: the run's own may be virtual, and has no timer
    for that."""

    def __init__(self, play: Play, show: Show) -> None:
        self._play = play
        self._show = show
        self._turns = 0
        self._next_s = 0.0

    def before_io_wait(self, timeout: float) -> None:
        """Trio calls this in each turn of its loop."""
        self._turns += 1
        if self._turns % TURNS_PER_LOOK == 0 and perf_counter() >= self._next_s:
            self._next_s = perf_counter() + SHOWN_EVERY_S
            self._show(self._play.moment())
