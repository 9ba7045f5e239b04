"""How far a storm is, for people: one live line on a terminal, plain lines in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hwangso_tools.storm.play import Moment

PLAIN_EVERY_S: Final = 10.0
"""Real seconds between two lines in a pipe."""

Show = Callable[[Moment], None]


def control_name(control: bool) -> str:
    """The word for it, in all output."""
    return "control on" if control else "control off"


def clock(at_s: float) -> str:
    """A time of the scenario: `0:02:05`, `-0:10:00` before its story begins."""
    seconds = int(abs(at_s))
    sign = "-" if at_s <= -1 else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def line(moment: Moment) -> str:
    """The moment, within 80 columns."""
    if moment.at_s < -moment.calm_s:
        where = "phones connect"
    elif moment.at_s < 0:
        where = f"{clock(moment.at_s)} calm"
    else:
        where = f"{clock(moment.at_s)}/{clock(moment.end_s)}"
    stage = f"  {moment.stage.name}" if moment.control else ""
    return (
        f"{control_name(moment.control)}  {where}  {moment.sessions:,}/{moment.devices:,} "
        f"connected  {moment.connects_per_s:.1f} connects/s{stage}"
    )


@contextmanager
def open_progress(console: Console) -> Iterator[Show]:
    """Where a run shows itself."""
    if not console.is_terminal:
        plain = PlainProgress(lambda text: console.print(text, highlight=False, soft_wrap=True))
        yield plain.show
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda moment: live.update(Text(line(moment), no_wrap=True), refresh=True)


class PlainProgress:
    """A line every PLAIN_EVERY_S, by `now_s`."""

    def __init__(
        self, write: Callable[[str], None], now_s: Callable[[], float] = perf_counter
    ) -> None:
        self._write = write
        self._now_s = now_s
        self._next_s = now_s() + PLAIN_EVERY_S

    def show(self, moment: Moment) -> None:
        """Write a line, if one is due."""
        if self._now_s() >= self._next_s:
            self._next_s = self._now_s() + PLAIN_EVERY_S
            self._write(line(moment))
