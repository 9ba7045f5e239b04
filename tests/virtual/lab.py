"""A virtual network under the microscope: one link, and a machine that a test plays the server of.

@virtually
async def test_it() -> None:
    async with open_lab() as lab:
        stream = await lab.connect()        # LATENCY_S one way, no jitter
        await stream.send_all(b"hello")
        caller = await lab.caller()
        assert caller.read() == b"hello"
"""

import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, ParamSpec

import trio
import trio.testing

from hwangso_client.nursery import open_plain_nursery
from hwangso_protocol.hello import Intent
from hwangso_server.processor import Work
from hwangso_tools.virtual.clock import run_virtual
from hwangso_tools.virtual.ground import ParkedConnection, VirtualCaller, VirtualGround
from hwangso_tools.virtual.link import Link, LinkProfile
from hwangso_tools.virtual.network import VirtualNetwork
from hwangso_tools.virtual.processor import ModelledProcessor
from hwangso_tools.virtual.stream import VirtualStream
from hwangso_tools.virtual.trace import Trace

P = ParamSpec("P")

LATENCY_S: Final = 0.05
FLAT: Final = LinkProfile(LATENCY_S, jitter_s=0.0)
LANES: Final = (Intent.FOREGROUND, Intent.BACKGROUND)
SECONDS_MAX: Final = 100.0
"""Real ones, for one test: a guard against a hang, just before pytest-timeout's."""


def virtually(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an async test in virtual time, as an ordinary function; it may take fixtures."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(lambda: test(*args, **kwargs), seed=1, guard_s=SECONDS_MAX)

    return run


class FussyLink(Link):
    """A link that loses the packets with these numbers, counted as they arrive, from 1."""

    def __init__(self, profile: LinkProfile, lost: Iterable[int]) -> None:
        super().__init__(profile, random.Random(1))
        self.lost = set(lost)
        self.arrivals = 0

    def passes(self) -> bool:
        self.arrivals += 1
        return super().passes() and self.arrivals not in self.lost


class Ears:
    """A receiver that writes down what it is told."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = 0

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self) -> None:
        self.lost += 1


class Lab:
    """See the module's docstring. Made by `open_lab`."""

    def __init__(self, network: VirtualNetwork, link: Link) -> None:
        self.network = network
        self.link = link
        self.ground = VirtualGround(network, LANES)
        self.processor = ModelledProcessor(1_000, dict.fromkeys(Work, 1.0))
        """Every piece of work takes a millisecond."""

    @property
    def lines(self) -> list[str]:
        """What went over the network."""
        return list(self.network.trace.lines())

    async def connect(self, lane: Intent = Intent.FOREGROUND) -> VirtualStream:
        """A connection of the one phone."""
        return await self.network.connect(self.link, lane)

    async def caller(self, lane: Intent = Intent.FOREGROUND) -> VirtualCaller:
        """The next caller of that lane. Nobody else may have anything for the ground."""
        while True:
            caller = self.ground.accept(lane)
            if caller is not None:
                return caller
            await self.ground.wait()

    async def call(self, hello: bytes = b"hello") -> tuple[VirtualStream, VirtualCaller]:
        """A connection, and its other end, accepted when its first bytes were there."""
        stream = await self.connect()
        await stream.send_all(hello)
        return stream, await self.caller()

    async def park(self) -> tuple[VirtualStream, ParkedConnection, Ears]:
        """A connection, its other end parked, and what that hears. The hello is read."""
        stream, caller = await self.call()
        caller.read()
        parked, ears = caller.park(), Ears()
        parked.attach(ears)
        return stream, parked, ears

    def serve(self, until_s: float = 1.0) -> bool:
        """One turn of the ground, live sessions only."""
        self.processor.begin()
        return self.ground.serve(self.processor, until_s)

    def clean_up(self, until_s: float = 1.0) -> None:
        """One turn of the ground, hang-ups only."""
        self.processor.begin()
        self.ground.clean_up(self.processor, until_s)


@asynccontextmanager
async def open_lab(
    *, profile: LinkProfile = FLAT, link: Link | None = None, backlog: int = 16
) -> AsyncIterator[Lab]:
    """A machine that listens on both lanes, and a link to it."""
    network = VirtualNetwork(rng=random.Random(1), trace=Trace(lines_kept=10_000), backlog=backlog)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(network.run)
        yield Lab(network, link or network.link(profile))
        nursery.cancel_scope.cancel()


async def at(seconds: float) -> None:
    """Go on at that time of the run, when the network has delivered what is due by then."""
    await trio.sleep_until(seconds)
    await trio.testing.wait_all_tasks_blocked()
