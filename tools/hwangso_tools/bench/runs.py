"""One run of each measurement, repetition, and medians.

A run starts from a fresh data folder and a fresh server. Each figure is the median over the runs
that count, taken figure by figure; ratios are formed within one run.
"""

import gc
import random
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from hwangso_server.administration import RemoteAdministration
from hwangso_server.admission import Stage
from hwangso_server.folder import DataFolder
from hwangso_tools.bench.fixture import Fixture, make_fixture
from hwangso_tools.bench.idle import WARM_UP, Idle, stable_memory
from hwangso_tools.bench.lines import Lines
from hwangso_tools.bench.logins import connect_all, login_connections, resume_connections
from hwangso_tools.bench.messages import Pairs
from hwangso_tools.bench.meter import Usage, wait_quiet
from hwangso_tools.bench.primitives import cost_of_resume_s
from hwangso_tools.childserver import ChildServer, child_server
from hwangso_tools.machine import Cores, pinned, raise_descriptor_limit, separate_cores

BUSY_SHARE: Final = 0.9
"""Of its core: from here on a process is the bottleneck."""

PINNED_S: Final = 600.0
"""The stage is pinned while something is measured; no measurement takes so long."""

SEED: Final = 2017
"""Of the open loop's sending times: the same in each run."""


class Kind(Enum):
    """What is measured."""

    LOGIN = "login"
    RESUME = "resume"
    IDLE = "idle"
    MESSAGE = "message"


class Limit(Enum):
    """What a saturating run was limited by."""

    SERVER = "server"
    GENERATOR = "generator"
    DISTURBED = "disturbed"
    """Neither, where nothing but a processor can be the limit: something else used the cores."""
    DISK = "disk"
    """Neither, where each message waits for the disk: the disk, or something else on the cores."""


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of one run; `limit` is None where nothing was saturated."""

    figures: Mapping[str, float]
    limit: Limit | None = None

    @property
    def counts(self) -> bool:
        """A run limited by the generator, or by strangers, says nothing about the server."""
        return self.limit not in (Limit.GENERATOR, Limit.DISTURBED)


@dataclass(frozen=True, slots=True)
class Place:
    """What a run works with: a data folder to make, so many devices, and the cores to run on."""

    folder: Path
    devices: int
    cores: Cores | None


Measure = Callable[[Place], Awaitable[Run]]
"""One run of one kind."""

DEVICES: Final[Mapping[Kind, int]] = {
    Kind.LOGIN: 5_000,
    Kind.RESUME: 5_000,
    Kind.IDLE: 10_000,
    Kind.MESSAGE: 1_000,
}
"""Connections of a run; 1,000 make 500 pairs."""


def limit_of(usage: Usage, neither: Limit) -> Limit:
    """What a saturating phase was limited by; `neither`, if by neither server nor generator."""
    if usage.server_share >= BUSY_SHARE:
        return Limit.SERVER
    return Limit.GENERATOR if usage.generator_share >= BUSY_SHARE else neither


async def repeat(
    measure: Measure, runs: int, work: Path | None, devices: int, tell: Callable[[int, Run], None]
) -> list[Run]:
    """Measure `runs` times, each time in a new folder inside `work`; `tell` hears of each run."""
    raise_descriptor_limit()
    cores = separate_cores()
    done: list[Run] = []
    with pinned(cores.generator if cores else None), _quiet_collector():
        for number in range(1, runs + 1):
            with tempfile.TemporaryDirectory(prefix="hwangso-bench-", dir=work) as folder:
                run = await measure(Place(Path(folder) / "data", devices, cores))
            done.append(run)
            tell(number, run)
    return done


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """Each figure's median over the runs that count; empty if none does."""
    counted = [run for run in runs if run.counts]
    names = counted[0].figures if counted else ()
    return {name: statistics.median(run.figures[name] for run in counted) for name in names}


async def _login(place: Place) -> Run:
    async with _server(place) as (server, fixture):
        with closing(Lines(server.address)) as lines:
            usage = connect_all(lines, login_connections(fixture), server.pid).usage
    figures = {"login_per_s": place.devices / usage.elapsed_s}
    return Run(figures | _cpu(usage, place.devices, "login"), limit_of(usage, Limit.DISTURBED))


async def _resume(place: Place) -> Run:
    async with _server(place) as (server, fixture):
        with closing(Lines(server.address)) as lines:
            welcomes = connect_all(lines, login_connections(fixture), server.pid).welcomes
        wait_quiet(server.pid)
        with closing(Lines(server.address)) as lines:
            usage = connect_all(lines, resume_connections(welcomes), server.pid).usage
        wait_quiet(server.pid)
        with pinned(place.cores.server if place.cores else None):
            primitives_s = cost_of_resume_s()
    figures = {
        "resume_per_s": place.devices / usage.elapsed_s,
        "resume_crypto_share": primitives_s / (usage.server_cpu_s / place.devices),
        "resume_crypto_us": primitives_s * 1e6,
    }
    return Run(figures | _cpu(usage, place.devices, "resume"), limit_of(usage, Limit.DISTURBED))


async def _idle(place: Place) -> Run:
    async with _server(place) as (server, fixture):
        connections = login_connections(fixture)
        with closing(Lines(server.address)) as lines:
            connect_all(lines, login_connections(fixture)[:WARM_UP], server.pid)
        before = stable_memory(server.pid)
        with closing(Lines(server.address)) as lines:
            connect_all(lines, connections, server.pid)
            idle = Idle(place.devices, before, stable_memory(server.pid))
    return Run(
        {
            "idle_bytes_per_connection": idle.bytes_per_connection,
            "resident_before_bytes": idle.before_bytes,
            "resident_after_bytes": idle.after_bytes,
        }
    )


async def _message(place: Place) -> Run:
    async with _server(place) as (server, fixture):
        with closing(Lines(server.address)) as lines:
            connect_all(lines, login_connections(fixture), server.pid)
            pairs = Pairs(lines, sorted(lines, key=lambda line: line.number), server.pid)
            saturated = pairs.saturate()
            usage = saturated.usage
            rate_per_s = saturated.messages / usage.elapsed_s
            open_loop = pairs.open_loop(rate_per_s / 2, random.Random(SEED))
    figures = {
        "messages_per_s": rate_per_s,
        "delivery_p50_ms": open_loop.delivery.percentile_ms(50) or 0.0,
        "delivery_p99_ms": open_loop.delivery.percentile_ms(99) or 0.0,
        "delivery_max_ms": open_loop.delivery.max_ms() or 0.0,
        "generator_lateness_p99_ms": open_loop.lateness.percentile_ms(99) or 0.0,
        "open_loop_per_s": open_loop.rate_per_s,
    }
    return Run(figures | _cpu(usage, saturated.messages, "message"), limit_of(usage, Limit.DISK))


RUNS: Final[Mapping[Kind, Measure]] = {
    Kind.LOGIN: _login,
    Kind.RESUME: _resume,
    Kind.IDLE: _idle,
    Kind.MESSAGE: _message,
}


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Give back to the garbage collector what the measurements hid from it."""
    try:
        yield
    finally:
        gc.unfreeze()


@asynccontextmanager
async def _server(place: Place) -> AsyncIterator[tuple[ChildServer, Fixture]]:
    fixture = await make_fixture(place.folder, place.devices)
    arguments = ["--data", place.folder.name, "--log-level", "warning"]
    core = place.cores.server if place.cores else None
    async with child_server(arguments, core=core, cwd=place.folder.parent) as server:
        # 64 in flight are a queue that never empties: the control would rightly put some of it off.
        admin = RemoteAdministration(DataFolder(server.data).admin_socket)
        await admin.set_stage(Stage.NORMAL, PINNED_S)
        yield server, fixture


def _cpu(usage: Usage, operations: int, name: str) -> dict[str, float]:
    return {
        f"{name}_server_cpu_us": usage.server_cpu_s / operations * 1e6,
        "server_cpu_share": usage.server_share,
        "generator_cpu_share": usage.generator_share,
    }
