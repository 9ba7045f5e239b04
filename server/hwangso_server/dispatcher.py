"""The order of work: one task that serves everybody, in turns.

A turn goes round, until nothing is left or its time is over:

1. live sessions: a slice of what they have sent;
2. the foreground lane: hellos, then foreground handshakes, newest first when admission says so;
3. background: a few hellos (deferred on the spot, or admitted to the background queue), and one
   background handshake;

and ends with a little of what is left of peers that have hung up. So a person waits for at most one
slice of messages and one background handshake (0.5 ms), however large the crowd. Background is not
starved either: while foreground fills every turn, background still gets BACKGROUND_SHARE of the
time for handshakes, for admission may have promised slots, and as much to hear hellos. Nor do
hellos starve handshakes: these get at least the time that hearing people took.

Before a hello is decided about that has waited long, and before any handshake spends a
Diffie-Hellman, the caller is looked at: if it has hung up it is dropped. A server that does not
look works for the dead, which is how a storm of impatient phones stays for ever (design, section
5).

`Order.ARRIVAL` is the negative control: everything as it comes, nobody is looked at.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

import trio

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent
from hwangso_server.admission import Load
from hwangso_server.core import Core
from hwangso_server.counts import Count
from hwangso_server.door import Door
from hwangso_server.ground import Ground
from hwangso_server.handshakes import Admitted, HandshakeQueues
from hwangso_server.limits import (
    ACCEPT_BATCH,
    BACKGROUND_HELLOS,
    BACKGROUND_SHARE,
    BACKGROUND_SLICE_S,
    CLEAN_UP_BRIEFLY_S,
    CLEAN_UP_SLICE_S,
    HELLOS_BETWEEN_LOOKS,
    LIVE_SLICE_S,
    TURN_BUDGET_S,
)
from hwangso_server.processor import Processor, Work

LIVE_SLICE_RESUMES: Final = LIVE_SLICE_S / (TURN_BUDGET_S - LIVE_SLICE_S)
"""What live sessions get of a modelled turn, in resumes: foreground gets one handshake in each, and
so the share that it has of a real turn."""


class Order(Enum):
    """Who is served first."""

    INTENT = "intent"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Turn:
    """How long a turn and its parts may be, in seconds of the processor."""

    budget_s: float = TURN_BUDGET_S
    live_s: float = LIVE_SLICE_S
    background_s: float = BACKGROUND_SLICE_S
    clean_up_s: float = CLEAN_UP_SLICE_S
    clean_up_briefly_s: float = CLEAN_UP_BRIEFLY_S

    @classmethod
    def of_modelled(cls, resumes_per_s: float) -> Self:
        """For a processor whose time passes after the turn, in handshakes instead of seconds. A
        person who comes during the turn is not seen there: background gets one handshake in
        each."""
        resume_s = 1 / resumes_per_s
        return cls(
            live_s=LIVE_SLICE_RESUMES * resume_s,
            background_s=0.0,
            clean_up_s=resume_s,
            clean_up_briefly_s=resume_s / 2,
        )


class Dispatcher:
    """See the module's docstring. `run` it once the core runs, `close` it before that says goodbye.

    `peer_check` is whether callers are looked at before their handshake.
    """

    def __init__(
        self,
        core: Core,
        ground: Ground,
        processor: Processor,
        *,
        connections_max: int,
        order: Order = Order.INTENT,
        peer_check: bool = True,
        turn: Turn | None = None,
    ) -> None:
        self._core = core
        self._ground = ground
        self._processor = processor
        self._queues = HandshakeQueues()
        self._door = Door(
            core, ground, processor, self._queues, connections_max, peer_check=peer_check
        )
        self._order = order
        self._peer_check = peer_check
        self._turn = turn or Turn()
        self._spent = _Spent()
        self._owed = _Owed(self._turn.budget_s)
        self._owed_hellos = _Owed(self._turn.budget_s)
        """What background has a right to although foreground waits."""
        core.submit = self._queues.submit

    async def run(self) -> None:
        """Serve until cancelled; who waits then is closed without a word."""
        try:
            await self._take_turns()
        finally:
            for handshake in self._queues.drain():
                handshake.give_up(None)

    def close(self) -> None:
        """Accept nobody any more, and refuse those who wait: the server is stopping."""
        self._ground.close_lanes()
        core, reason = self._core, RefuseReason.SHUTTING_DOWN
        for handshake in self._queues.drain():
            core.counts.add(Count.REFUSED, reason.name.lower())
            self._tell_gone(handshake.admitted, core.clock.now_s())
            handshake.give_up(reason)

    # One turn

    async def _take_turns(self) -> None:
        turn = self._turn_by_intent if self._order is Order.INTENT else self._turn_by_arrival
        processor, clock = self._processor, self._core.clock
        while True:
            idle_from_s = clock.now_s()
            if self._spent.background_s and self._core.is_waited_for:
                processor.give_way()
            if len(self._queues):
                await trio.lowlevel.checkpoint()
            else:
                await self._ground.wait()
            idle_s = clock.now_s() - idle_from_s
            processor.begin()
            turn(idle_s)
            await processor.settle()
            self._core.flush_touched()

    def _turn_by_intent(self, idle_s: float) -> None:
        processor, core, turn = self._processor, self._core, self._turn
        self._spent = _Spent()
        more = True
        while more and processor.spent_s() < turn.budget_s:
            more = self._live()
            more |= self._foreground()
            core.flush_touched()
            if not self._queues.has(Intent.FOREGROUND) or self._owed or self._owed_hellos:
                more |= self._background()
                core.flush_touched()
            if core.is_waited_for:
                break  # that work goes on at the next checkpoint
        slice_s = turn.clean_up_s if more else turn.budget_s
        if core.is_waited_for:
            slice_s = turn.clean_up_briefly_s
        self._ground.clean_up(processor, processor.spent_s() + slice_s)
        spent = self._spent
        load = Load(spent.live_s, spent.foreground_s, spent.background_s, spent.door_s, idle_s)
        core.admission.worked(load, core.clock.now_s())

    def _live(self) -> bool:
        """A slice of what live sessions have sent; whether there was anything."""
        began_s = self._processor.spent_s()
        served = self._ground.serve(self._processor, began_s + self._turn.live_s)
        took_s = self._processor.spent_s() - began_s
        self._spent.live_s += took_s
        self._owe(took_s)
        return served

    def _foreground(self) -> bool:
        """Every lane that people come through, then all handshakes that the turn has room for, and
        as much time for them as the hellos took: more of those than the server can answer would
        leave it no time to answer any."""
        processor = self._processor
        began_s = processor.spent_s()
        heard = False
        for lane in self._ground.lanes:
            if lane is not Intent.BACKGROUND:
                heard |= self._hear(lane, ACCEPT_BATCH)
        heard_s = processor.spent_s()
        newest_first = self._core.admission.newest_first
        until_s = max(self._turn.budget_s, heard_s + heard_s - began_s)
        began = 0
        while processor.spent_s() < until_s or not began:
            if not self._begin_next(Intent.FOREGROUND, newest_first=newest_first):
                break
            began += 1
        ended_s = processor.spent_s()
        self._spent.door_s += heard_s - began_s
        self._spent.foreground_s += ended_s - heard_s
        self._owe(ended_s - began_s)
        return heard or began > 0

    def _owe(self, took_s: float) -> None:
        """Others than background have had the processor for so long."""
        self._owed.earn(took_s)
        self._owed_hellos.earn(took_s)

    def _background(self) -> bool:
        """A few hellos and one handshake, so that a person waits for no more than that."""
        processor, budget_s = self._processor, self._turn.budget_s
        began_s = processor.spent_s()
        people_wait = self._queues.has(Intent.FOREGROUND)
        briefly = self._core.is_waited_for
        heard = False
        if not people_wait or self._owed_hellos:
            heard = self._hear(Intent.BACKGROUND, HELLOS_BETWEEN_LOOKS)
        for _ in range(0 if briefly else BACKGROUND_HELLOS // HELLOS_BETWEEN_LOOKS - 1):
            if not heard or self._is_person_waiting() or processor.spent_s() >= budget_s:
                break
            heard = self._hear(Intent.BACKGROUND, HELLOS_BETWEEN_LOOKS)
        heard_s = processor.spent_s()
        until_s = min(heard_s + self._turn.background_s, budget_s)
        began = False
        if not people_wait or self._owed:
            began = self._begin_next(Intent.BACKGROUND)
        while began and not briefly and processor.spent_s() < until_s:
            if self._is_person_waiting():
                break
            if not self._begin_next(Intent.BACKGROUND):
                break
        ended_s = processor.spent_s()
        self._spent.door_s += heard_s - began_s
        self._spent.background_s += ended_s - heard_s
        self._owed_hellos.spend(heard_s - began_s, spare=not people_wait)
        self._owed.spend(ended_s - heard_s, spare=not people_wait)
        return heard or began

    def _is_person_waiting(self) -> bool:
        return self._queues.has(Intent.FOREGROUND) or self._ground.has_person()

    def _hear(self, lane: Intent | None, hellos_max: int) -> bool:
        """Hellos of one lane; whether there were any."""
        if lane not in self._ground.lanes:
            return False
        for number in range(hellos_max):
            if not self._door.open(lane):
                return number > 0
        return True

    def _turn_by_arrival(self, idle_s: float) -> None:
        processor, budget_s = self._processor, self._turn.budget_s
        self._ground.serve(processor, budget_s)
        self._begin_all()
        for lane in self._ground.lanes:
            for _ in range(ACCEPT_BATCH):
                if not self._door.open(lane):
                    break
                self._begin_all()
                if processor.spent_s() >= budget_s:
                    break
        self._ground.clean_up(processor, 2 * budget_s)
        self._core.admission.worked(Load(0, 0, 0, 0, idle_s), self._core.clock.now_s())

    def _begin_all(self) -> None:
        for intent in Intent:
            while self._begin_next(intent):
                pass

    def _begin_next(self, intent: Intent, *, newest_first: bool = False) -> bool:
        """Begin the next handshake; False if nobody waits."""
        handshake = self._queues.next(intent, newest_first=newest_first)
        if handshake is None:
            return False
        core, admitted = self._core, handshake.admitted
        now_s = core.clock.now_s()
        if self._peer_check and handshake.is_gone():
            core.counts.add(Count.GONE, admitted.hello.intent.tag)
            self._tell_gone(admitted, now_s)
            handshake.give_up(None)
            self._processor.charge(Work.HANG_UP)
            return True
        core.admission.handshake_started(admitted.intent, now_s - admitted.arrived_s, now_s)
        handshake.begin()
        self._processor.charge(Work[admitted.kind.name])
        return True

    def _tell_gone(self, admitted: Admitted, now_s: float) -> None:
        self._core.admission.caller_gone(
            admitted.intent,
            now_s - admitted.arrived_s,
            now_s,
            device_id=admitted.device_id,
            deferral_ticket=admitted.hello.deferral_ticket,
        )


class _Owed:
    """Processor time that background has a right to. Below zero: what it has had already, for it
    gets a piece at a time."""

    __slots__ = ("_max_s", "_s")

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._s = 0.0

    def __bool__(self) -> bool:
        return self._s > 0

    def earn(self, others_s: float) -> None:
        """Others have had this much."""
        self._s = min(self._s + others_s * BACKGROUND_SHARE, self._max_s)

    def spend(self, spent_s: float, *, spare: bool) -> None:
        """Background has had this much. Spare time pays what is owed, but makes no debt."""
        left_s = self._s - spent_s
        self._s = max(left_s, min(self._s, 0.0)) if spare else left_s


class _Spent:
    """Seconds of one turn, by what they were spent on."""

    __slots__ = ("background_s", "door_s", "foreground_s", "live_s")

    def __init__(self) -> None:
        self.live_s = self.foreground_s = self.background_s = self.door_s = 0.0
