"""What a run is doing right now, for people: live on a terminal, plain lines in a pipe."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec
import trio
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from hwangso_tools.swarm.figures import by_prefix

REFRESH_S: Final = 0.25
PLAIN_EVERY_S: Final = 2.0
"""Between two lines in a pipe, unless the phase changes."""

BAR_WIDTH: Final = 40


class Status(msgspec.Struct, frozen=True):
    """A moment of a run."""

    phase: str
    elapsed_s: float
    devices: int
    ready: int
    """Devices connected now."""
    counts: Mapping[str, int]
    """As in `figures`."""
    saturated: bool = False
    """The generator cannot keep up; what it measures is its own."""

    @property
    def logins(self) -> str:
        """Logins by kind and intent, in words."""
        found = by_prefix(self.counts, "login").items()
        return ", ".join(f"{name.replace('.', ' ')} {n:,}" for name, n in found) or "none yet"

    @property
    def messages(self) -> str:
        """Messages, in words."""
        names = ("sent", "acknowledged", "received")
        return ", ".join(f"{name} {self.counts.get(name, 0):,}" for name in names)

    @property
    def errors(self) -> int:
        """Failed attempts and refused messages."""
        return sum(by_prefix(self.counts, "error").values())


class Display(Protocol):
    """Where a run shows itself."""

    def show(self, status: Status) -> None:
        """Show this moment."""

    def say(self, line: str) -> None:
        """Write a line that stays."""


class _LiveDisplay:
    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live

    def show(self, status: Status) -> None:
        self._live.update(render(status), refresh=True)

    def say(self, line: str) -> None:
        self._console.print(line, highlight=False)


class PlainDisplay:
    """A line when the phase changes, and every PLAIN_EVERY_S."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._phase = ""
        self._next_s = 0.0

    def show(self, status: Status) -> None:
        """Write a line, if one is due."""
        if status.phase == self._phase and status.elapsed_s < self._next_s:
            return
        self._phase = status.phase
        self._next_s = status.elapsed_s + PLAIN_EVERY_S
        saturated = "; the generator is saturated" if status.saturated else ""
        self._write(
            f"{status.elapsed_s:5.1f} s  {status.phase}: {status.ready:,} of {status.devices:,} "
            f"connected; logins: {status.logins}; messages: {status.messages}; "
            f"errors {status.errors:,}{saturated}"
        )

    def say(self, line: str) -> None:
        """Write a line."""
        self._write(line)


def render(status: Status) -> Table:
    """The moment as a small table."""
    table = Table.grid(padding=(0, 2))
    table.add_row("phase", f"[bold]{status.phase}[/bold], {status.elapsed_s:.1f} s")
    table.add_row(
        "connected", ProgressBar(total=status.devices, completed=status.ready, width=BAR_WIDTH)
    )
    table.add_row("", f"{status.ready:,} of {status.devices:,} devices")
    table.add_row("logins", status.logins)
    table.add_row("messages", status.messages)
    table.add_row("errors", f"{status.errors:,}")
    if status.saturated:
        table.add_row("[bold red]saturated[/]", "this generator cannot keep up with its phones")
    return table


@contextmanager
def open_display(console: Console) -> Iterator[Display]:
    """Live on a terminal, plain lines otherwise."""
    if not console.is_terminal:
        yield PlainDisplay(lambda line: console.print(line, highlight=False, soft_wrap=True))
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _LiveDisplay(console, live)


async def show_until_cancelled(display: Display, status: Callable[[], Status]) -> None:
    """Show every REFRESH_S."""
    while True:
        display.show(status())
        await trio.sleep(REFRESH_S)
