"""One queue: who waits, for how long, and what one handshake costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.admission.samples import SETTINGS

from hwangso_server.admission.queueing import Queue

WINDOW_S = 0.1
GAIN = 0.1


def new_queue() -> Queue:
    """Its handshakes cost 0.3 ms, it is thought."""
    return Queue(SETTINGS)


def close(queue: Queue, elapsed_s: float = WINDOW_S) -> float:
    """End a window; gives what stands after it."""
    queue.judge(elapsed_s, GAIN)
    queue.open()
    return queue.standing_s


def serve(queue: Queue, *waited_s: float, weight: float = 1.0) -> None:
    """Callers, each admitted and begun in this window."""
    for delay_s in waited_s:
        queue.admit(weight)
        queue.start(delay_s)


# Who waits


def test_the_work_that_waits() -> None:
    queue = new_queue()
    queue.admit(1.0)
    queue.admit(3.0)
    assert queue.waiting == 2
    assert queue.expected_s == pytest.approx(4 * 0.0003)
    assert queue.leave(0.0) == pytest.approx(2.0)  # who it was is not told: the mean
    assert queue.expected_s == pytest.approx(2 * 0.0003)
    queue.leave(0.0)
    assert (queue.waiting, queue.weight) == (0, 0.0)


@given(st.lists(st.sampled_from([1.0, 1.8, 2.0]), max_size=30), st.integers(0, 30))
def test_weights_add_up(weights: list[float], leaving: int) -> None:
    queue = new_queue()
    for weight in weights:
        queue.admit(weight)
    left = sum(queue.leave(0.0) for _ in range(min(leaving, len(weights))))
    assert left + queue.weight == pytest.approx(sum(weights))
    assert queue.weight >= 0


def test_what_was_begun_in_a_window() -> None:
    queue = new_queue()
    serve(queue, 0.010, 0.030, weight=2.0)
    assert queue.started == 2
    assert queue.started_weight == pytest.approx(4.0)
    assert queue.mean_delay_s == pytest.approx(0.020)
    assert not queue.is_quiet
    close(queue)
    assert (queue.started, queue.mean_delay_s) == (0, 0.0)
    assert queue.is_quiet


# A standing queue


def test_a_queue_stands_after_five_windows() -> None:
    queue = new_queue()
    found = []
    for delay_s in (0.030, 0.025, 0.040, 0.050, 0.060, 0.070):
        serve(queue, delay_s, delay_s + 0.1)
        found.append(close(queue))
    assert found == [0.0, 0.0, 0.0, 0.0, 0.025, 0.025]


def test_one_short_delay_ends_it() -> None:
    queue = new_queue()
    for _ in range(5):
        serve(queue, 0.3)
        close(queue)
    assert queue.standing_s == 0.3
    serve(queue, 0.3, 0.001, 0.3)
    assert close(queue) == 0.001


def test_a_burst_that_is_absorbed_does_not_stand() -> None:
    """A garbage collection of 0.3 s: the delays after it come down within the half second."""
    queue = new_queue()
    for delays_s in ([0.001], [0.3, 0.2], [0.15, 0.1], [0.05, 0.001], [0.001], [0.001]):
        serve(queue, *delays_s)
        assert close(queue) <= 0.001


def test_who_is_not_served_waits_longer_with_each_window() -> None:
    queue = new_queue()
    queue.admit(1.0)
    assert [close(queue) for _ in range(7)] == [
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,  # the window in which it came began without it
        pytest.approx(0.1),
        pytest.approx(0.2),
    ]


def test_a_queue_served_newest_first_stands_although_delays_are_short() -> None:
    queue = new_queue()
    for _ in range(200):
        queue.admit(1.0)
    for _ in range(6):
        serve(queue, 0.0, 0.0)
        close(queue)
    assert queue.standing_s == pytest.approx(200 * queue.cost_s)


def test_a_queue_that_hangs_up_does_not_stand() -> None:
    queue = new_queue()
    queue.admit(1.0)
    for _ in range(6):
        close(queue)
    assert queue.standing_s > 0
    queue.leave(0.0)
    queue.admit(1.0)
    assert close(queue) == 0.0


def test_a_queue_that_outlasts_everybodys_patience_stands() -> None:
    """Nobody in it is served: each is gone when the turn comes."""
    queue = new_queue()
    for _ in range(6):
        queue.admit(1.0)
        queue.leave(5.0)
        close(queue)
    assert queue.standing_s == 5.0


def test_an_empty_queue_does_not_stand() -> None:
    queue = new_queue()
    assert [close(queue) for _ in range(6)] == [0.0] * 6


# What a handshake costs


def test_the_first_handshakes_replace_the_assumption() -> None:
    queue = new_queue()
    was_measured = queue.is_measured
    serve(queue, 0.0, 0.0)
    queue.work_s = 0.1
    close(queue)
    assert (was_measured, queue.is_measured) == (False, True)
    assert queue.cost_s == pytest.approx(0.05)


def measured(cost_s: float) -> Queue:
    """A queue whose handshakes have cost that for long."""
    queue = new_queue()
    for _ in range(20):
        serve(queue, *[0.0] * 30)
        queue.work_s = 30 * cost_s
        close(queue)
    assert queue.cost_s == pytest.approx(cost_s)
    return queue


def test_a_pause_that_falls_into_a_handshake_is_not_its_cost() -> None:
    queue = measured(0.0003)
    serve(queue, 0.0)
    queue.work_s = 0.3
    close(queue)
    assert queue.cost_s < 0.0004


def test_a_server_that_became_slow_is_known_within_a_second() -> None:
    queue = measured(0.0003)
    for _ in range(10):
        serve(queue, *[0.0] * 16)
        queue.work_s = 16 * 0.006
        close(queue)
    assert queue.cost_s == pytest.approx(0.006, rel=0.2)


def test_a_login_counts_as_several_resumes() -> None:
    queue = new_queue()
    serve(queue, *[0.0] * 10, weight=2.0)
    queue.work_s = 10 * 0.0006
    close(queue)
    assert queue.cost_s == pytest.approx(0.0003)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 10)), max_size=40))
def test_cost_changes_by_a_factor_of_two_a_window_at_most(
    windows: list[tuple[int, float]],
) -> None:
    queue = measured(0.001)
    for started, work_s in windows:
        before_s = queue.cost_s
        serve(queue, *[0.0] * started)
        queue.work_s = work_s
        close(queue)
        assert before_s / 2 <= queue.cost_s <= before_s * 2


# Smoothed


def test_arrivals_a_second() -> None:
    queue = new_queue()
    queue.arrivals = 50
    close(queue)
    assert queue.arrivals_per_s == pytest.approx(GAIN * 500)
    close(queue)
    assert queue.arrivals_per_s == pytest.approx(GAIN * 500 * (1 - GAIN))


def test_response_times() -> None:
    queue = new_queue()
    queue.answer(0.8)
    assert queue.signals().response_s == pytest.approx(0.1)
    for _ in range(100):
        queue.answer(0.8)
    assert queue.signals().response_s == pytest.approx(0.8, rel=1e-4)


def test_signals_are_of_the_window_judged() -> None:
    queue = new_queue()
    queue.arrivals = 3
    serve(queue, 0.02, 0.04)
    queue.admit(1.0)
    queue.judge(WINDOW_S, GAIN)
    found = queue.signals()
    assert found.waiting == 1
    assert found.arrivals_per_s == pytest.approx(3.0)
    assert found.mean_delay_s == pytest.approx(0.03)
    assert found.max_delay_s == 0.04
    assert found.cost_s == queue.cost_s
