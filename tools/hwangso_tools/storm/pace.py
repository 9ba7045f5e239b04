"""A scenario that happens faster, for real sockets, where a second takes a second. Pure.

Everything that has a time is divided by the speed: people, phones and their timeouts, events; the
server does so many times as much in a second. The network is what it is, and so are the constants
of the server's control.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from hwangso_tools.storm.population import STAY_MIN_S
from hwangso_tools.storm.scenario import (
    Alert,
    Event,
    Messages,
    Operator,
    Outage,
    Quake,
    Restart,
    Scenario,
    Slowdown,
)

KEEPALIVE_MIN_S: Final = 1.0
"""The least that a server's configuration allows."""


def cut(scenario: Scenario) -> Scenario:
    """As much of a scenario as is played on real sockets: its `real_seconds`."""
    about = scenario.scenario
    seconds = about.real_seconds or about.seconds
    told = msgspec.structs.replace(
        about, seconds=seconds, calm_seconds=about.real_calm_seconds or about.calm_seconds
    )
    events = tuple(event for event in scenario.event if event.at_s < seconds)
    return msgspec.structs.replace(scenario, scenario=told, event=events)


def faster(scenario: Scenario) -> Scenario:
    """The same at `real_speed`."""
    about, phones = scenario.scenario, scenario.phones
    population, speed = scenario.population, about.real_speed
    background, foreground = population.background, population.foreground
    pace, replace = _Pace(speed), msgspec.structs.replace
    return replace(
        scenario,
        scenario=replace(
            about, seconds=pace.time(about.seconds), calm_seconds=pace.time(about.calm_seconds)
        ),
        population=replace(
            population,
            background=replace(
                background,
                idle_s=pace.time(background.idle_s),
                sleep_s=pace.time(background.sleep_s),
            ),
            foreground=replace(
                foreground,
                opens_per_hour=foreground.opens_per_hour * speed,
                stay_s=max(STAY_MIN_S, pace.time(foreground.stay_s)),
            ),
        ),
        phones=replace(
            phones,
            connect_timeout_s=pace.time(phones.connect_timeout_s),
            answer_timeout_s=pace.time(phones.answer_timeout_s),
            backoff_base_s=pace.time(phones.backoff_base_s),
            backoff_cap_s=pace.time(phones.backoff_cap_s),
            keepalive_s=max(KEEPALIVE_MIN_S, pace.time(phones.keepalive_s)),
        ),
        server=replace(scenario.server, capacity_per_s=scenario.server.capacity_per_s * speed),
        event=tuple(map(pace.event, scenario.event)),
    )


@dataclass(frozen=True, slots=True)
class _Pace:
    speed: float

    def time(self, seconds: float) -> float:
        return seconds / self.speed

    def event(self, event: Event) -> Event:
        replace = msgspec.structs.replace
        at_s = self.time(event.at_s)
        match event:
            case Alert():
                return replace(event, at_s=at_s, spread_s=self.time(event.spread_s))
            case Quake():
                return replace(event, at_s=at_s, decay_s=self.time(event.decay_s))
            case Outage():
                return replace(
                    event,
                    at_s=at_s,
                    duration_s=self.time(event.duration_s),
                    spread_s=self.time(event.spread_s),
                )
            case Messages() | Slowdown() | Operator():
                return replace(event, at_s=at_s, duration_s=self.time(event.duration_s))
            case Restart():
                return replace(event, at_s=at_s, down_s=self.time(event.down_s))
