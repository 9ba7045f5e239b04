"""Grounds of real sockets for tests: lanes on free ports, and callers.

    @both_grounds
    async def test_it(kind: Ground) -> None:
        async with place(kind) as at:
            stream, caller = await at.call()

No test sleeps. Trio's clock stands still where a test asks for `mock_clock`, so that a pause is
over when the test says so; sockets do not mind.
"""

import select
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from enum import Enum

import pytest
import trio
from tests.server.scripted import ScriptedProcessor
from tests.server.test_transport import WITHIN_S, Peer
from trio.testing import wait_all_tasks_blocked

from hwangso_protocol.hello import Intent
from hwangso_server.counts import Counts
from hwangso_server.lanes import Lane, open_lane
from hwangso_server.sockets import EpollGround, SocketCaller, SocketGround, StreamGround

FOREGROUND, BACKGROUND = Intent.FOREGROUND, Intent.BACKGROUND
LANES = (FOREGROUND, BACKGROUND)
ENDLESS_S = 1_000.0


class Ground(Enum):
    """Which of the two."""

    EPOLL = "epoll"
    STREAM = "stream"


GROUNDS = [Ground.STREAM]
if hasattr(select, "epoll"):
    GROUNDS.append(Ground.EPOLL)


class Place:
    """A ground, its lanes, and what a dispatcher would do with them."""

    def __init__(self, ground: SocketGround, lanes: Sequence[Lane], counts: Counts) -> None:
        self.ground = ground
        self.counts = counts
        self.peers: list[Peer] = []
        self._ports = {lane.intent: lane.port for lane in lanes}

    async def connect(self, lane: Intent | None, data: bytes = b"hello") -> trio.SocketStream:
        """Somebody calls, and says this at once."""
        stream = await trio.open_tcp_stream("127.0.0.1", self._ports[lane])
        await stream.send_all(data)
        return stream

    def look_around(self) -> bool:
        """The beginning of a round."""
        processor = ScriptedProcessor({})
        return self.ground.serve(processor, ENDLESS_S)

    def clean_up(self) -> None:
        """The end of a turn."""
        self.ground.clean_up(ScriptedProcessor({}), ENDLESS_S)

    async def next_caller(self, lane: Intent | None) -> SocketCaller:
        """Wait for it."""
        with trio.fail_after(WITHIN_S):
            while True:
                self.look_around()
                caller = self.ground.accept(lane)
                if caller is not None:
                    return caller
                await self.ground.wait()

    async def run_out_of_descriptors(self, lane: Intent | None) -> None:
        """Wait for somebody who cannot be accepted."""
        before = self.counts.snapshot().get("no_descriptors", 0)
        with trio.fail_after(WITHIN_S):
            while self.counts.snapshot().get("no_descriptors", 0) == before:
                await self.ground.wait()
                self.look_around()
                assert self.ground.accept(lane) is None

    async def call(
        self, lane: Intent | None = FOREGROUND
    ) -> tuple[trio.SocketStream, SocketCaller]:
        """Both ends of a connection that was accepted, and whose hello was read."""
        stream = await self.connect(lane)
        caller = await self.next_caller(lane)
        assert caller.read() == b"hello"
        return stream, caller

    async def park(self) -> tuple[trio.SocketStream, Peer]:
        """Both ends of one that was parked."""
        stream, caller = await self.call()
        transport = caller.park()
        assert transport is not None
        peer = Peer(transport)
        transport.attach(peer)
        return stream, peer

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Parked ones are served meanwhile."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_forever)
            yield
            nursery.cancel_scope.cancel()

    async def _serve_forever(self) -> None:
        while True:
            await self.ground.wait()
            self.look_around()
            self.clean_up()


@asynccontextmanager
async def place(kind: Ground, intents: Sequence[Intent | None] = LANES) -> AsyncIterator[Place]:
    counts = Counts()
    with ExitStack() as open_things:
        lanes = []
        for intent in intents:
            lanes.append(open_lane("127.0.0.1", 0, intent))
            open_things.enter_context(closing(lanes[-1].listener))
        ground: SocketGround = (
            EpollGround(lanes, counts)
            if kind is Ground.EPOLL
            else StreamGround(lanes, counts, lambda: None)
        )
        with ground:
            async with trio.open_nursery() as nursery:
                await nursery.start(ground.run)
                yield Place(ground, lanes, counts)
                nursery.cancel_scope.cancel()


both_grounds = pytest.mark.parametrize("kind", GROUNDS, ids=lambda kind: kind.value)
"""Run a test with each; its argument is `kind`."""


async def until(condition: Callable[[], bool]) -> None:
    """For what the kernel does in its own time."""
    with trio.fail_after(WITHIN_S):
        while not condition():
            await trio.lowlevel.checkpoint()


async def waits(at: Place) -> bool:
    """Whether the ground has nothing for a dispatcher."""
    returned = False

    async def wait() -> None:
        nonlocal returned
        await at.ground.wait()
        returned = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return not returned


async def settled(at: Place) -> bool:
    """The same, after the turns that there may be a reason for; there must not be many."""
    for _ in range(10):
        if await waits(at):
            return True
        at.look_around()
        for lane in at.ground.lanes:
            assert at.ground.accept(lane) is None
        at.clean_up()
    return False


async def until_readable(caller: SocketCaller) -> None:
    """Until the kernel has something to say about a caller, good or bad."""
    with trio.fail_after(WITHIN_S):
        await trio.lowlevel.wait_readable(caller._socket)
