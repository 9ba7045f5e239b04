"""A world in virtual time: one real server, any number of real phones, a network between them.

    async with virtual_world(seed=1, capacity_per_s=500) as world:
        phones = [await world.phone(f"user{n}") for n in range(1000)]
        await world.connect(phones)         # in the background, at a calm rate
        world.cut(phones)                   # the carrier fails
        await trio.sleep(600)
        world.restore(phones)
        await trio.sleep(60)
        assert all(phone.link_state is LinkState.READY for phone in phones)
        print(world.server.count("deferred.BG"), world.trace.digest())

Everything that is drawn at random follows from the seed, so under `run_virtual` with the same seed
two runs are the same, byte for byte.
"""

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio
from trio.testing import MockClock

from hwangso_client.backoff import Backoff
from hwangso_client.config import DeviceConfig
from hwangso_client.device import Device
from hwangso_client.events import Observer, ignore
from hwangso_client.nursery import open_plain_nursery
from hwangso_client.profile import Profile
from hwangso_server.config import Config, Registration
from hwangso_tools.virtual.accounts import PASSWORD, Accounts
from hwangso_tools.virtual.deliveries import TICK_S
from hwangso_tools.virtual.link import Link, LinkProfile
from hwangso_tools.virtual.network import PhoneNetwork, VirtualNetwork
from hwangso_tools.virtual.processor import ModelledProcessor
from hwangso_tools.virtual.server import EPOCH_MS, VirtualServer
from hwangso_tools.virtual.trace import Trace

CAPACITY_PER_S: Final = 1_000.0
"""Resumes a second: about what one phone network of 10,000 to 100,000 devices needs."""

CALM: Final = 0.25
"""The share of its capacity at which phones are connected to begin with, which alarms nobody."""

CONFIG: Final = Config(registration=Registration.OPEN, argon2_memory_kib=8, argon2_iterations=1)
"""The defaults of a server, with passwords that cost the tests nothing; their cost in virtual time
is the processor's."""


class World:
    """See the module's docstring. Made by `virtual_world`."""

    def __init__(
        self,
        server: VirtualServer,
        network: VirtualNetwork,
        link: LinkProfile,
        seed: int,
        nursery: trio.Nursery,
    ) -> None:
        self.server = server
        self.network = network
        self._default_link = link
        self._nursery = nursery
        self._rng = random.Random(f"{seed}/phones")
        self._accounts = Accounts(server, random.Random(f"{seed}/accounts"))
        self._links: dict[Device, Link] = {}
        self._switches: dict[Device, _Switch] = {}

    @property
    def trace(self) -> Trace:
        """All that went over the network."""
        return self.network.trace

    @property
    def processor(self) -> ModelledProcessor:
        """The server's."""
        return self.server.processor

    # Phones

    def device_config(self, user: str, name: str = "phone") -> DeviceConfig:
        """What a phone of `user` is told; change it with `dataclasses.replace`."""
        return DeviceConfig(
            self.server.keys.public, user, password=PASSWORD, device_name=name, register=True
        )

    async def phone(
        self,
        user: str,
        *,
        enrolled: bool = True,
        config: DeviceConfig | None = None,
        profile: Profile | None = None,
        link: LinkProfile | None = None,
        observer: Observer = ignore,
        backoff: Backoff | None = None,
    ) -> Device:
        """A phone, switched on, its app closed: `wake` it, or `open_app`. It has enrolled already
        and resumes, unless `enrolled` is false or it has a `profile` of before."""
        config = config or self.device_config(user)
        if profile is None and enrolled:
            profile = await self._accounts.enrolled(user, config.device_name)
        network = PhoneNetwork(self.network, self.network.link(link or self._default_link))
        device = Device(
            config,
            network,
            profile=profile,
            observer=observer,
            rng=self._rng,
            random_bytes=self._rng.randbytes,
            wall_clock=lambda: EPOCH_MS / 1000 + trio.current_time(),
            backoff=backoff,
        )
        self._links[device] = network.link
        self._switches[device] = _Switch()
        await self._nursery.start(self._live, device)
        return device

    async def switch_off(self, phone: Device) -> None:
        """Leave the device: it says Bye if it has a session."""
        switch = self._switches[phone]
        switch.off.set()
        await switch.is_off.wait()

    def link(self, phone: Device) -> Link:
        """The phone's link, to change it or to cut it in silence."""
        return self._links[phone]

    async def connect(self, phones: Sequence[Device], *, per_s: float | None = None) -> None:
        """Wake phones, so many a second, and return when each has a session, in the background.
        Calm by default: at a quarter of the server's capacity."""
        per_s = per_s or CALM * self.processor.capacity_per_s
        began_s = trio.current_time()
        for number, phone in enumerate(phones):
            await trio.sleep_until(began_s + number / per_s)
            phone.wake()
        for phone in phones:
            await phone.wait_ready()

    def cut(self, phones: Iterable[Device]) -> None:
        """The carrier fails: these phones see that they have no service, the server is not told.
        (Where nobody shall be told, cut the `link`; where a connection only breaks, see
        `Radio.handover`.)"""
        for phone in phones:
            self._links[phone].cut()
            phone.radio.cut(silently=False)

    def restore(self, phones: Iterable[Device]) -> None:
        """Service again. Each phone waits out its back-off from here."""
        for phone in phones:
            self._links[phone].restore()
            phone.radio.restore()

    async def _live(
        self, device: Device, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        switch = self._switches[device]
        async with device:
            task_status.started()
            await switch.off.wait()
        switch.is_off.set()


class _Switch:
    """A phone's."""

    __slots__ = ("is_off", "off")

    def __init__(self) -> None:
        self.off = trio.Event()
        self.is_off = trio.Event()


@asynccontextmanager
async def virtual_world(
    *,
    seed: int,
    capacity_per_s: float = CAPACITY_PER_S,
    link: LinkProfile | None = None,
    trace: Trace | None = None,
    tick_s: float = TICK_S,
    **changes: object,
) -> AsyncIterator[World]:
    """A server that does so many resumes a second, and nobody there yet. `link` is that of phones
    that are given none; with a `tick_s` of 0.005 packets arrive together more often, which makes a
    large storm a quarter faster. `changes` are keys of the server's configuration, on top of CONFIG
    (`control=Control.OFF`, `keepalive_s=60`).

    Everything stops where it is when the context is left. Raises RuntimeError where time is real.
    """
    if not isinstance(trio.lowlevel.current_clock(), MockClock):
        raise RuntimeError("a virtual world needs a clock that jumps: see run_virtual")
    network = VirtualNetwork(rng=random.Random(f"{seed}/network"), trace=trace, tick_s=tick_s)
    server = VirtualServer(
        msgspec.structs.replace(CONFIG, **changes),
        network,
        ModelledProcessor(capacity_per_s),
        random.Random(f"{seed}/server"),
    )
    async with open_plain_nursery() as nursery:
        nursery.start_soon(network.run)
        await nursery.start(server.run)
        yield World(server, network, link or LinkProfile(), seed, nursery)
        nursery.cancel_scope.cancel()
