"""What each stage asks of everything that is not a connect: the table of the design."""

from itertools import pairwise

import pytest

from hwangso_server.admission import PushWakes, Stage, Treatment
from hwangso_server.admission.treatment import TREATMENTS


@pytest.mark.parametrize(
    ("stage", "treatment"),
    [
        (Stage.NORMAL, Treatment(1.0, 1.0, True, PushWakes.AT_ONCE, True, True)),
        (Stage.BUSY, Treatment(2.0, 1.0, True, PushWakes.PACED, True, True)),
        (Stage.EMERGENCY, Treatment(4.0, 2.0, False, PushWakes.HELD, True, True)),
        (Stage.SHIELD, Treatment(4.0, 2.0, False, PushWakes.HELD, False, False)),
    ],
)
def test_the_table(stage: Stage, treatment: Treatment) -> None:
    assert TREATMENTS[stage] == treatment


def test_every_stage_has_a_row() -> None:
    assert set(TREATMENTS) == set(Stage)


def test_a_higher_stage_asks_for_no_less() -> None:
    rows = [TREATMENTS[stage] for stage in sorted(Stage)]
    wakes = list(PushWakes)
    for lower, higher in pairwise(rows):
        assert higher.keepalive_factor >= lower.keepalive_factor
        assert higher.ticket_lifetime_factor >= lower.ticket_lifetime_factor
        assert higher.background_sync <= lower.background_sync
        assert wakes.index(higher.push_wakes) >= wakes.index(lower.push_wakes)
        assert higher.typing <= lower.typing
        assert higher.presence <= lower.presence
