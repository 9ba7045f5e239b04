"""A world for `play` without a server: phones that connect as they are told, and keep a diary."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from tests.tools.storm.reports import BG, FG, ended, lost, ready, started

from hwangso_client.errors import NotReady
from hwangso_protocol.hello import Intent
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.place import Observe, Terms, WorkDone
from hwangso_tools.virtual.clock import run_virtual

T = TypeVar("T")

ANSWER_S = 0.1


class FakePhone:
    """Connects in ANSWER_S, whatever for, unless its world is `dead` or it has no service."""

    def __init__(self, world: "FakeWorld", number: int, observe: Observe) -> None:
        self.user = f"u{number}"
        self._world = world
        self._number = number
        self._observe = observe
        self._ready_at: float | None = None
        self._attempts = 0

    async def open_app(self, *, intended_at: float | None = None) -> None:
        self._note("open")
        if self._ready_at is None:
            await self._connect(FG)
        if self._ready_at is None:
            raise NotReady("no")
        self._observe(self._number, ready(intended_at or 0.0, trio.current_time()))

    async def leave_app(self) -> None:
        self._note("leave")
        await trio.lowlevel.checkpoint()

    async def kill_app(self) -> None:
        self._note("kill")
        await trio.lowlevel.checkpoint()
        self.disconnect()

    def wake(self) -> None:
        self._note("wake")
        self._world.nursery.start_soon(self._connect, BG)

    def post(self, to: str, body: str, *, intended_at: float | None = None) -> bytes:
        self._note(f"post to {to}")
        return b""

    def disconnect(self) -> None:
        if self._ready_at is not None:
            ready_at, self._ready_at = self._ready_at, None
            self._observe(self._number, lost(ready_at, trio.current_time()))

    async def _connect(self, intent: Intent) -> None:
        began = trio.current_time()
        self._observe(self._number, started(began, intent))
        await trio.sleep(ANSWER_S)
        if not self._world.is_dead and self._number not in self._world.without_service:
            self._ready_at = trio.current_time()
            self._observe(self._number, ended(began, self._ready_at, intent=intent))

    def _note(self, what: str) -> None:
        self._world.note(f"{what} {self._number}")


class FakeWorld:
    """See the module's docstring."""

    def __init__(self, terms: Terms, observe: Observe, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.diary: list[tuple[float, str]] = []
        """What was done, and when, in seconds since this world began."""
        self._began_at = trio.current_time()
        self.stage = Stage.NORMAL
        self.work: WorkDone | None = None
        self.is_dead = False
        self.without_service: set[int] = set()
        devices = terms.scenario.population.devices
        self.devices = [FakePhone(self, number, observe) for number in range(devices)]

    @property
    def phones(self) -> Sequence[FakePhone]:
        return self.devices

    def cut(self, device: int, *, silently: bool) -> None:
        self.note(f"cut {device}{' silently' if silently else ''}")
        self.without_service.add(device)
        self.devices[device].disconnect()

    def restore(self, device: int) -> None:
        self.note(f"restore {device}")
        self.without_service.discard(device)

    def slow_down(self, factor: float) -> None:
        self.note(f"slow down {factor:g}")

    async def restart(self, down_s: float) -> None:
        self.note(f"restart {down_s:g}")
        await trio.sleep(down_s)

    def note(self, what: str) -> None:
        self.diary.append((trio.current_time() - self._began_at, what))

    def times(self, what: str) -> list[float]:
        """When something was done."""
        return [at for at, done in self.diary if done == what]

    def count(self, beginning: str) -> int:
        """How often things that begin like this were done."""
        return sum(done.startswith(beginning) for _, done in self.diary)


class FakePlace:
    """Makes fake worlds; `world` is the last one."""

    world: FakeWorld

    def run(self, main: Callable[[], Awaitable[T]], seed: int) -> T:
        return run_virtual(main, seed=seed)

    @asynccontextmanager
    async def open(self, terms: Terms, observe: Observe) -> AsyncIterator[FakeWorld]:
        async with trio.open_nursery() as nursery:
            self.world = FakeWorld(terms, observe, nursery)
            yield self.world
            nursery.cancel_scope.cancel()
