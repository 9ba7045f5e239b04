"""One server with its crowd: where the parts of a storm happen.

The server is on a core of its own. On the other are the two generators, background and foreground,
and this process, which only waits meanwhile.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

import trio

from hwangso_protocol.hello import Intent
from hwangso_server.administration import RemoteAdministration
from hwangso_server.admission import Stage
from hwangso_server.folder import DataFolder
from hwangso_tools.bench.lines import BenchFailed
from hwangso_tools.bench.logins import IN_FLIGHT
from hwangso_tools.bench.runs import SEED
from hwangso_tools.bench.storm.figures import Shares, Storm
from hwangso_tools.bench.storm.generator import Generator, generator
from hwangso_tools.bench.storm.pipe import Begin, Connect, Connected
from hwangso_tools.bench.storm.plan import (
    SET_UP,
    SOMEBODY_WAITS,
    HeldTicket,
    Outcome,
    Patience,
    Start,
    at_once,
)
from hwangso_tools.bench.storm.shares import CpuLog, core_busy, process_cpu
from hwangso_tools.childserver import ChildServer, child_server
from hwangso_tools.machine import Cores

KEEPALIVE_S: Final = 3_600
"""Idle devices say nothing for as long as this takes: a crowd's pings are no part of a storm."""

BEGIN_IN_S: Final = 0.5
"""From an order to its time: both generators have read it by then."""

NEVER_AFTER_S: Final = 30.0
"""People whose app is not ready so long after the last of them opened it never got in."""

BACK_WITHIN_S: Final = 60.0
"""The crowd's time to come back, as in the comparison with other servers."""

SET_UP_WITHIN_S: Final = 120.0
CALM_WITHIN_S: Final = 180.0
"""For the stage to come back to NORMAL after a storm."""
STAGE_LOOK_S: Final = 0.5

SPARE_KEYS: Final = 2
"""Key pairs made before the cut, for each device: those of its second and third attempt."""


class Site:
    """A running server and its generators. Made by `site`."""

    def __init__(
        self,
        server: ChildServer,
        background: Generator,
        foreground: Generator,
        devices: int,
        rng: Random,
        cores: Cores | None,
    ) -> None:
        self.server = server
        self.devices = devices
        self.is_realtime = foreground.is_realtime
        self.admin = RemoteAdministration(DataFolder(server.data).admin_socket)
        self._background = background
        self._foreground = foreground
        self._rng = rng
        self._readers = {
            "server": process_cpu(server.pid),
            "background": process_cpu(background.pid),
            "foreground": process_cpu(foreground.pid),
        }
        if cores is not None:
            self._readers["server_core"] = core_busy(cores.server)
            self._readers["generator_core"] = core_busy(cores.generator)

    async def gather(self) -> None:
        """Have the whole crowd connected, a few at a time."""
        begin_s = time.monotonic()
        starts = at_once(range(self.devices), self._rng)
        order = Connect(begin_s, begin_s + SET_UP_WITHIN_S, starts, SET_UP, in_flight_max=IN_FLIGHT)
        outcome = (await self._background.connect(order)).outcome
        if outcome.never_s:
            raise BenchFailed(f"{len(outcome.never_s)} devices could not connect before the storm")

    async def wait_until_calm(self) -> None:
        """Until the server is in stage NORMAL. Raises BenchFailed if it stays in another."""
        stage = Stage.NORMAL
        with trio.move_on_after(CALM_WITHIN_S):
            while True:
                admission = (await self.admin.status()).admission
                stage = Stage.NORMAL if admission is None else admission.stage
                if stage is Stage.NORMAL:
                    return
                await trio.sleep(STAGE_LOOK_S)
        raise BenchFailed(f"the server stays in stage {stage.name} although nothing happens")

    async def open_apps(self, starts: Sequence[Start]) -> Outcome:
        """People open the app, and the crowd is idle. They close it when all are done."""
        await self._foreground.prepare([start.device for start in starts])
        outcome = (await self._foreground.connect(self._app_opens(_soon_s(), starts))).outcome
        await self._foreground.hang_up()
        return outcome

    async def storm(
        self, starts: Sequence[Start], patience: Patience, disobedient: Sequence[int]
    ) -> Storm:
        """Cut the crowd, and let it come back while people open the app."""
        everyone = list(range(self.devices))
        await self._background.prepare(everyone, spare_keys=SPARE_KEYS * self.devices)
        await self._foreground.prepare([start.device for start in starts])
        begin_s = _soon_s()
        storm = Connect(
            begin_s,
            begin_s + BACK_WITHIN_S,
            at_once(everyone, self._rng),
            patience,
            cut=True,
            disobedient=disobedient,
        )
        answers: dict[Generator, Connected] = {}
        log = CpuLog(self._readers)

        async def order(to: Generator, what: Connect) -> None:
            answers[to] = await to.connect(what)

        async with trio.open_nursery() as logging:
            logging.start_soon(log.run)
            async with trio.open_nursery() as ordering:
                ordering.start_soon(order, self._foreground, self._app_opens(begin_s, starts))
                ordering.start_soon(order, self._background, storm)
            logging.cancel_scope.cancel()
        log.sample()
        await self._foreground.hang_up()
        crowd, people = answers[self._background], answers[self._foreground].outcome
        end_s = begin_s + crowd.outcome.quantile_s(0.99)
        shares = {name: log.share(name, begin_s, end_s) for name in self._readers}
        return Storm(crowd.outcome, people, crowd.cut_s, _shares(shares))

    def _app_opens(self, begin_s: float, starts: Sequence[Start]) -> Connect:
        last_s = begin_s + starts[-1].after_s if starts else begin_s
        return Connect(begin_s, last_s + NEVER_AFTER_S, starts, SOMEBODY_WAITS)


@asynccontextmanager
async def site(
    folder: Path,
    tickets: Sequence[HeldTicket],
    devices: int,
    flags: Sequence[str],
    cores: Cores | None,
) -> AsyncIterator[Site]:
    """Run a server with these flags on a data folder, and its generators: the first `devices`
    tickets are the crowd's, the others are for people who open the app."""
    arguments = ["--data", folder.name, "--log-level", "warning"]
    arguments += ["--keepalive-s", str(KEEPALIVE_S), *flags]
    rng = Random(SEED)
    core = cores.server if cores else None
    async with child_server(arguments, core=core, cwd=folder.parent) as server:
        host, ports = server.address.host, server.address.port
        crowd = Begin(
            host,
            ports(Intent.BACKGROUND),
            Intent.BACKGROUND,
            tickets[:devices],
            rng.getrandbits(32),
        )
        people = Begin(
            host,
            ports(Intent.FOREGROUND),
            Intent.FOREGROUND,
            tickets[devices:],
            rng.getrandbits(32),
            realtime=True,
        )
        async with (
            generator("background", crowd) as background,
            generator("foreground", people) as foreground,
        ):
            yield Site(server, background, foreground, devices, rng, cores)


def _soon_s() -> float:
    return time.monotonic() + BEGIN_IN_S


def _shares(found: Mapping[str, float]) -> Shares:
    """Without cores of their own, the processes' shares stand for those of the cores."""
    server, background, foreground = (
        found[name] for name in ("server", "background", "foreground")
    )
    return Shares(
        server,
        background,
        foreground,
        found.get("server_core", server),
        found.get("generator_core", background + foreground),
    )
