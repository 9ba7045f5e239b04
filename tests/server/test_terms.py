"""What a device is given with its session, stage by stage."""

import pytest

from hwangso_protocol.messages import Policy
from hwangso_server.admission import Stage
from hwangso_server.admission.treatment import TREATMENTS
from hwangso_server.config import Config
from hwangso_server.terms import Terms

CONFIG = Config(keepalive_s=60, backoff_base_ms=500, backoff_cap_ms=16_000)


@pytest.mark.parametrize(
    ("stage", "keepalive_s", "background_sync", "lifetime_factor"),
    [
        (Stage.NORMAL, 60, True, 1.0),
        (Stage.BUSY, 120, True, 1.0),
        (Stage.EMERGENCY, 240, False, 2.0),
        (Stage.SHIELD, 240, False, 2.0),
    ],
)
def test_each_stage(
    stage: Stage, keepalive_s: int, background_sync: bool, lifetime_factor: float
) -> None:
    """A session is dead after 2.5 of the intervals that its own device was told."""
    terms = Terms.of(CONFIG, TREATMENTS[stage])
    assert terms.policy == Policy(keepalive_s * 1000, 500, 16_000, background_sync)
    assert terms.idle_timeout_s == 2.5 * keepalive_s
    assert terms.ticket_lifetime_factor == lifetime_factor
