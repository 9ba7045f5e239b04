"""A storm in virtual time: the real server and real phones, on a modelled processor and network."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Final, TypeVar

import hwangso_tools.virtual.world as virtual
from hwangso_client.backoff import Backoff, DecorrelatedJitter, FullJitter, NoJitter
from hwangso_client.device import Device
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.stage import Stage
from hwangso_server.config import Control
from hwangso_server.processor import SHARES_OF_A_RESUME, Work
from hwangso_tools.storm.place import Observe, Terms, WorkDone
from hwangso_tools.storm.scenario import Jitter
from hwangso_tools.virtual.clock import run_virtual
from hwangso_tools.virtual.link import LinkProfile

T = TypeVar("T")

GUARD_S: Final = 6 * 3_600.0
"""Real seconds for one run: 20,000 devices for hours take some. It is a guard against a hang."""

ONE_PORT: Final = 7744
"""A server without control has no tags, so one lane serves both intents. Any port does here."""

SESSION_SHARE: Final = SHARES_OF_A_RESUME[Work.HELLO] + SHARES_OF_A_RESUME[Work.RESUME]
"""What a session costs that resumes, as a share of what its handshake does."""


class VirtualPlace:
    """See the module's docstring."""

    def run(self, main: Callable[[], Awaitable[T]], seed: int) -> T:
        """Run Trio on a clock that jumps."""
        return run_virtual(main, seed=seed, guard_s=GUARD_S)

    @asynccontextmanager
    async def open(self, terms: Terms, observe: Observe) -> AsyncIterator["VirtualWorld"]:
        """A server, and phones that it knows."""
        phones, network = terms.scenario.phones, terms.scenario.network
        async with virtual.virtual_world(
            seed=terms.seed,
            capacity_per_s=terms.capacity_per_s,
            link=LinkProfile(network.latency_s, network.jitter_s, network.loss),
            control=Control.ON if terms.control else Control.OFF,
            port=None if terms.control else ONE_PORT,
            without=tuple(sorted(terms.without)),
            keepalive_s=round(phones.keepalive_s),
            backoff_base_ms=round(phones.backoff_base_s * 1_000),
            backoff_cap_ms=round(phones.backoff_cap_s * 1_000),
        ) as world:
            rng = Random(f"{terms.seed} backoff")
            devices = [
                await _phone(world, terms, number, observe, rng)
                for number in range(terms.scenario.population.devices)
            ]
            yield VirtualWorld(world, devices)


async def _phone(
    world: virtual.World, terms: Terms, number: int, observe: Observe, rng: Random
) -> Device:
    phones, user = terms.scenario.phones, f"u{number}"
    config = dataclasses.replace(
        world.device_config(user),
        inbox_limit=0,
        connect_timeout_s=phones.connect_timeout_s,
        answer_timeout_s=phones.answer_timeout_s,
    )
    return await world.phone(
        user, config=config, observer=partial(observe, number), backoff=backoff(terms, rng)
    )


def backoff(terms: Terms, rng: Random) -> Backoff:
    """How a phone of this run waits between two tries."""
    jitter = terms.scenario.phones.jitter
    if jitter is Jitter.NONE or Mechanism.CLIENT_JITTER in terms.without:
        return NoJitter()
    return DecorrelatedJitter(rng) if jitter is Jitter.DECORRELATED else FullJitter(rng)


class VirtualWorld:
    """A `place.World`."""

    def __init__(self, world: virtual.World, devices: Sequence[Device]) -> None:
        self.phones = devices
        self._world = world
        self._session_s = 0.0
        self.slow_down(1.0)

    @property
    def stage(self) -> Stage:
        """The server's stage now."""
        return self._world.server.core.admission.stage

    @property
    def work(self) -> WorkDone:
        """That of the modelled processor."""
        busy_s = self._world.processor.busy_s
        return WorkDone(sum(busy_s.values()), busy_s[Work.SEGMENT], self._session_s)

    def cut(self, device: int, *, silently: bool) -> None:
        """Nothing passes any more."""
        phone = self.phones[device]
        if silently:
            self._world.link(phone).cut()
        else:
            self._world.cut([phone])

    def restore(self, device: int) -> None:
        """It does again."""
        self._world.restore([self.phones[device]])

    def slow_down(self, factor: float) -> None:
        """The processor takes so many times as long."""
        processor = self._world.processor
        processor.slow_down(factor)
        self._session_s = factor * SESSION_SHARE / processor.capacity_per_s

    async def restart(self, down_s: float) -> None:
        """All connections are reset, and nobody listens for so long."""
        await self._world.server.restart(down_s)
