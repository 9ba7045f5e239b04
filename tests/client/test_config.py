import dataclasses
import random

import pytest

from hwangso_client.config import DeviceConfig, Sources

GOOD = DeviceConfig(bytes(32), "alice", "secret")


def test_a_password_may_be_missing() -> None:
    assert DeviceConfig(bytes(32), "alice").password == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"user": "Alice!"}, "Alice!.*user"),
        ({"user": ""}, "user"),
        ({"user": "a" * 33}, "user"),
        ({"password": "x" * 257}, "password"),
        ({"device_name": ""}, "device"),
        ({"server_key": bytes(31)}, "key"),
        ({"outbox_limit": 0}, "limit"),
        ({"in_flight_limit": 0}, "limit"),
        ({"inbox_limit": -1}, "limit"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused_early(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        dataclasses.replace(GOOD, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_wall_time_in_ms() -> None:
    assert Sources(random.Random(0), bytes, lambda: 1.5).wall_ms() == 1500
