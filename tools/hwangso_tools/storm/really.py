"""A storm on real sockets: `hwangso serve` as a child process, and phones in this one, on loopback.

One machine's server serves hundreds of thousands of phones, so a thousand of them are no storm for
it. It is made smaller on purpose: `--slowed-to` lets each piece of work take as long as on the
modelled processor of virtual time.
"""

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import trio

from hwangso_client.address import ServerAddress
from hwangso_client.config import DeviceConfig
from hwangso_client.device import Device
from hwangso_client.network import TcpNetwork
from hwangso_client.profile import MemoryProfile, ProfileState, ResumeCredentials
from hwangso_server.accounts import AdministrationError
from hwangso_server.administration import RemoteAdministration
from hwangso_server.admission.stage import Stage
from hwangso_server.folder import DataFolder
from hwangso_tools.bench.fixture import Fixture, make_fixture
from hwangso_tools.bench.storm.tickets import LIFETIME_MS, issue_tickets
from hwangso_tools.childserver import ChildServer, child_server
from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.machine import raise_descriptor_limit
from hwangso_tools.storm.place import Observe, Terms, WorkDone
from hwangso_tools.storm.scenario import Slowdown
from hwangso_tools.storm.virtually import backoff
from hwangso_tools.swarm.saturation import Load, SaturationWatch

T = TypeVar("T")

STAGE_LOOK_S: Final = 0.1
"""How often the server is asked for its stage."""


class RealPlace:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.load = Load()
        """How busy this process, which has the phones, was in all runs."""

    def run(self, main: Callable[[], Awaitable[T]], seed: int) -> T:
        """Run Trio on the real clock: the seed gives the same people, not the same run."""
        raise_descriptor_limit()
        return trio.run(main)

    @asynccontextmanager
    async def open(self, terms: Terms, observe: Observe) -> AsyncIterator["RealWorld"]:
        """A server, and phones that it knows. Raises CommandError."""
        if any(isinstance(event, Slowdown) for event in terms.scenario.event):
            raise CommandError(
                "--real: this scenario slows the server down on the way, which only the modelled "
                "processor of --virtual can"
            )
        with tempfile.TemporaryDirectory(prefix="hwangso-storm-") as folder:
            data = Path(folder) / "data"
            fixture = await make_fixture(data, terms.scenario.population.devices)
            profiles = _profiles(fixture, Random(f"{terms.seed} profiles"))
            closing, watch = trio.Event(), SaturationWatch()
            async with trio.open_nursery() as nursery:
                server = RealServer(terms, data)
                await nursery.start(server.run)
                phones = _phones(terms, profiles, TcpNetwork(server.address), observe)
                for phone in phones:
                    await nursery.start(_live, phone, closing)
                nursery.start_soon(watch.run)
                yield RealWorld(terms, server, phones)
                self.load = self.load.merged(watch.load)
                nursery.cancel_scope.cancel()


class RealServer:
    """The child process, and the next one after each restart. `address` stays the same."""

    address: ServerAddress

    def __init__(self, terms: Terms, data: Path) -> None:
        self.stage = Stage.NORMAL
        """As it was when it was asked last."""
        self._terms = terms
        self._data = data
        self._ports: list[str] = []
        self._down = trio.Event()
        self._down_s = 0.0
        self._up = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run it until cancelled."""
        while True:
            async with child_server(self.arguments()) as child, trio.open_nursery() as nursery:
                self.address = child.address
                self._ports = ports(child.address)
                self._up.set()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                nursery.start_soon(_watch, child)
                if self._terms.control:
                    nursery.start_soon(self._watch_stage, child)
                await self._down.wait()
                nursery.cancel_scope.cancel()
                await child.kill()
            await trio.sleep(self._down_s)

    async def restart(self, down_s: float) -> None:
        """Kill it; returns when it has been down for so long and listens again."""
        self._up, self._down_s = trio.Event(), down_s
        self._down.set()
        self._down = trio.Event()
        await self._up.wait()

    def arguments(self) -> list[str]:
        """For `hwangso serve`."""
        terms, phones = self._terms, self._terms.scenario.phones
        ports = self._ports or ([] if terms.control else ["--port=0"])
        return [
            f"--data={self._data}",
            f"--control={'on' if terms.control else 'off'}",
            *(f"--without={mechanism.value}" for mechanism in sorted(terms.without)),
            f"--slowed-to={terms.capacity_per_s:g}",
            f"--keepalive-s={max(1, round(phones.keepalive_s))}",
            f"--backoff-base-ms={round(phones.backoff_base_s * 1_000)}",
            f"--backoff-cap-ms={round(phones.backoff_cap_s * 1_000)}",
            *ports,
        ]

    async def _watch_stage(self, child: ChildServer) -> None:
        admin = RemoteAdministration(DataFolder(child.data).admin_socket)
        while True:
            with suppress(AdministrationError, OSError):  # busy, or just stopping
                admission = (await admin.status()).admission
                if admission is not None:
                    self.stage = admission.stage
            await trio.sleep(STAGE_LOOK_S)


class RealWorld:
    """A `place.World`."""

    def __init__(self, terms: Terms, server: RealServer, devices: Sequence[Device]) -> None:
        self.phones = devices
        self._terms = terms
        self._server = server

    @property
    def stage(self) -> Stage:
        """The server's stage, as it was a moment ago."""
        return self._server.stage

    @property
    def work(self) -> WorkDone | None:
        """Not known."""
        return None

    def cut(self, device: int, *, silently: bool) -> None:
        """The radio fails."""
        self.phones[device].radio.cut(silently=silently)

    def restore(self, device: int) -> None:
        """It works again."""
        self.phones[device].radio.restore()

    def slow_down(self, factor: float) -> None:
        """Raises RuntimeError: `RealPlace.open` refuses scenarios that need it."""
        raise RuntimeError("a real server cannot be slowed down on the way")

    async def restart(self, down_s: float) -> None:
        """Kill it, and start it again."""
        await self._server.restart(down_s)


async def _live(
    device: Device,
    closing: trio.Event,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    async with device:
        task_status.started()
        await closing.wait()


async def _watch(child: ChildServer) -> None:
    """Raises CommandError when it ends by itself."""
    code = await child.wait()
    said = child.log[-1] if child.log else "it said nothing"
    raise CommandError(
        f"the server ended by itself with exit code {code}: {said}", ExitCode.VERDICT
    )


def ports(address: ServerAddress) -> list[str]:
    """What makes the next server listen where this one does."""
    if address.foreground_port == address.background_port:
        return [f"--port={address.foreground_port}"]
    return [
        f"--foreground-port={address.foreground_port}",
        f"--background-port={address.background_port}",
    ]


def _profiles(fixture: Fixture, rng: Random) -> list[ProfileState]:
    """Of devices that have enrolled, and have a ticket to resume with."""
    expires_at_ms = round(time.time() * 1_000) + LIFETIME_MS
    return [
        ProfileState(
            server_key=fixture.server_key,
            user=identity.user_name,
            device_key=key.private_bytes_raw(),
            phase=rng.random(),
            enrolled=True,
            resume=ResumeCredentials(held.ticket, held.psk, expires_at_ms),
        )
        for identity, key, held in zip(
            fixture.identities, fixture.device_keys, issue_tickets(fixture, rng), strict=True
        )
    ]


def _phones(
    terms: Terms, profiles: Sequence[ProfileState], network: TcpNetwork, observe: Observe
) -> list[Device]:
    told, rng = terms.scenario.phones, Random(f"{terms.seed} backoff")
    devices = []
    for number, state in enumerate(profiles):
        device = Device(
            DeviceConfig(
                state.server_key,
                state.user,
                inbox_limit=0,
                connect_timeout_s=told.connect_timeout_s,
                answer_timeout_s=told.answer_timeout_s,
            ),
            network,
            profile=MemoryProfile(state),
            observer=partial(observe, number),
            rng=rng,
            backoff=backoff(terms, rng),
        )
        device.radio.latency_s = terms.scenario.network.latency_s
        devices.append(device)
    return devices
