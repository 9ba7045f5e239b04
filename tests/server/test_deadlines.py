"""Deadlines in buckets: late by a tick at most, never early, each item once."""

from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.deadlines import TICK_S, Deadlines

TIMES = st.floats(0, 1_000, allow_nan=False)


def take_all(deadlines: Deadlines[int], now_s: float) -> list[int]:
    taken = []
    while due := deadlines.take_due(now_s, 3):
        taken += due
    return taken


def test_an_item_is_due_within_a_tick() -> None:
    deadlines = Deadlines[str]()
    deadlines.set("x", 10.0)
    assert deadlines.take_due(9.99, 10) == []
    assert deadlines.take_due(10.0, 10) == []
    assert deadlines.take_due(10.0 + TICK_S, 10) == ["x"]
    assert deadlines.take_due(20.0, 10) == []
    assert len(deadlines) == 0


def test_a_deadline_in_the_past_is_due_with_the_next_tick() -> None:
    deadlines = Deadlines[str]()
    assert deadlines.take_due(100.0, 10) == []
    deadlines.set("x", 5.0)
    assert deadlines.take_due(100.0, 10) == []  # this tick is over: who works it off gets an end
    assert deadlines.take_due(100.0 + TICK_S, 10) == ["x"]


def test_no_more_than_the_limit_at_once() -> None:
    deadlines = Deadlines[int]()
    for number in range(10):
        deadlines.set(number, 1.0 + number % 2)
    sizes = []
    while due := deadlines.take_due(5.0, 4):
        sizes.append(len(due))
    assert sizes == [4, 4, 2]


def test_dropping() -> None:
    deadlines = Deadlines[str]()
    bucket = deadlines.set("x", 1.0)
    deadlines.set("y", 1.0)
    deadlines.drop("x", bucket)
    deadlines.drop("x", bucket)
    deadlines.drop("never", 12_345)
    assert deadlines.take_due(5.0, 10) == ["y"]
    deadlines.drop("y", bucket)


@given(st.lists(TIMES, max_size=30), st.lists(TIMES, max_size=20))
def test_each_item_once_and_in_time(wanted: list[float], looks: list[float]) -> None:
    deadlines = Deadlines[int]()
    for item, deadline_s in enumerate(wanted):
        deadlines.set(item, deadline_s)
    taken: list[int] = []
    for now_s in sorted(looks):
        due = take_all(deadlines, now_s)
        assert all(wanted[item] <= now_s for item in due)
        taken += due
        missing = set(range(len(wanted))) - set(taken)
        assert all(wanted[item] > now_s - TICK_S for item in missing)
        assert len(deadlines) == len(missing)
    assert len(taken) == len(set(taken))


@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "drop", "pass"]), st.integers(0, 4), st.floats(0, 9)),
        max_size=40,
    )
)
def test_setting_and_dropping_in_any_order(steps: list[tuple[str, int, float]]) -> None:
    deadlines = Deadlines[int]()
    buckets: dict[int, int] = {}
    now_s = 0.0
    for what, item, wait_s in steps:
        if what == "set" and item not in buckets:
            buckets[item] = deadlines.set(item, now_s + wait_s)
        elif what == "drop" and item in buckets:
            deadlines.drop(item, buckets.pop(item))
        elif what == "pass":
            now_s += wait_s
            for due in take_all(deadlines, now_s):
                del buckets[due]
        assert len(deadlines) == len(buckets)
    assert set(take_all(deadlines, now_s + 10)) == set(buckets)


def test_the_order_is_the_same_on_every_run() -> None:
    def run() -> list[int]:
        deadlines = Deadlines[int]()
        for number in range(20):
            deadlines.set(number, 1.0)
        return take_all(deadlines, 9.0)

    assert run() == run()
