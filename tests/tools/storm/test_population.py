"""People and phones as they are drawn; numbers are those of the seed."""

from itertools import islice, pairwise
from math import exp
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_tools.storm.population import (
    STAY_MIN_S,
    Opens,
    People,
    Rest,
    Visit,
    alerted_at_s,
    hit_by,
    let_in_at_s,
    liars,
    poisson,
)
from hwangso_tools.storm.scenario import (
    About,
    Action,
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

HOUR_S = 3_600.0


def scenario(*events: Event, foreground: Foreground | None = None) -> Scenario:
    return Scenario(
        About("x", "x", "x", HOUR_S),
        population=Population(foreground=foreground or Foreground()),
        event=events,
    )


def visits(told: Scenario, devices: int = 1_000, seed: int = 1) -> list[list[Visit]]:
    people = People(told, seed)
    return [list(people.visits(device, 0.0, HOUR_S)) for device in range(devices)]


def test_people_of_a_calm_day() -> None:
    calm = [visit for person in visits(scenario()) for visit in person]
    assert len(calm) == 1_915  # 2 an hour, less the time in which the app is open already
    stays = [visit.left_at_s - visit.opened_at_s for visit in calm]
    assert min(stays) >= STAY_MIN_S
    assert round(fmean(stays), 1) == 60.0
    assert round(fmean(len(visit.messages_at_s) for visit in calm), 2) == 1.98


def test_a_person_does_one_thing_after_the_other() -> None:
    for person in visits(scenario(Quake(at_s=0, factor=50, decay_s=600)), devices=20):
        for visit in person:
            assert 0 <= visit.opened_at_s < HOUR_S
            assert list(visit.messages_at_s) == sorted(visit.messages_at_s)
            assert all(visit.opened_at_s <= at <= visit.left_at_s for at in visit.messages_at_s)
        for earlier, later in pairwise(person):
            assert earlier.left_at_s < later.opened_at_s


def test_the_same_seed_gives_the_same_people_whoever_else_there_is() -> None:
    assert visits(scenario(), devices=5) == visits(scenario(), devices=10)[:5]
    assert visits(scenario(), devices=5) != visits(scenario(), devices=5, seed=2)


def test_a_quake_makes_people_open_the_app() -> None:
    shaken = scenario(Quake(at_s=1_800, factor=10, decay_s=300))
    opened = [visit.opened_at_s for person in visits(shaken) for visit in person]
    before = sum(at < 1_800 for at in opened)
    at_once = sum(1_800 <= at < 1_860 for at in opened)
    later = sum(at >= 3_300 for at in opened)
    assert (before, at_once, later) == (988, 258, 195)  # 33 a minute; ten times; 39


def test_what_comes_before_a_quake_stays_as_it_was() -> None:
    calm = visits(scenario(), devices=50)
    shaken = visits(scenario(Quake(at_s=1_800, factor=10, decay_s=300)), devices=50)
    for one, other in zip(calm, shaken, strict=True):
        before = [visit for visit in one if visit.opened_at_s < 1_800]
        for seen, visit in zip(other, before, strict=False):
            assert seen.opened_at_s == pytest.approx(visit.opened_at_s)
            assert seen.left_at_s == pytest.approx(visit.left_at_s)


def test_a_burst_of_messages() -> None:
    burst = scenario(Messages(at_s=600, factor=3, duration_s=600))
    every = [visit for person in visits(burst) for visit in person]
    inside = [len(visit.messages_at_s) for visit in every if 600 <= visit.opened_at_s < 1_200]
    outside = [len(visit.messages_at_s) for visit in every if visit.opened_at_s >= 1_200]
    assert round(fmean(inside), 2) == 5.93
    assert round(fmean(outside), 2) == 1.97


def test_nobody_opens_the_app() -> None:
    assert visits(scenario(foreground=Foreground(opens_per_hour=0)), devices=3) == [[], [], []]


def test_everybody_just_looks() -> None:
    looks = scenario(foreground=Foreground(stay_s=5, messages_per_open=0))
    every = [visit for person in visits(looks, devices=20) for visit in person]
    assert every
    for visit in every:
        assert visit.left_at_s - visit.opened_at_s == pytest.approx(5)
        assert visit.messages_at_s == ()


@given(st.floats(0, 3_000), st.floats(1.0, 100.0), st.floats(1.0, 2_000.0))
def test_the_rate_is_the_slope_of_what_is_expected(
    at_s: float, factor: float, decay_s: float
) -> None:
    opens = Opens(Foreground(), [Quake(at_s=1_000, factor=factor, decay_s=decay_s)])
    slope = (opens.expected(at_s + 0.001) - opens.expected(at_s)) / 0.001
    if abs(at_s - 1_000) > 0.01:
        assert slope == pytest.approx(opens.per_s(at_s), rel=0.01, abs=1e-6)
    assert opens.moment(opens.expected(at_s), -10, 5_000) == pytest.approx(at_s, abs=0.001)


def test_how_excitement_falls() -> None:
    opens = Opens(Foreground(opens_per_hour=3_600), [Quake(at_s=10, factor=6, decay_s=100)])
    assert opens.per_s(9.9) == 1
    assert opens.per_s(10) == 6
    assert opens.per_s(110) == pytest.approx(1 + 5 * exp(-1))


def test_how_phones_rest() -> None:
    rests = [Rest(Background(), 1, device) for device in range(2_000)]
    assert sum(rest.begins_asleep() for rest in rests) == 556  # 360 of 1,260
    first = [rest.idle_s() for rest in rests]
    assert round(fmean(first)) == 446  # in the middle of a connection that lasts 900
    later = [rest.idle_s() for rest in rests]
    assert round(fmean(later)) == 900
    assert 675 <= min(later) < max(later) <= 1_125
    assert round(fmean(rest.sleep_s() for rest in rests)) == 361


@pytest.mark.parametrize(("share", "number"), [(0.0, 0), (0.1, 10), (0.125, 12), (1.0, 100)])
def test_liars_are_exactly_their_share(share: float, number: int) -> None:
    lying = liars(Population(100, liars=share), seed=1)
    assert len(lying) == number
    assert lying <= set(range(100))


def test_liars_follow_from_the_seed() -> None:
    """And are drawn from all devices, not the first ones."""
    tenth = Population(100, liars=0.1)
    assert liars(tenth, seed=1) == liars(tenth, seed=1) != liars(tenth, seed=2)
    assert max(liars(tenth, seed=1)) >= 10


def test_messages_are_a_poisson_number() -> None:
    rng = Random(1)
    numbers = [poisson(rng, 2.0) for _ in range(10_000)]
    assert round(fmean(numbers), 2) == 1.99
    assert round(numbers.count(0) / 10_000, 2) == round(exp(-2), 2)
    assert poisson(rng, 0.0) == 0


def test_an_alert_reaches_everybody_within_its_spread() -> None:
    moments = alerted_at_s(Alert(at_s=10, spread_s=4), 100, seed=1, number=0)
    assert len(moments) == 100
    assert 10 <= min(moments) < 10.5
    assert 13.5 < max(moments) <= 14
    assert alerted_at_s(Alert(at_s=10, spread_s=0), 3, 1, 0) == [10, 10, 10]


def test_an_outage_takes_exactly_its_share() -> None:
    hits = hit_by(Outage(at_s=10, share=0.3, duration_s=60, spread_s=5), 100, seed=1, number=2)
    assert len(hits) == len({hit.device for hit in hits}) == 30
    assert all(70 <= hit.back_at_s <= 75 for hit in hits)
    others = hit_by(Outage(at_s=10, share=0.3, duration_s=60, spread_s=5), 100, seed=1, number=3)
    assert {hit.device for hit in hits} != {hit.device for hit in others}


def test_the_operator_lets_phones_in_evenly() -> None:
    event = Operator(at_s=100, action=Action.RELIEVE, duration_s=10)
    let_in = let_in_at_s(event, 5, seed=1, number=0)
    assert sorted(let_in) == [102, 104, 106, 108, 110]
    assert let_in != sorted(let_in)


def test_visits_are_made_as_they_are_needed() -> None:
    endless = People(scenario(), 1).visits(0, 0.0, 1e9)
    assert len(list(islice(endless, 3))) == 3
