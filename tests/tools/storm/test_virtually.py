"""The real server and real phones in a small storm: 100 of them, for some minutes."""

import random

import msgspec
import pytest

from hwangso_client.backoff import DecorrelatedJitter, FullJitter, NoJitter
from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.storm.figures import StormFigures, figures
from hwangso_tools.storm.place import Terms
from hwangso_tools.storm.run import run
from hwangso_tools.storm.scenario import (
    About,
    Foreground,
    Jitter,
    Outage,
    Phones,
    Population,
    Restart,
    Scenario,
    ServerModel,
    Slowdown,
)
from hwangso_tools.storm.virtually import VirtualPlace, backoff

SMALL = Scenario(
    About("small", "small", "small", seconds=240.0, calm_seconds=200.0),
    population=Population(100, foreground=Foreground(opens_per_hour=12, messages_per_open=1)),
    server=ServerModel(capacity_per_s=50.0),
)
"""So few phones that connects on a calm day need a server of three times the usual capacity, lest
two at once are a crowd; and busy people, that there are some in each half a minute."""

CUT = msgspec.structs.replace(
    SMALL,
    phones=Phones(connect_timeout_s=3, answer_timeout_s=3, backoff_cap_s=8),
    event=(Outage(at_s=0, share=1.0, duration_s=30),),
)
"""Impatient phones: 14 attempts a second of all of them, three times what the server can do."""


def storm(scenario: Scenario, *, control: bool) -> StormFigures:
    return figures(run(VirtualPlace(), Terms(scenario, control, seed=3), lambda moment: None))


def test_a_storm_with_the_control_off_and_on() -> None:
    """The negative control is the point: without it the same phones do not come back."""
    off, on = storm(CUT, control=False), storm(CUT, control=True)
    assert off.response_normal_after_s is None
    assert off.fg_success is not None
    assert off.fg_success < 0.5
    assert off.second_peak_ratio is None or off.second_peak_ratio > 1
    assert off.goodput_share is not None
    assert off.goodput_share < 0.2
    assert on.fg_success == 1.0
    assert on.response_normal_after_s is not None
    assert on.response_normal_after_s < 90
    assert on.max_bg_wait_s < 60
    assert 0 < on.max_deferrals <= 4


def test_the_same_seed_gives_the_same_figures() -> None:
    assert storm(SMALL, control=True) == storm(SMALL, control=True)


def test_a_calm_day_is_calm() -> None:
    calm = storm(SMALL, control=True)
    assert calm.fg_success == 1.0
    assert calm.response_normal_after_s == 0.0
    assert calm.stage_normal_after_s == 0.0
    assert calm.max_deferrals == 0


def test_a_slow_server_and_one_that_restarts() -> None:
    slow = msgspec.structs.replace(
        SMALL,
        event=(Slowdown(at_s=10, factor=4, duration_s=60), Restart(at_s=100, down_s=5)),
    )
    run_of_it = run(VirtualPlace(), Terms(slow, control=True, seed=3), lambda moment: None)
    sessions = run_of_it.series.sessions
    assert sessions[200 + 99] > 60
    assert sessions[200 + 103] == 0
    assert sessions[200 + 200] > 60


@pytest.mark.parametrize(
    ("jitter", "without", "kind"),
    [
        (Jitter.FULL, frozenset(), FullJitter),
        (Jitter.DECORRELATED, frozenset(), DecorrelatedJitter),
        (Jitter.NONE, frozenset(), NoJitter),
        (Jitter.FULL, frozenset({Mechanism.CLIENT_JITTER}), NoJitter),
    ],
)
def test_how_phones_back_off(
    jitter: Jitter, without: frozenset[Mechanism], kind: type[object]
) -> None:
    told = Scenario(SMALL.scenario, phones=Phones(jitter=jitter))
    terms = Terms(told, control=True, seed=1, without=without)
    assert isinstance(backoff(terms, random.Random(1)), kind)
