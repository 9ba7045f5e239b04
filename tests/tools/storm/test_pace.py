"""A story cut down and played faster."""

import msgspec
import pytest

from hwangso_tools.storm.library import find
from hwangso_tools.storm.pace import cut, faster
from hwangso_tools.storm.population import STAY_MIN_S
from hwangso_tools.storm.scenario import (
    About,
    Action,
    Alert,
    Foreground,
    Messages,
    Operator,
    Outage,
    Phones,
    Population,
    Quake,
    Restart,
    Scenario,
    Slowdown,
)


def scenario() -> Scenario:
    return Scenario(
        About("x", "x", "x", 1_000, 500, real_seconds=100, real_calm_seconds=50, real_speed=10),
        event=(
            Quake(at_s=10, factor=5, decay_s=100),
            Alert(at_s=20, spread_s=5),
            Outage(at_s=30, share=0.5, duration_s=40, silently=True, spread_s=20),
            Messages(at_s=40, factor=3, duration_s=50),
            Slowdown(at_s=50, factor=2, duration_s=60),
            Restart(at_s=60, down_s=30),
            Operator(at_s=900, action=Action.RELIEVE, duration_s=600),
        ),
    )


def test_what_real_sockets_have_time_for() -> None:
    short = cut(scenario())
    assert (short.scenario.seconds, short.scenario.calm_seconds) == (100, 50)
    assert short.event == scenario().event[:-1]


@pytest.mark.parametrize(("at_s", "is_played"), [(99.9, True), (100.0, False)])
def test_an_event_at_the_end_is_none(at_s: float, is_played: bool) -> None:
    told = msgspec.structs.replace(scenario(), event=(Alert(at_s=at_s),))
    assert bool(cut(told).event) is is_played


def test_a_story_that_is_played_whole() -> None:
    whole = find("carrier-outage")
    assert cut(whole) == whole
    assert faster(whole) == whole


def test_all_that_has_a_time_is_faster() -> None:
    fast = faster(scenario())
    assert (fast.scenario.seconds, fast.scenario.calm_seconds) == (100, 50)
    assert fast.event == (
        Quake(at_s=1, factor=5, decay_s=10),
        Alert(at_s=2, spread_s=0.5),
        Outage(at_s=3, share=0.5, duration_s=4, silently=True, spread_s=2),
        Messages(at_s=4, factor=3, duration_s=5),
        Slowdown(at_s=5, factor=2, duration_s=6),
        Restart(at_s=6, down_s=3),
        Operator(at_s=90, action=Action.RELIEVE, duration_s=60),
    )
    background, foreground = fast.population.background, fast.population.foreground
    assert (background.idle_s, background.idle_spread, background.sleep_s) == (90, 0.25, 36)
    assert (foreground.opens_per_hour, foreground.stay_s, foreground.messages_per_open) == (
        20,
        6,
        2,
    )
    assert fast.phones == Phones(1, 1, 0.1, 6, keepalive_s=30)
    assert fast.server.capacity_per_s == 150
    assert fast.network == scenario().network


def test_what_cannot_be_shorter() -> None:
    told = msgspec.structs.replace(
        scenario(),
        population=Population(foreground=Foreground(stay_s=30)),
        phones=Phones(keepalive_s=5),
    )
    fast = faster(told)
    assert fast.population.foreground.stay_s == STAY_MIN_S
    assert fast.phones.keepalive_s == 1
