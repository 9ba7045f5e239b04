"""What a window says."""

import pytest
from msgspec.structs import replace
from tests.server.admission.samples import signals


def test_what_connects_cause() -> None:
    found = replace(signals(foreground_share=0.2, background_share=0.3), door_share=0.1)
    assert found.connect_share == pytest.approx(0.6)


def test_the_share_of_foreground_arrivals() -> None:
    found = signals()
    people = replace(found.foreground, arrivals_per_s=4.0)
    machines = replace(found.background, arrivals_per_s=96.0)
    crowd = replace(found, foreground=people, background=machines)
    assert crowd.foreground_arrival_share == pytest.approx(0.04)
    nobody = replace(people, arrivals_per_s=0.0)
    assert replace(found, foreground=nobody, background=nobody).foreground_arrival_share == 0.0
