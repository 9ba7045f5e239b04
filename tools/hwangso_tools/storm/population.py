"""What people and their phones would do on that day, whatever the server does. Pure, and seeded.

Everything here is drawn from the seed, the number of the device and the purpose, so the same people
open the app at the same moments with the control off and on, and adding a device changes nobody
else. Times are seconds of the scenario (0 is where the story begins; the calm day is before it).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Final

from hwangso_tools.storm.scenario import (
    Alert,
    Background,
    Event,
    Foreground,
    Messages,
    Operator,
    Outage,
    Population,
    Quake,
    Scenario,
)

STAY_MIN_S: Final = 5.0
"""Who opens the app looks at it for so long."""

INVERSE_STEPS: Final = 48
"""Halvings that find a moment to less than a microsecond within a day."""


@dataclass(frozen=True, slots=True)
class Visit:
    """The app is opened, messages are written, the app is left."""

    opened_at_s: float
    left_at_s: float
    messages_at_s: tuple[float, ...]


class Opens:
    """How often a person opens the app, as it changes with quakes. A unit Poisson process whose
    time is stretched by it is the person's: the same chance gives the same person."""

    def __init__(self, foreground: Foreground, events: Sequence[Event]) -> None:
        self._per_s = foreground.opens_per_hour / 3600
        self._quakes = [event for event in events if isinstance(event, Quake)]

    def per_s(self, at_s: float) -> float:
        """Opens a second of one person at that time."""
        return self._per_s * (
            1
            + sum(
                (quake.factor - 1) * exp((quake.at_s - at_s) / quake.decay_s)
                for quake in self._quakes
                if at_s >= quake.at_s
            )
        )

    def expected(self, at_s: float) -> float:
        """The integral of `per_s` from 0, which is negative before it."""
        return self._per_s * (
            at_s
            + sum(
                (quake.factor - 1) * quake.decay_s * (1 - exp((quake.at_s - at_s) / quake.decay_s))
                for quake in self._quakes
                if at_s >= quake.at_s
            )
        )

    def moment(self, expected: float, low_s: float, high_s: float) -> float:
        """The inverse of `expected`, which must lie between those of `low_s` and `high_s`."""
        for _ in range(INVERSE_STEPS):
            middle_s = (low_s + high_s) / 2
            if self.expected(middle_s) < expected:
                low_s = middle_s
            else:
                high_s = middle_s
        return high_s


class People:
    """The people of a scenario, one a device."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._foreground = scenario.population.foreground
        self._opens = Opens(self._foreground, scenario.event)
        self._bursts = [event for event in scenario.event if isinstance(event, Messages)]
        self._seed = seed

    def visits(self, device: int, from_s: float, until_s: float) -> Iterator[Visit]:
        """When this person opens the app, in order of time."""
        if self._foreground.opens_per_hour <= 0:
            return
        rng = Random(f"{self._seed} visits {device}")
        end = self._opens.expected(until_s)
        free_from_s = from_s
        while True:
            expected = self._opens.expected(free_from_s) + rng.expovariate(1.0)
            if expected >= end:
                return
            opened_at_s = self._opens.moment(expected, free_from_s, until_s)
            stay_s = STAY_MIN_S
            if self._foreground.stay_s > STAY_MIN_S:
                stay_s += rng.expovariate(1 / (self._foreground.stay_s - STAY_MIN_S))
            number = poisson(rng, self._foreground.messages_per_open * self._factor(opened_at_s))
            moments = sorted(opened_at_s + stay_s * rng.random() for _ in range(number))
            free_from_s = opened_at_s + stay_s
            yield Visit(opened_at_s, free_from_s, tuple(moments))

    def _factor(self, at_s: float) -> float:
        factor = 1.0
        for burst in self._bursts:
            if burst.at_s <= at_s < burst.at_s + burst.duration_s:
                factor *= burst.factor
        return factor


class Rest:
    """How long a device's connections last when nobody looks, and how long it then sleeps. A run
    begins in the middle of a day: at first, a connection has been idle for some time already."""

    __slots__ = ("_background", "_begun", "_rng")

    def __init__(self, background: Background, seed: int, device: int) -> None:
        self._background = background
        self._rng = Random(f"{seed} rest {device}")
        self._begun = False

    def begins_asleep(self) -> bool:
        """Whether the device has no connection to begin with."""
        background = self._background
        return self._rng.random() * (background.idle_s + background.sleep_s) < background.sleep_s

    def idle_s(self) -> float:
        """How long the next connection lasts while it lies idle."""
        spread = self._background.idle_spread
        idle_s = self._background.idle_s * self._rng.uniform(1 - spread, 1 + spread)
        if not self._begun:
            self._begun = True
            return idle_s * self._rng.random()
        return idle_s

    def sleep_s(self) -> float:
        """How long it sleeps."""
        return self._rng.expovariate(1 / self._background.sleep_s)


def liars(population: Population, seed: int) -> frozenset[int]:
    """The devices that lie, exactly their share."""
    devices = range(population.devices)
    count = round(population.liars * population.devices)
    return frozenset(Random(f"{seed} liars").sample(devices, count))


def poisson(rng: Random, mean: float) -> int:
    """A number of things that happen independently, `mean` in the mean: arrivals of a unit Poisson
    process within `mean`."""
    number, at = 0, rng.expovariate(1.0)
    while at < mean:
        number, at = number + 1, at + rng.expovariate(1.0)
    return number


def alerted_at_s(event: Alert, devices: int, seed: int, number: int) -> list[float]:
    """When the alert wakes each device; `number` is that of the event."""
    rng = Random(f"{seed} alert {number}")
    return [event.at_s + event.spread_s * rng.random() for _ in range(devices)]


@dataclass(frozen=True, slots=True)
class Hit:
    """A device loses its service, and when it has it again."""

    device: int
    back_at_s: float


def hit_by(event: Outage, devices: int, seed: int, number: int) -> list[Hit]:
    """The devices that an outage takes, exactly its share of them."""
    rng = Random(f"{seed} outage {number}")
    hit = rng.sample(range(devices), round(event.share * devices))
    back_s = event.at_s + event.duration_s
    return [Hit(device, back_s + event.spread_s * rng.random()) for device in sorted(hit)]


def let_in_at_s(event: Operator, devices: int, seed: int, number: int) -> list[float]:
    """When the operator lets each device in again: evenly, in random order."""
    order = list(range(devices))
    Random(f"{seed} operator {number}").shuffle(order)
    return [event.at_s + event.duration_s * (place + 1) / devices for place in order]
