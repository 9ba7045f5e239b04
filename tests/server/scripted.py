"""What a dispatcher is given in place of the outside: a ground and a processor with a script.

    async with dispatching() as scene:
        scene.ground.call(Intent.BACKGROUND, "crowd", number=100)
        (person,) = scene.ground.call(Intent.FOREGROUND, "person", at_s=0.01)
        await scene.until_idle()
        assert person.waited_for_s < 0.002

Time is the processor's: it passes while work is done, by what each piece costs, and while the
dispatcher waits, up to the next thing in the script. The core is the real one, and so are its
handshakes: callers say the hello of a phone that enrols, all with the same intent the same one.
Give the test the argument `mock_clock`: Trio's own time stands still.
"""

import random
from bisect import insort
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import NamedTuple

import trio
from tests.server.fakes import FakeTransport, ScriptedAdmission, static_key
from tests.server.harness import EPOCH_MS, Server, running_server

from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Enrol
from hwangso_server.admission import Admit, Arrival, Decision
from hwangso_server.dispatcher import Dispatcher, Order, Turn
from hwangso_server.environment import Clock, Environment
from hwangso_server.processor import Processor, Work
from hwangso_server.transport import Receiver

HELLO_S = 60e-6
DEFER_S = 40e-6
HANG_UP_S = 50e-6
HANDSHAKE_S = 500e-6
SEGMENT_S = 100e-6
COSTS_S: Mapping[Work, float] = {
    Work.HELLO: HELLO_S,
    Work.DEFER: DEFER_S,
    Work.HANG_UP: HANG_UP_S,
    Work.ENROL: HANDSHAKE_S,
    Work.LOGIN: HANDSHAKE_S,
    Work.RESUME: HANDSHAKE_S,
    Work.SEGMENT: SEGMENT_S,
}
"""About what the real work costs (design, section 10)."""

LANES = (Intent.FOREGROUND, Intent.BACKGROUND)
SINGLE_PORT = (None,)
ROOM_FOR_ALL = 100_000
SERVER_KEY = static_key(0x5E).public_key().public_bytes_raw()
"""Of `FixedKeys`."""


@cache
def hello_of(intent: Intent) -> bytes:
    """A phone that enrols."""
    enrol = Enrol("alice", "correct horse", "phone", bytes(32))
    rng = random.Random(intent.value)
    connection = ClientConnection(EnrolWith(SERVER_KEY, enrol), Attempt(intent), rng.randbytes)
    return connection.data_to_send()


class ScriptedProcessor:
    """Each piece of work takes so many seconds; what is not named takes none."""

    def __init__(self, costs_s: Mapping[Work, float] = COSTS_S) -> None:
        self.now_s = 0.0
        self.done: list[Work] = []
        self.turns_s: list[float] = []
        """How long each turn was that is over."""
        self.gave_way = 0
        self._costs_s = costs_s
        self._began_s = 0.0

    def begin(self) -> None:
        self._began_s = self.now_s

    def charge(self, work: Work) -> None:
        self.done.append(work)
        self.now_s += self._costs_s.get(work, 0.0)

    def spent_s(self) -> float:
        return self.now_s - self._began_s

    def give_way(self) -> None:
        self.gave_way += 1

    async def settle(self) -> None:
        self.turns_s.append(self.spent_s())


class Happened(NamedTuple):
    """Something was begun."""

    what: str
    """`live`, `hello`, `look`, `handshake`, `hang-up`."""
    name: str
    at_s: float


class ParkedFake(FakeTransport):
    """A FakeTransport as a ground makes it; `sent` is what the peer got."""

    def __init__(self) -> None:
        self.sent = bytearray()
        super().__init__(self.sent.extend)

    def attach(self, receiver: Receiver) -> None:
        self.receiver = receiver


class ScriptedCaller:
    """A Caller who says `first`, and hangs up at `gone_at_s`."""

    def __init__(
        self, ground: "ScriptedGround", name: str, first: bytes | None, at_s: float
    ) -> None:
        self._ground = ground
        self.name = name
        self.first = first
        self.at_s = at_s
        self.gone_at_s = inf
        self.begun_s: float | None = None
        """When its handshake was begun."""
        self.transport: ParkedFake | None = None
        """Once it is parked."""
        self.heard = b""
        """A last answer."""
        self.is_closed = False
        self.has_room = True
        """Whether it can be parked."""
        self._accepted_s = at_s

    @property
    def waited_for_s(self) -> float:
        """From the hello to the handshake, which must have been begun."""
        assert self.begun_s is not None, self.name
        return self.begun_s - self.at_s

    def accepted(self) -> None:
        self._accepted_s = self._ground.note("hello", self.name)

    @property
    def waited_s(self) -> float:
        return self._accepted_s - self.at_s

    def read(self) -> bytes | None:
        return self.first

    def is_gone(self) -> bool:
        return self._ground.note("look", self.name) >= self.gone_at_s

    def answer(self, data: bytes) -> None:
        self.heard = data
        self.close()

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True

    def park(self) -> ParkedFake | None:
        assert not self.is_closed
        if self.first in (hello_of(Intent.FOREGROUND), hello_of(Intent.BACKGROUND)):
            self.begun_s = self._ground.note("handshake", self.name)
        self.is_closed = True
        if not self.has_room:
            return None
        self.transport = ParkedFake()
        self._ground.parked.append(self.transport)
        return self.transport


@dataclass(frozen=True)
class _Piece:
    at_s: float
    name: str
    act: Callable[[], None]


class ScriptedGround:
    """A Ground of what the script has made come about by now."""

    def __init__(
        self, processor: ScriptedProcessor, lanes: Sequence[Intent | None] = LANES
    ) -> None:
        self.lanes = lanes
        self.log: list[Happened] = []
        self.parked: list[ParkedFake] = []
        self.rounds = 0
        """Times that anybody looked for live sessions."""
        self.waits = 0
        self.is_idle = trio.Event()
        """Set when there is nothing left in the script."""
        self._processor = processor
        self._callers: dict[Intent | None, list[ScriptedCaller]] = {lane: [] for lane in lanes}
        self._live: list[_Piece] = []
        self._hang_ups: list[_Piece] = []
        self._more = trio.Event()
        self._false_alarm = False

    # The script

    def call(
        self,
        lane: Intent | None,
        name: str,
        *,
        intent: Intent | None = None,
        at_s: float = 0.0,
        every_s: float = 0.0,
        number: int = 1,
        first: bytes | None = b"?",
    ) -> list[ScriptedCaller]:
        """So many callers, one after the other. They want what their lane is for, if `intent` does
        not say something else, and say a whole hello, if `first` is not something else."""
        said = hello_of(intent or lane or Intent.BACKGROUND) if first == b"?" else first
        callers = [
            ScriptedCaller(self, name if number == 1 else f"{name} {n}", said, at_s + n * every_s)
            for n in range(number)
        ]
        for caller in callers:
            insort(self._callers[lane], caller, key=lambda one: one.at_s)
        self._wake()
        return callers

    def say(
        self,
        name: str,
        *,
        at_s: float = 0.0,
        number: int = 1,
        act: Callable[[], None] = lambda: None,
    ) -> None:
        """A live session has something to say; `act` is what it leads to."""
        self._live = _later(self._live, name, at_s, number, act)
        self._wake()

    def hang_up(self, name: str, *, at_s: float = 0.0, number: int = 1) -> None:
        """A live session hangs up."""
        self._hang_ups = _later(self._hang_ups, name, at_s, number, lambda: None)
        self._wake()

    def false_alarm(self) -> None:
        """`wait` returns, for nothing."""
        self._false_alarm = True
        self._wake()

    def note(self, what: str, name: str) -> float:
        """Write into the log; gives the time."""
        self.log.append(Happened(what, name, self._processor.now_s))
        return self._processor.now_s

    # As the dispatcher sees it

    async def wait(self) -> None:
        self.waits += 1
        while True:
            heads = [self._callers[lane][0].at_s for lane in self.lanes if self._callers[lane]]
            heads += [queue[0].at_s for queue in (self._live, self._hang_ups) if queue]
            if heads:
                await trio.lowlevel.checkpoint()
                self._processor.now_s = max(self._processor.now_s, min(heads))
                return
            self.is_idle.set()
            await self._more.wait()
            if self._false_alarm:
                self._false_alarm = False
                return

    def has_person(self) -> bool:
        return any(self._is_due(lane) for lane in self.lanes if lane is not Intent.BACKGROUND)

    def accept(self, lane: Intent | None) -> ScriptedCaller | None:
        if not self._is_due(lane):
            return None
        caller = self._callers[lane].pop(0)
        caller.accepted()
        return caller

    def serve(self, processor: Processor, until_s: float) -> bool:
        self.rounds += 1
        return self._work_on(self._live, "live", Work.SEGMENT, processor, until_s)

    def clean_up(self, processor: Processor, until_s: float) -> None:
        if processor.spent_s() < until_s:
            self._work_on(self._hang_ups, "hang-up", Work.HANG_UP, processor, until_s)

    def close_lanes(self) -> None:
        self.lanes = ()

    def _is_due(self, lane: Intent | None) -> bool:
        callers = self._callers[lane]
        return bool(callers) and callers[0].at_s <= self._processor.now_s

    def _work_on(
        self,
        pieces: list[_Piece],
        what: str,
        work: Work,
        processor: Processor,
        until_s: float,
    ) -> bool:
        worked = False
        while pieces and pieces[0].at_s <= self._processor.now_s:
            worked = True
            piece = pieces.pop(0)
            self.note(what, piece.name)
            piece.act()
            processor.charge(work)
            if processor.spent_s() >= until_s:
                break
        return worked

    def _wake(self) -> None:
        self.is_idle = trio.Event()
        more, self._more = self._more, trio.Event()
        more.set()


def _later(
    pieces: list[_Piece], name: str, at_s: float, number: int, act: Callable[[], None]
) -> list[_Piece]:
    return sorted(pieces + [_Piece(at_s, name, act)] * number, key=lambda piece: piece.at_s)


class FollowedAdmission(ScriptedAdmission):
    """Admits everybody as what they say, if `answer` does not say something else."""

    def __init__(self) -> None:
        super().__init__()
        self.admitted = 0
        self.answer: Callable[[Arrival], Decision | None] = lambda _: None

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        self.arrivals.append(arrival)
        decision = self.answer(arrival) or Admit(arrival.intent)
        self.admitted += isinstance(decision, Admit)
        return decision


class Scene:
    """A running dispatcher and all around it. Made by `dispatching`."""

    def __init__(
        self,
        server: Server,
        admission: FollowedAdmission,
        ground: ScriptedGround,
        processor: ScriptedProcessor,
        dispatcher: Dispatcher,
    ) -> None:
        self.server = server
        self.admission = admission
        self.ground = ground
        self.processor = processor
        self.dispatcher = dispatcher

    async def until_begun(self, caller: ScriptedCaller) -> None:
        """Until the caller's handshake was begun, or a bit later."""
        while caller.begun_s is None:
            await trio.lowlevel.checkpoint()

    async def until_idle(self) -> None:
        """Until all in the script has been worked on."""
        await self.ground.is_idle.wait()

    @property
    def order(self) -> list[str]:
        """What was begun, in order, without looks: `handshake person`."""
        return [f"{one.what} {one.name}" for one in self.ground.log if one.what != "look"]


@asynccontextmanager
async def dispatching(
    script: Callable[[ScriptedGround], object] = lambda _: None,
    *,
    lanes: Sequence[Intent | None] = LANES,
    order: Order = Order.INTENT,
    peer_check: bool = True,
    connections_max: int = ROOM_FOR_ALL,
    costs_s: Mapping[Work, float] = COSTS_S,
    turn: Turn | None = None,
) -> AsyncIterator[Scene]:
    """A dispatcher that has not begun to work before the body waits."""
    processor = ScriptedProcessor(costs_s)
    ground = ScriptedGround(processor, lanes)
    script(ground)
    admission = FollowedAdmission()
    rng = random.Random(1)
    clock = Clock(now_s=lambda: processor.now_s, wall_ms=lambda: EPOCH_MS)
    environment = Environment(clock, rng, rng.randbytes)
    async with running_server(admission=admission, environment=environment) as server:
        dispatcher = Dispatcher(
            server.core,
            ground,
            processor,
            connections_max=connections_max,
            order=order,
            peer_check=peer_check,
            turn=turn,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dispatcher.run)
            yield Scene(server, admission, ground, processor, dispatcher)
            nursery.cancel_scope.cancel()
