"""The terms of a run."""

import msgspec
import pytest

from hwangso_tools.storm.place import Terms
from hwangso_tools.storm.scenario import About, Population, Scenario, ServerModel


def scenario(devices: int, capacity_per_s: float) -> Scenario:
    return Scenario(
        About("x", "x", "x", 60.0),
        population=Population(devices),
        server=ServerModel(capacity_per_s),
    )


@pytest.mark.parametrize(
    ("devices", "capacity_per_s", "expected"),
    [(1_000, 15.0, 15.0), (20, 15.0, 0.3), (100_000, 15.0, 1_500.0), (500, 30.0, 15.0)],
)
def test_the_capacity_grows_with_the_population(
    devices: int, capacity_per_s: float, expected: float
) -> None:
    """So that a story can be told with any number of phones."""
    terms = Terms(scenario(devices, capacity_per_s), control=True, seed=1)
    assert terms.capacity_per_s == pytest.approx(expected)


def test_the_capacity_is_that_of_the_run() -> None:
    """Whoever plays it faster gives a scenario that is faster (`pace`), and its speed."""
    told = scenario(1_000, 15.0)
    played = msgspec.structs.replace(told, server=ServerModel(75.0))
    assert Terms(played, control=True, seed=1, speed=5.0).capacity_per_s == 75.0


def test_unless_told_otherwise_the_control_is_whole_and_the_story_as_fast_as_told() -> None:
    terms = Terms(scenario(1_000, 15.0), control=True, seed=1)
    assert (terms.without, terms.speed) == (frozenset(), 1.0)
