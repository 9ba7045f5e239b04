"""Where a storm can happen: what `play` needs of a server and of phones."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hwangso_client.events import DeviceEvent
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.scenario import Scenario

T = TypeVar("T")

Observe = Callable[[int, DeviceEvent], None]
"""Hears what each device reports, with the device's number."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One run of a scenario."""

    scenario: Scenario
    control: bool
    seed: int
    without: frozenset[Mechanism] = frozenset()
    """Mechanisms of the control that are switched off."""
    speed: float = 1.0
    """So many seconds of the story pass in one of the run; `scenario` is that of the run
    (`pace`)."""

    @property
    def capacity_per_s(self) -> float:
        """Resumes a second that the server of this scenario can do."""
        return self.scenario.server.capacity_per_s * self.scenario.population.devices / 1_000


class Phone(Protocol):
    """A phone whose app is closed to begin with; `hwangso_client.device.Device` is one."""

    @property
    def user(self) -> str:
        """Whose it is."""

    async def open_app(self, *, intended_at: float | None = None) -> None:
        """Open the app; returns when there is a session. Raises NotReady."""

    async def leave_app(self) -> None:
        """Leave it."""

    async def kill_app(self) -> None:
        """Have no connection any more."""

    def wake(self) -> None:
        """Have one again."""

    def post(self, to: str, body: str, *, intended_at: float | None = None) -> bytes:
        """Write a message. Raises OutboxFull."""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Seconds of a processor since it began."""

    busy_s: float
    """All of its work."""
    live_s: float
    """For what live sessions have sent."""
    session_s: float
    """What a session costs now until it is live, when nothing goes wrong."""


class World(Protocol):
    """A server, and phones that it knows, for one run."""

    @property
    def phones(self) -> Sequence[Phone]:
        """As many as the scenario has devices."""

    @property
    def stage(self) -> Stage:
        """The server's stage, as far as it is known now."""

    @property
    def work(self) -> WorkDone | None:
        """What its processor has done so far; None where that is not known."""

    def cut(self, device: int, *, silently: bool) -> None:
        """The carrier fails for a phone: the server is not told, and neither is the phone if it
        happens `silently`."""

    def restore(self, device: int) -> None:
        """It has service again."""

    def slow_down(self, factor: float) -> None:
        """From now on the server takes `factor` times as long as it should; 1 is full speed."""

    async def restart(self, down_s: float) -> None:
        """Stop the server, drop all connections that wait for it, and start it after `down_s`."""


class Place(Protocol):
    """Makes worlds."""

    def run(self, main: Callable[[], Awaitable[T]], seed: int) -> T:
        """Run Trio, in this place's time."""

    def open(self, terms: Terms, observe: Observe) -> AbstractAsyncContextManager[World]:
        """A world for one run."""
