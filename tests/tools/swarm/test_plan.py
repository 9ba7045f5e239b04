from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_tools.errors import CommandError
from hwangso_tools.swarm.plan import Plan, check


def plan(**changes: Any) -> Plan:
    settings: dict[str, Any] = {"devices": 16, "users": 2, **changes}
    return Plan(
        run="run-1",
        password="x",
        host="127.0.0.1",
        foreground_port=1,
        background_port=2,
        server_key=bytes(32),
        **settings,
    )


def test_a_good_plan() -> None:
    check(plan())


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"devices": 0}, "--devices"),
        ({"processes": 0}, "--processes"),
        ({"processes": 17}, "--processes"),
        ({"seconds": -1}, "--seconds"),
        ({"message_rate": -0.1}, "--message-rate"),
        ({"users": 0}, "--users"),
        ({"users": 17}, "--users"),
        ({"users": 1}, "--users"),
        ({"devices": 129, "users": 2}, "--users"),
        ({"seconds": 1e6, "message_rate": 1.0}, "at most 1,000,000"),
    ],
)
def test_plans_that_cannot_be_carried_out(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(CommandError, match=flag):
        check(plan(**changes))


def test_one_user_may_keep_silent() -> None:
    check(plan(users=1, message_rate=0.0))


@given(st.integers(1, 200), st.integers(1, 9))
def test_the_shares_are_all_devices_once(devices: int, processes: int) -> None:
    whole = plan(devices=devices, processes=processes)
    shares = [index for process in range(processes) for index in whole.share(process)]
    assert sorted(shares) == list(range(devices))


def test_names_of_users() -> None:
    assert plan().user_name(7) == "run-1-7"
    assert plan().user_number("run-1-7") == 7
    assert plan().user_number("run-2-7") is None
    assert plan().user_number("run-1-x") is None
    assert plan().user_number("bob") is None
