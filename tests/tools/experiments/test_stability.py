"""The stability map: its cells, and two of them run."""

import pytest

from hwangso_tools.experiments import stability
from hwangso_tools.experiments.stability import (
    BOUND_S,
    DURATIONS_S,
    SHARES,
    Cell,
    cells,
    trial,
)
from hwangso_tools.experiments.trial import carry_out
from hwangso_tools.storm.scenario import Outage


def test_both_maps_have_all_cells() -> None:
    found = cells(SHARES, DURATIONS_S)
    assert len(set(found)) == len(found) == 2 * len(SHARES) * len(DURATIONS_S)
    assert cells([0.5], [10.0, 60.0]) == [
        Cell(False, 10.0, 0.5),
        Cell(False, 60.0, 0.5),
        Cell(True, 10.0, 0.5),
        Cell(True, 60.0, 0.5),
    ]


@pytest.mark.parametrize("told", [True, False])
def test_a_cell_is_one_outage_and_the_bound(told: bool) -> None:
    made = trial(Cell(True, 60.0, 0.3), 100, 7, told=told)
    assert made.scenario.event == (Outage(at_s=0.0, share=0.3, duration_s=60.0, silently=not told),)
    assert made.scenario.scenario.seconds == 60 + BOUND_S
    assert made.scenario.population.devices == 100
    assert (made.control, made.seed, made.without) == (True, 7, ())


def test_an_outage_of_all_outlives_its_trigger_unless_there_is_control(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With fewer phones one handshake takes so long that the control has no room either."""
    monkeypatch.setattr(stability, "BOUND_S", 300.0)
    off, on, small = (
        carry_out(trial(Cell(control, 10.0, share), 100, 1, told=True)).back_after_s
        for control, share in ((False, 1.0), (True, 1.0), (False, 0.1))
    )
    assert off is None
    assert on is not None
    assert small is not None
    assert small < on < 200
