"""A crowd before a controller, and a server that is a processor and two queues: virtual time, no
Trio, no sockets. For what only all parts together show.

The server does what the dispatcher does: messages of live sessions for a slice, foreground, then a
few background hellos and one background handshake before it looks again. Callers that have hung up
are not served.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import (
    AdmissionController,
    Admit,
    Arrival,
    Deferral,
    Load,
    Mechanism,
    Settings,
    Stage,
)

FG, BG = Intent.FOREGROUND, Intent.BACKGROUND
RTT_S = 0.02
WEIGHTS = {Kind.RESUME: 1.0, Kind.LOGIN: 1.8, Kind.ENROL: 2.0}
HELLOS_FOREGROUND, HELLOS_BACKGROUND = 64, 4
LIVE_SLICE = 7
"""Of a turn, in handshakes."""
BACKGROUND_SHARE = 0.05


@dataclass(eq=False)
class Phone:
    """One opening of an app, or one reconnect: it tries until it is served."""

    device_id: int | None
    intent: Intent
    intended_s: float
    kind: Kind = Kind.RESUME
    patience_s: float = inf
    obeys: bool = True
    really: Intent | None = None
    """What it is for, if it lies."""
    attempt: int = 0
    arrived_s: float = 0.0
    ticket: bytes = b""
    deferrals: int = 0
    """DEFERs that gave it another slot than it had."""
    served_s: float = inf
    served_as: Intent | None = None

    @property
    def latency_s(self) -> float:
        return self.served_s - self.intended_s


@dataclass
class Story:
    """What happened."""

    phones: list[Phone]
    stages: list[tuple[float, Stage]] = field(default_factory=list)
    """Each change."""
    admitted: list[tuple[float, Intent]] = field(default_factory=list)
    idle: list[tuple[float, float]] = field(default_factory=list)
    """(since, until) when the server had nothing to do."""

    def latencies_s(self, intent: Intent, *, honest: bool = True) -> list[float]:
        """Sorted."""
        return sorted(
            phone.latency_s
            for phone in self.phones
            if phone.intent is intent and (phone.really is None) == honest
        )

    def p99_s(self, intent: Intent) -> float:
        found = self.latencies_s(intent)
        return found[int(0.99 * (len(found) - 1))]

    def stages_seen(self) -> list[Stage]:
        return [stage for _, stage in self.stages]

    def left_s(self, stage: Stage) -> float:
        """When that stage was over for the last time."""
        last = max(number for number, (_, seen) in enumerate(self.stages) if seen >= stage)
        return self.stages[last + 1][0] if last + 1 < len(self.stages) else inf


class Crowd:
    """Phones, and the server that they all want."""

    def __init__(
        self,
        *,
        cost_s: float = 0.01,
        hello_share: float = 0.125,
        without: frozenset[Mechanism] = frozenset(),
        settings: Settings | None = None,
        seed: int = 1,
    ) -> None:
        self.rng = random.Random(seed)
        self.cost_s = cost_s
        self.hello_s = cost_s * hello_share
        """To hear somebody, and send him away if need be."""
        self.controller = AdmissionController(
            settings
            or Settings(handshakes_max=100_000, sessions_max=1_000_000, handshake_cost_s=cost_s),
            uniform=self.rng.uniform,
            random_bytes=self.rng.randbytes,
            ticket_key=bytes(32),
            wall_offset_s=1.7e9,
            without=without,
        )
        self.phones: list[Phone] = []
        self.slowness: Callable[[float], float] = lambda _: 1.0
        """How many times as long work takes, by the time."""
        self.messages: Callable[[float], float] = lambda _: 0.0
        """Share of the processor that live sessions ask for, by the time."""
        self.pauses_s: list[tuple[float, float]] = []
        """Garbage collections: when, and how long."""
        self.store_s: Callable[[float], float] = lambda _: 0.0
        """What the store adds to an answer, by the time."""

    def reconnect(self, count: int, at_s: float, *, over_s: float = 0.0, first_id: int = 1) -> None:
        """So many background devices, cut off at once or over some time."""
        for number in range(count):
            start_s = at_s + self.rng.uniform(0, over_s)
            self.phones.append(Phone(first_id + number, BG, start_s))

    def open_apps(
        self, per_s: float, from_s: float, to_s: float, *, first_id: int = 1_000_000
    ) -> None:
        """A Poisson stream of people."""
        at_s, number = from_s, 0
        while (at_s := at_s + self.rng.expovariate(per_s)) < to_s:
            self.phones.append(Phone(first_id + number, FG, at_s))
            number += 1

    def run(self, until_s: float) -> Story:
        """What becomes of all of them until then."""
        run = _Run(self)
        while run.now_s < until_s:
            run.turn(until_s)
        return run.story


class _Run:
    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.controller = crowd.controller
        self.story = Story(crowd.phones)
        self.now_s = 0.0
        self.coming: list[tuple[float, int, Phone]] = []
        self.lanes: dict[Intent, deque[Phone]] = {intent: deque() for intent in Intent}
        self.queues: dict[Intent, deque[Phone]] = {intent: deque() for intent in Intent}
        self.live_s = 0.0
        """Work that live sessions have asked for and not got."""
        self.owed_s = 0.0
        self.number = 0
        self.pauses = sorted(crowd.pauses_s, reverse=True)
        for phone in crowd.phones:
            self.come(phone, phone.intended_s)

    def come(self, phone: Phone, at_s: float) -> None:
        self.number += 1
        heappush(self.coming, (at_s, self.number, phone))

    def turn(self, until_s: float) -> None:
        began_s = self.now_s
        idle_s = self.wait(until_s)
        live_s = self.work(min(self.live_s, LIVE_SLICE * self.crowd.cost_s))
        self.live_s -= live_s
        door_s = self.hear(FG, HELLOS_FOREGROUND)
        foreground_s = self.serve(FG)
        self.owed_s += (foreground_s + live_s) * BACKGROUND_SHARE
        background_s = 0.0
        if not (self.queues[FG] or self.live_s > 0) or self.owed_s > 0:
            heard_s = self.hear(BG, HELLOS_BACKGROUND)
            background_s = self.serve(BG)
            door_s += heard_s
            self.owed_s = max(0.0, self.owed_s - heard_s - background_s)
        load = Load(live_s, foreground_s, background_s, door_s, idle_s)
        self.controller.worked(load, self.now_s)
        if self.now_s >= self.controller.next_deadline_s:
            self.controller.tick(self.now_s)
        self.live_s += (self.now_s - began_s) * self.crowd.messages(self.now_s)
        stages, stage = self.story.stages, self.controller.stage
        if not stages or stages[-1][1] is not stage:
            stages.append((self.now_s, stage))

    def wait(self, until_s: float) -> float:
        """Take in those who have come; with nothing to do, first let time pass."""
        began_s = self.now_s
        if not (any(self.lanes.values()) or any(self.queues.values()) or self.live_s > 0):
            next_s = self.coming[0][0] if self.coming else inf
            if self.crowd.messages(began_s):
                next_s = min(next_s, began_s + self.crowd.cost_s)
            self.now_s = max(began_s, min(next_s, self.controller.next_deadline_s, until_s))
            self.story.idle.append((began_s, self.now_s))
        while self.coming and self.coming[0][0] <= self.now_s:
            at_s, _, phone = heappop(self.coming)
            phone.arrived_s = at_s
            phone.attempt += 1
            self.lanes[phone.intent].append(phone)
        return self.now_s - began_s

    def work(self, seconds: float) -> float:
        if seconds and self.pauses and self.pauses[-1][0] <= self.now_s:
            seconds += self.pauses.pop()[1]
        seconds *= self.crowd.slowness(self.now_s)
        self.now_s += seconds
        return seconds

    def hear(self, lane: Intent, limit: int) -> float:
        callers, door_s = self.lanes[lane], 0.0
        for _ in range(min(limit, len(callers))):
            door_s += self.work(self.crowd.hello_s)
            self.decide(callers.popleft())
        return door_s

    def decide(self, phone: Phone) -> None:
        crowd, now_s = self.crowd, self.now_s
        arrival = Arrival(
            phone.intent,
            phone.intent,
            phone.kind,
            min(phone.attempt, 255),
            phone.device_id,
            phone.ticket if phone.obeys else b"",
            now_s - phone.arrived_s,
        )
        decision = self.controller.decide(arrival, now_s)
        if isinstance(decision, Admit):
            self.story.admitted.append((now_s, decision.intent))
            self.queues[decision.intent].append(phone)
            phone.served_as = decision.intent
        elif isinstance(decision, Deferral):
            phone.deferrals += decision.deferral_ticket != phone.ticket
            phone.ticket = decision.deferral_ticket
            wait_s = decision.wait_ms / 1000 if phone.obeys else crowd.rng.uniform(0.1, 1.0)
            self.come(phone, now_s + wait_s + RTT_S)
        else:
            self.come(phone, now_s + decision.retry_after_ms / 1000 * crowd.rng.uniform(1, 2))

    def serve(self, intent: Intent) -> float:
        """One handshake, of the next one who is still there."""
        queue, controller = self.queues[intent], self.controller
        while queue:
            newest_first = intent is FG and controller.newest_first
            phone = queue.pop() if newest_first else queue.popleft()
            waited_s = self.now_s - phone.arrived_s
            if waited_s > phone.patience_s:
                controller.caller_gone(intent, waited_s, self.now_s)
                gone_s = phone.arrived_s + phone.patience_s
                self.come(phone, max(self.now_s, gone_s + self.crowd.rng.uniform(0, 1)))
                continue
            controller.handshake_started(intent, waited_s, self.now_s)
            seconds = self.work(self.crowd.cost_s * WEIGHTS[phone.kind])
            answered_s = self.now_s + self.crowd.store_s(self.now_s)
            controller.answered(intent, answered_s - phone.arrived_s, answered_s)
            controller.session_started()
            phone.served_s = answered_s
            return seconds
        return 0.0
