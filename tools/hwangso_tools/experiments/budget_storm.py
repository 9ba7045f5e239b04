"""A storm on one server, as a simulation of events: a crowd that obeys its slots, a Poisson stream
of foreground, a processor that serves foreground first, and the real calendar and budget.

Whom to let in is decided more simply than by the real admission, as in its stages BUSY and
EMERGENCY: no tickets, nobody lies. Costs are those of the real server, in proportion. Times are in
seconds; the crowd is cut off at 0, the calm before has negative times.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from typing import Final

from hwangso_server.admission.background import BackgroundBudget, BudgetSample, RateController
from hwangso_server.admission.calendar import SlotCalendar
from hwangso_server.admission.settings import Settings
from hwangso_server.limits import BACKGROUND_HELLOS, BACKGROUND_SLICE_S

SETTINGS: Final = Settings(handshakes_max=1, sessions_max=1)
"""Those of the real admission; its sizes are not made use of."""
DOOR_SHARE: Final = 1 / 9
"""The cost of a hello, in handshakes."""

REACTION_S: Final = 1.0
"""The devices notice that they are cut off, and come, within this time."""
PUNCTUAL_S: Final = 0.1
"""A device keeps its slot to within this."""
PATIENCE_S: Final = 5.0
"""A device that has no answer hangs up."""
BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 16.0
"""And comes again after a back-off with full jitter."""
CALM_BACKGROUND_SHARE: Final = 0.05
"""Of the processor, for background handshakes before the storm."""

Profile = Sequence[tuple[float, float]]
"""(from when on, value), in order of time, the first from the beginning of time."""


def always(value: float) -> Profile:
    """A profile that does not change."""
    return ((-inf, value),)


def value_at(profile: Profile, at_s: float) -> float:
    """The value in force."""
    for since_s, value in reversed(profile):
        if since_s <= at_s:
            return value
    raise ValueError("a profile begins with the beginning of time")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What happens to a server that does `handshakes_per_s` when nothing is in its way."""

    name: str
    about: str
    devices: int
    handshakes_per_s: float
    foreground: Profile
    """Handshakes of foreground, as a share of `handshakes_per_s`."""
    slowness: Profile = ((-inf, 1.0),)
    """How many times its usual time everything takes."""
    stalls: Sequence[tuple[float, float]] = ()
    """(when, for how long) the processor is held up, in order of time."""
    calm_s: float = 10.0
    """How long the server has been running when the storm begins."""
    told_share: float = 0.5
    """Of `handshakes_per_s`: what controllers begin with."""
    limit_s: float = 600.0
    """When to give up."""

    def spare_per_s(self, at_s: float) -> float:
        """How many background handshakes a second there is room for, each with its hello."""
        slowness = value_at(self.slowness, at_s)
        spare_share = max(0.0, 1 - value_at(self.foreground, at_s) * slowness)
        return spare_share * self.handshakes_per_s / slowness / (1 + DOOR_SHARE)


@dataclass(slots=True)
class Record:
    """What is left of a run, from 0 on."""

    served_s: list[float] = field(default_factory=list)
    """When each device of the crowd was served."""
    background_delays_s: list[float] = field(default_factory=list)
    """From being let in to the handshake, of the crowd."""
    foreground_delays_s: list[float] = field(default_factory=list)
    """From arrival to the handshake."""
    deferrals: list[int] = field(default_factory=list)
    """Of each device of the crowd that was served."""
    attempts: int = 0
    """Of all these together."""
    idle_s: list[tuple[float, float]] = field(default_factory=list)
    """(end of a window, how long the processor was idle in it)"""
    rates: list[tuple[float, float]] = field(default_factory=list)
    """(end of a window, the budget's rate from now on)"""


@dataclass(slots=True, eq=False)
class _Device:
    in_crowd: bool
    slot_s: float | None = None
    deferrals: int = 0
    attempts: int = 0
    failures: int = 0
    """Attempts without an answer, one after the other."""
    admitted_s: float = 0.0
    is_waiting: bool = False
    """For an answer; False when it has one or has hung up."""


@dataclass(slots=True)
class _Work:
    """Of one window."""

    background_s: float = 0.0
    foreground_s: float = 0.0
    door_s: float = 0.0
    idle_s: float = 0.0
    background_started: int = 0
    background_delay_s: float = 0.0
    """Of all these together."""
    foreground_started: int = 0
    foreground_delay_s: float = 0.0


class Storm:
    """One run. With `controller` None everybody is let in at once and has patience without end:
    no crowd can be served sooner."""

    def __init__(self, scenario: Scenario, controller: RateController | None, seed: int) -> None:
        self.record = Record()
        self._scenario = scenario
        # Of their own each, so that all controllers meet the same foreground.
        self._foreground_chance = random.Random(f"{seed} foreground")
        self._crowd_chance = random.Random(f"{seed} crowd")
        slot_chance = random.Random(f"{seed} slots")
        self._budget = BackgroundBudget(controller) if controller else None
        self._calendar = SlotCalendar(
            bucket_s=SETTINGS.bucket_s, horizon_s=SETTINGS.horizon_s, uniform=slot_chance.uniform
        )
        cost_s = self._cost_s = 1 / scenario.handshakes_per_s
        self._target_s = max(SETTINGS.target_min_s, SETTINGS.target_handshakes * cost_s)
        self._hold_s = max(SETTINGS.hold_s, SETTINGS.hold_handshakes * cost_s)
        self._window_s = max(SETTINGS.window_s, SETTINGS.window_handshakes * cost_s)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._now_s = -scenario.calm_s
        self._foreground: deque[float] = deque()
        self._door: deque[_Device] = deque()
        self._background: deque[_Device] = deque()
        self._hellos = 0
        self._slice_until_s = -inf
        self._stalls = deque(scenario.stalls)
        self._is_busy = False
        self._idle_since_s = self._now_s
        self._work = _Work()
        self._window_since_s = self._now_s
        self._window_is_over = False

    def run(self) -> Record:
        """From the calm until the whole crowd is served, or the scenario's limit."""
        self._after(0, self._open_apps)
        self._after(0, self._calm_background)
        self._after(self._window_s, self._end_window)
        for _ in range(self._scenario.devices):
            cut_in_s = self._scenario.calm_s + self._crowd_chance.uniform(0, REACTION_S)
            self._after(cut_in_s, self._arrival(_Device(in_crowd=True)))
        record, devices, limit_s = self.record, self._scenario.devices, self._scenario.limit_s
        while len(record.served_s) < devices and self._now_s < limit_s:
            self._now_s, _, event = heappop(self._events)
            event()
        return record

    def _after(self, delay_s: float, event: Callable[[], None]) -> None:
        self._number += 1
        heappush(self._events, (self._now_s + delay_s, self._number, event))

    # People, and the crowd

    def _open_apps(self) -> None:
        """A Poisson stream at the highest rate, thinned to the rate of now."""
        profile = self._scenario.foreground
        highest = max(share for _, share in profile)
        if self._foreground_chance.random() * highest < value_at(profile, self._now_s):
            self._foreground.append(self._now_s)
            self._wake()
        self._after(self._foreground_chance.expovariate(highest / self._cost_s), self._open_apps)

    def _calm_background(self) -> None:
        if self._now_s < 0:
            self._arrival(_Device(in_crowd=False))()
            rate_per_s = CALM_BACKGROUND_SHARE / self._cost_s
            self._after(self._crowd_chance.expovariate(rate_per_s), self._calm_background)

    def _arrival(self, device: _Device) -> Callable[[], None]:
        def arrive() -> None:
            device.attempts += 1
            device.is_waiting = True
            self._door.append(device)
            if self._budget:
                self._after(PATIENCE_S, self._loss_of_patience(device, device.attempts))
            self._wake()

        return arrive

    def _loss_of_patience(self, device: _Device, attempt: int) -> Callable[[], None]:
        def hang_up() -> None:
            if device.is_waiting and device.attempts == attempt:
                device.is_waiting = False
                longest_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**device.failures)
                device.failures += 1
                self._after(self._crowd_chance.uniform(0, longest_s), self._arrival(device))

        return hang_up

    # The processor: foreground, then so many hellos, then a slice of background handshakes

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._work.idle_s += self._now_s - self._idle_since_s
            self._serve_next()

    def _serve_next(self) -> None:
        while self._background and not self._background[0].is_waiting:
            self._background.popleft()  # hung up: seen before any cryptography
        if self._foreground:
            self._serve_foreground(self._foreground.popleft())
        elif self._background and (not self._door or self._is_background_due()):
            self._serve_background(self._background.popleft())
        elif self._door:
            self._hellos += 1
            self._spend(self._cost_s * DOOR_SHARE, self._hello_done)
        else:
            self._is_busy = False
            self._idle_since_s = self._now_s

    def _is_background_due(self) -> bool:
        if self._hellos >= BACKGROUND_HELLOS:
            self._hellos = 0
            self._slice_until_s = self._now_s + BACKGROUND_SLICE_S
            return True
        return self._now_s < self._slice_until_s

    def _serve_foreground(self, arrived_s: float) -> None:
        waited_s = self._now_s - arrived_s
        if self._now_s >= 0:
            self.record.foreground_delays_s.append(waited_s)

        def done(spent_s: float) -> None:
            self._work.foreground_s += spent_s
            self._work.foreground_started += 1
            self._work.foreground_delay_s += waited_s

        self._spend(self._cost_s, done)

    def _serve_background(self, device: _Device) -> None:
        device.is_waiting = False
        waited_s = self._now_s - device.admitted_s
        if device.in_crowd:
            self.record.background_delays_s.append(waited_s)

        def done(spent_s: float) -> None:
            self._work.background_s += spent_s
            self._work.background_started += 1
            self._work.background_delay_s += waited_s
            if device.in_crowd:
                self.record.served_s.append(self._now_s)
                self.record.deferrals.append(device.deferrals)
                self.record.attempts += device.attempts

        self._spend(self._cost_s, done)

    def _spend(self, cost_s: float, done: Callable[[float], None]) -> None:
        spent_s = cost_s * value_at(self._scenario.slowness, self._now_s)
        if self._stalls and self._stalls[0][0] <= self._now_s:
            spent_s += self._stalls.popleft()[1]

        def finish() -> None:
            done(spent_s)
            if self._window_is_over:
                self._close_window()
            self._serve_next()

        self._after(spent_s, finish)

    def _hello_done(self, spent_s: float) -> None:
        self._work.door_s += spent_s
        device = self._door.popleft()
        if device.is_waiting:
            self._decide(device)

    # Admission

    def _decide(self, device: _Device) -> None:
        now_s, budget, calendar = self._now_s, self._budget, self._calendar
        device.admitted_s = now_s
        if budget is None:
            self._background.append(device)
            return
        expected_s = len(self._background) * self._cost_s
        expected_s *= value_at(self._scenario.slowness, now_s)
        if device.slot_s is None:
            admitted = (
                not calendar.outstanding(now_s) and expected_s < self._hold_s and budget.take(now_s)
            )
        else:
            is_aged = device.deferrals >= SETTINGS.aged_deferrals
            factor = SETTINGS.aged_factor if is_aged else 1.0
            admitted = expected_s < self._hold_s * factor
        if admitted:
            self._background.append(device)
            return
        device.is_waiting = False
        device.deferrals += 1
        device.failures = 0
        not_before_s = now_s + SETTINGS.slot_min_s
        device.slot_s = calendar.take(now_s, budget.rate_per_s, not_before_s)
        late_s = self._crowd_chance.uniform(0, PUNCTUAL_S)
        self._after(device.slot_s + late_s - now_s, self._arrival(device))

    # The budget

    def _end_window(self) -> None:
        """The time of a window is over. It is closed when the work under way is done."""
        if self._is_busy:
            self._window_is_over = True
            return
        self._work.idle_s += self._now_s - self._idle_since_s
        self._idle_since_s = self._now_s
        self._close_window()

    def _close_window(self) -> None:
        now_s, work, record = self._now_s, self._work, self.record
        if self._budget:
            self._budget.observe(self._sample(work), now_s)
        if now_s > 0:
            record.idle_s.append((now_s, work.idle_s))
            if self._budget:
                record.rates.append((now_s, self._budget.rate_per_s))
        self._work = _Work()
        self._window_is_over = False
        self._window_since_s = now_s
        self._after(self._window_s, self._end_window)

    def _sample(self, work: _Work) -> BudgetSample:
        return BudgetSample(
            window_s=self._now_s - self._window_since_s,
            background_delay_s=work.background_delay_s / max(1, work.background_started),
            foreground_delay_s=work.foreground_delay_s / max(1, work.foreground_started),
            started=work.background_started,
            background_s=work.background_s,
            foreground_s=work.foreground_s,
            live_s=0.0,
            door_s=work.door_s,
            idle_s=work.idle_s,
            queue_length=len(self._background),
            target_s=self._target_s,
        )
