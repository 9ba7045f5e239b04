"""Makes phones and server do what a scenario says: its people, and its events.

One agenda holds what is to happen, and one task works through it. Whatever a phone or a person will
do next is drawn from `population`, so it does not depend on what the server made of it; only the
end of an idle connection counts from when that connection began to lie idle.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf, prod
from random import Random
from typing import Final

import trio

from hwangso_client.errors import NotReady, OutboxFull
from hwangso_client.events import AttemptEnded, DeviceEvent, Outcome, SessionEnded
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.place import Terms, WorkDone, World
from hwangso_tools.storm.population import (
    People,
    Rest,
    Visit,
    alerted_at_s,
    hit_by,
    let_in_at_s,
    liars,
)
from hwangso_tools.storm.recorder import Recorder
from hwangso_tools.storm.recording import Recording
from hwangso_tools.storm.scenario import Alert, Operator, Outage, Restart, Slowdown
from hwangso_tools.virtual.deliveries import Deliveries

SETTLE_LOAD: Final = 0.8
"""Share of the capacity that the handshakes of the phones' first connects would take, before the
calm baseline begins, if none of them slept; with all that belongs to a session they take three
quarters."""

SETTLE_MIN_S: Final = 10.0

RELIEF_RESTART_S: Final = 5.0
"""How long the server is down when the operator restarts it."""

MESSAGE: Final = "괜찮아? Are you all right?"


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a run is."""

    control: bool
    at_s: float
    """Of the scenario; before 0 is the calm baseline, minus infinity before all."""
    calm_s: float
    """How long the baseline is; before it, phones connect for the first time."""
    end_s: float
    sessions: int
    devices: int
    connects_per_s: float
    """In the last ten seconds."""
    stage: Stage


class Play:
    """One run: make it, let it `take` what phones report, and `run` it in the world."""

    def __init__(self, terms: Terms) -> None:
        scenario, speed = terms.scenario, terms.speed
        self.terms = terms
        self._people = People(scenario, terms.seed)
        self._chance = Random(f"{terms.seed} recipients")
        self.liars = liars(scenario.population, terms.seed)
        """Devices whose app claims FOREGROUND whenever it connects."""
        self._agenda = Deliveries()
        self._actors: list[Actor] = []
        self._slowdowns: list[float] = []
        self._recorder: Recorder | None = None
        self._world: World | None = None
        self._work: WorkDone | None = None
        self.origin_s = 0.0
        """Trio's time of the scenario's 0; set when `run` begins."""
        self.stage = Stage.NORMAL
        """The server's."""
        self.recording = Recording(
            calm_seconds=round(scenario.scenario.calm_seconds * speed),
            seconds=round(scenario.scenario.seconds * speed),
            devices=scenario.population.devices,
            capacity_per_s=terms.capacity_per_s / speed,
            triggers_end_s=scenario.triggers_end_s * speed,
            first_event_s=scenario.first_event_s * speed,
            controlled=terms.control,
        )

    # What is reported

    def take(self, device: int, event: DeviceEvent) -> None:
        """A device reports."""
        self._look_at_server(
            welcomed=isinstance(event, AttemptEnded) and event.outcome is Outcome.WELCOMED
        )
        self.recorder.take(device, event)
        match event:
            case AttemptEnded(outcome=Outcome.WELCOMED):
                self._actors[device].connected(True)
            case SessionEnded():
                self._actors[device].connected(False)
            case _:
                pass

    def _look_at_server(self, *, welcomed: bool) -> None:
        """Often enough: in a storm phones report all the time."""
        world, now_s = self._world, trio.current_time()
        if world is None:
            return
        if world.stage is not self.stage:
            self.stage = world.stage
            self.recorder.stage_changed(self.stage, now_s)
        work, before = world.work, self._work
        self._work = work
        if work is not None and before is not None:
            session_s = work.session_s if welcomed else 0.0
            useful_s = work.live_s - before.live_s + session_s
            self.recorder.worked(work.busy_s - before.busy_s, useful_s, now_s)

    @property
    def recorder(self) -> Recorder:
        """Writes the recording. There is none before `run`, and nothing to record."""
        if self._recorder is None:
            raise RuntimeError("the play has not begun")
        return self._recorder

    def moment(self) -> Moment:
        """How far it is."""
        recording = self.recording
        at_s = -inf
        if self._recorder is not None:
            at_s = (trio.current_time() - self.origin_s) * self.terms.speed
        return Moment(
            control=recording.controlled,
            at_s=at_s,
            calm_s=recording.calm_seconds,
            end_s=recording.seconds,
            sessions=self._recorder.sessions if self._recorder else 0,
            devices=recording.devices,
            connects_per_s=recording.connects_per_s(at_s),
            stage=self.stage,
        )

    # The run

    async def run(self, world: World) -> Recording:
        """Play it all, from the calm day to the end."""
        about = self.terms.scenario.scenario
        devices, self._world = len(world.phones), world
        settle_s = max(SETTLE_MIN_S, devices / (SETTLE_LOAD * self.terms.capacity_per_s))
        self.origin_s = trio.current_time() + settle_s + about.calm_seconds
        self._recorder = Recorder(self.recording, self.origin_s, self.terms.speed)
        async with trio.open_nursery() as nursery:
            self._actors = [Actor(self, device, world, nursery) for device in range(devices)]
            for actor in self._actors:
                actor.begin(settle_s)
            self._plan_events(world, nursery)
            nursery.start_soon(self._agenda.run)
            await trio.sleep_until(self.origin_s + about.seconds)
            nursery.cancel_scope.cancel()
        return self.recorder.finish(trio.current_time())

    def at(self, when_s: float, do: "partial[None]") -> None:
        """Do something at that time of the scenario."""
        self._agenda.at(self.origin_s + when_s, do)

    def later(self, wait_s: float, do: "partial[None]") -> None:
        """Do something after a wait."""
        self._agenda.at(trio.current_time() + wait_s, do)

    def visits(self, device: int) -> Iterator[Visit]:
        """What this device's person does with the app."""
        about = self.terms.scenario.scenario
        return self._people.visits(device, -about.calm_seconds, about.seconds)

    def somebody(self, but: int) -> str:
        """A user to write to."""
        number = self._chance.randrange(len(self._actors) - 1)
        return self._actors[number + (number >= but)].phone.user

    # Events

    def _plan_events(self, world: World, nursery: trio.Nursery) -> None:
        devices, seed = len(self._actors), self.terms.seed
        for number, event in enumerate(self.terms.scenario.event):
            match event:
                case Alert():
                    moments = alerted_at_s(event, devices, seed, number)
                    for actor, at_s in zip(self._actors, moments, strict=True):
                        self.at(at_s, partial(actor.alert))
                case Outage(at_s=at_s, silently=silently):
                    for hit in hit_by(event, devices, seed, number):
                        actor = self._actors[hit.device]
                        self.at(at_s, partial(actor.lose_service, silently=silently))
                        self.at(hit.back_at_s, partial(actor.have_service))
                case Slowdown(at_s=at_s, factor=factor, duration_s=duration_s):
                    self.at(at_s, partial(self._slow_down, world, factor))
                    self.at(at_s + duration_s, partial(self._speed_up, world, factor))
                case Restart(at_s=at_s, down_s=down_s):
                    self.at(at_s, partial(nursery.start_soon, world.restart, down_s))
                case Operator() if not self.terms.control:
                    self._plan_relief(event, number, world, nursery)
                case _:
                    pass  # of the people, who know it already

    def _plan_relief(
        self, event: Operator, number: int, world: World, nursery: trio.Nursery
    ) -> None:
        let_in_s = let_in_at_s(event, len(self._actors), self.terms.seed, number)
        for actor, at_s in zip(self._actors, let_in_s, strict=True):
            self.at(event.at_s, partial(actor.turn_away))
            self.at(at_s, partial(actor.let_in))
        self.at(event.at_s, partial(nursery.start_soon, world.restart, RELIEF_RESTART_S))

    def _slow_down(self, world: World, factor: float) -> None:
        self._slowdowns.append(factor)
        world.slow_down(prod(self._slowdowns))

    def _speed_up(self, world: World, factor: float) -> None:
        self._slowdowns.remove(factor)
        world.slow_down(prod(self._slowdowns))


class Actor:
    """A phone and its person, and what they do next."""

    def __init__(self, play: Play, number: int, world: World, nursery: trio.Nursery) -> None:
        self.phone = world.phones[number]
        self._play = play
        self._world = world
        self._number = number
        self._lies = number in play.liars
        self._nursery = nursery
        self._rest = Rest(play.terms.scenario.population.background, play.terms.seed, number)
        self._visits = play.visits(number)
        self._asleep = True
        self._open = False
        self._live = False
        self._cuts = 0
        """Outages that it is in."""
        self._alarms = 0
        """A plan to sleep or to wake holds as long as this number is the one it was made with."""

    def begin(self, settle_s: float) -> None:
        """The app is closed; be asleep, or connect when it is this one's turn."""
        if self._rest.begins_asleep():
            self._plan_wake(settle_s + self._rest.sleep_s())
        else:
            self._plan_wake(settle_s * self._number / self._play.recording.devices)
        if not self._lies:
            self._plan_visit()

    # The phone by itself

    def connected(self, live: bool) -> None:
        """Its session has begun, or ended."""
        self._live = live
        if not self._asleep:
            self._plan_sleep()
            if self._lies and not live:
                self._connect()

    def _plan_sleep(self) -> None:
        """A connection that nobody uses ends some time."""
        self._alarms += 1
        if self._live and not self._open:
            self._play.later(self._rest.idle_s(), partial(self._sleep, self._alarms))

    def _sleep(self, alarm: int) -> None:
        if alarm == self._alarms:
            self._asleep = True
            self._nursery.start_soon(self.phone.kill_app)
            self._plan_wake(self._rest.sleep_s())

    def _plan_wake(self, wait_s: float) -> None:
        self._alarms += 1
        self._play.later(wait_s, partial(self._wake, self._alarms))

    def _wake(self, alarm: int) -> None:
        if alarm == self._alarms:
            self.alert()

    def alert(self) -> None:
        """Something wakes the phone."""
        if self._asleep:
            self._asleep = False
            self._alarms += 1
            self._connect()

    def _connect(self) -> None:
        """Nobody waits for it; a liar says that somebody does."""
        if self._lies:
            self._nursery.start_soon(self._open_app, trio.current_time())
        else:
            self.phone.wake()

    # The person

    def _plan_visit(self) -> None:
        visit = next(self._visits, None)
        if visit is not None:
            self._play.at(visit.opened_at_s, partial(self._visit, visit))

    def _visit(self, visit: Visit) -> None:
        now_s = trio.current_time()
        self._open = True
        self._asleep = False
        self._alarms += 1
        self._play.recorder.opened(self._number, now_s)
        self._nursery.start_soon(self._open_app, now_s)
        for at_s in visit.messages_at_s:
            self._play.at(at_s, partial(self._write))
        self._play.at(visit.left_at_s, partial(self._leave))

    async def _open_app(self, intended_at: float) -> None:
        with suppress(NotReady):  # the recorder has seen how long it took
            await self.phone.open_app(intended_at=intended_at)

    def _write(self) -> None:
        try:
            self.phone.post(
                self._play.somebody(self._number), MESSAGE, intended_at=trio.current_time()
            )
        except OutboxFull:
            return
        self._play.recorder.posted()

    def _leave(self) -> None:
        self._open = False
        self._play.recorder.left(self._number, trio.current_time())
        self._nursery.start_soon(self.phone.leave_app)
        self._plan_sleep()
        self._plan_visit()

    # The network

    def lose_service(self, *, silently: bool) -> None:
        """The carrier fails."""
        self._play.recorder.service(self._number, False, trio.current_time())
        self._cut(silently=silently)

    def have_service(self) -> None:
        """The carrier is back."""
        self._restore()
        if not self._cuts:
            self._play.recorder.service(self._number, True, trio.current_time())

    def turn_away(self) -> None:
        """The operator does. The person cannot know that: service counts as given."""
        self._cut(silently=False)

    def let_in(self) -> None:
        """The operator does."""
        self._restore()

    def _cut(self, *, silently: bool) -> None:
        self._cuts += 1
        self._world.cut(self._number, silently=silently)

    def _restore(self) -> None:
        self._cuts -= 1
        if not self._cuts:
            self._world.restore(self._number)
