"""The rate controllers, fed with windows of a server whose capacity the test knows."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hwangso_server.admission.background import BudgetSample, RateController
from hwangso_server.admission.rates import (
    FLOOR_PER_S,
    Aimd,
    Gradient,
    Measured,
    Pid,
    default_controller,
)

CONTROLLERS: list[Callable[[float], RateController]] = [Aimd, Pid, Gradient, Measured]
FEEDBACK: list[Callable[[float], RateController]] = [Aimd, Pid, Gradient]


def window(
    *,
    started: float = 0.0,
    cost_s: float = 0.0003,
    foreground_s: float = 0.0,
    live_s: float = 0.0,
    door_s: float = 0.0,
    delay_s: float = 0.0,
    queue_length: int = 0,
    window_s: float = 0.1,
) -> BudgetSample:
    background_s = started * cost_s
    busy_s = background_s + foreground_s + live_s + door_s
    return BudgetSample(
        window_s=window_s,
        background_delay_s=delay_s,
        foreground_delay_s=0.0,
        started=started,
        background_s=background_s,
        foreground_s=foreground_s,
        live_s=live_s,
        door_s=door_s,
        idle_s=max(0.0, window_s - busy_s),
        queue_length=queue_length,
        target_s=max(0.020, 4 * cost_s),
    )


def after(controller: RateController, sample: BudgetSample, windows: int) -> float:
    for _ in range(windows):
        controller.on_window(sample)
    return controller.rate_per_s


def calm(initial_per_s: float = 100.0) -> Measured:
    """A controller that has seen ten calm seconds: a resume costs 0.3 ms, foreground takes 10 %."""
    controller = Measured(initial_per_s)
    after(controller, window(started=30, foreground_s=0.008, live_s=0.002), 100)
    return controller


# All of them


@pytest.mark.parametrize("make", CONTROLLERS)
def test_they_say_what_they_do(make: Callable[[float], RateController]) -> None:
    controller = make(500.0)
    assert controller.rate_per_s == 500.0
    assert controller.on_window(window(started=50)) == controller.rate_per_s


@pytest.mark.parametrize("make", CONTROLLERS)
def test_an_hour_without_anything_changes_nothing(make: Callable[[float], RateController]) -> None:
    controller = make(1_000.0)
    before = after(controller, window(started=100), 100)
    idle = after(controller, window(), 36_000)
    assert idle == pytest.approx(before, rel=0.25)


@pytest.mark.parametrize("make", CONTROLLERS)
def test_a_trickle_does_not_wind_the_rate_up(make: Callable[[float], RateController]) -> None:
    controller = make(1_000.0)
    assert after(controller, window(started=1), 36_000) < 4_000


@pytest.mark.parametrize("make", CONTROLLERS)
def test_endless_overload_leaves_a_rate(make: Callable[[float], RateController]) -> None:
    controller = make(1_000.0)
    after(controller, window(started=100), 10)
    overload = window(started=1, foreground_s=0.1, door_s=0.1, delay_s=60.0, queue_length=10_000)
    assert FLOOR_PER_S <= after(controller, overload, 36_000) < 500


@pytest.mark.parametrize("make", FEEDBACK)
def test_feedback_seeks_the_rate_upwards_while_it_is_used(
    make: Callable[[float], RateController],
) -> None:
    controller = make(1_000.0)
    for _ in range(100):
        controller.on_window(window(started=controller.rate_per_s * 0.1))
    assert controller.rate_per_s > 1_250


@pytest.mark.parametrize("make", FEEDBACK)
def test_feedback_goes_down_while_the_queue_is_long(
    make: Callable[[float], RateController],
) -> None:
    controller = make(1_000.0)
    after(controller, window(started=100), 10)
    before = controller.rate_per_s
    assert after(controller, window(started=100, delay_s=0.2), 30) < 0.9 * before


# One by one


def test_aimd_doubles_then_cuts_then_steps() -> None:
    controller = Aimd(100.0)
    assert after(controller, window(started=100), 10) == pytest.approx(200.0)
    assert after(controller, window(started=100, delay_s=0.021), 1) == pytest.approx(170.0)
    assert after(controller, window(started=100, delay_s=0.021), 9) == pytest.approx(170.0)
    assert after(controller, window(started=100, delay_s=0.021), 2) == pytest.approx(144.5)
    assert after(controller, window(started=100), 10) == pytest.approx(144.5 * 1.3)


def test_pid_follows_the_error_and_its_change() -> None:
    controller = Pid(100.0)
    assert after(controller, window(started=100), 1) == pytest.approx(100 * 2.718281828**0.02)
    # from one target below to one above: 0.05 x 2 for the change, 0.2 x 0.1 x 1 for the error
    before = controller.rate_per_s
    now = after(controller, window(started=100, delay_s=0.04), 1)
    assert now == pytest.approx(before * 2.718281828**-0.12)
    assert after(controller, window(started=100, delay_s=9.0), 1) == pytest.approx(
        now * 2.718281828**-0.02
    )


def test_gradient_takes_a_long_overload_for_usual_in_time() -> None:
    controller = Gradient(100.0)
    after(controller, window(started=100, cost_s=0.001), 10)
    before = controller.rate_per_s
    assert after(controller, window(started=100, cost_s=0.001, delay_s=0.1), 20) < before
    after(controller, window(started=100, cost_s=0.001, delay_s=0.1), 1_200)
    lowest = controller.rate_per_s
    assert after(controller, window(started=100, cost_s=0.001, delay_s=0.1), 100) > lowest


def test_gradient_soon_forgets_an_overload_that_is_over() -> None:
    controller = Gradient(1_000.0)
    after(controller, window(started=10, cost_s=0.001, delay_s=0.1), 600)
    after(controller, window(started=10, cost_s=0.001), 100)
    before = controller.rate_per_s
    assert after(controller, window(started=10, cost_s=0.001, delay_s=0.02), 20) < 0.8 * before


def test_measured_is_what_foreground_leaves_over_by_the_cost() -> None:
    # 90 % of a second by 0.3 ms, lifted by 5 %
    assert calm().rate_per_s == pytest.approx(3_150.0, rel=0.01)
    assert calm(1e6).rate_per_s == pytest.approx(3_150.0, rel=0.01)


@pytest.mark.parametrize(("cost_s", "started"), [(0.0003, 300.0), (0.066, 1.5)])
def test_measured_knows_the_cost_from_its_first_window(cost_s: float, started: float) -> None:
    controller = Measured(500.0)
    assert controller.on_window(window()) == 500.0
    rate_per_s = controller.on_window(window(started=started, cost_s=cost_s))
    assert rate_per_s == pytest.approx(1.05 / cost_s)


@pytest.mark.parametrize(
    ("queue_length", "factor"), [(0, 1.05), (67, 1.00), (200, 0.90), (333, 0.80), (10_000, 0.80)]
)
def test_measured_is_corrected_by_the_queue(queue_length: int, factor: float) -> None:
    # 67 handshakes of 0.3 ms are one target of 20 ms
    controller = Measured(500.0)
    rate_per_s = controller.on_window(window(started=300, queue_length=queue_length))
    assert rate_per_s * 0.0003 == pytest.approx(factor, abs=0.001)


def test_measured_follows_foreground_within_a_second() -> None:
    controller = calm()
    rate_per_s = after(controller, window(started=120, foreground_s=0.06), 10)
    assert rate_per_s == pytest.approx(0.4 * 3_500, rel=0.2)
    assert after(controller, window(started=300, foreground_s=0.01), 10) > 2_900


def test_measured_follows_a_server_that_gets_slower_within_a_second() -> None:
    controller = calm()
    assert after(controller, window(started=150, cost_s=0.0006, live_s=0.01), 10) == pytest.approx(
        3_150 / 2, rel=0.03
    )


@pytest.mark.parametrize(
    "stalled",
    [
        window(started=90, live_s=0.2, window_s=0.25),
        window(started=90, door_s=0.2, window_s=0.25),
        window(started=90, cost_s=0.0003 + 0.2 / 90, window_s=0.25),
    ],
    ids=["live", "door", "background"],
)
def test_measured_takes_one_stall_lightly(stalled: BudgetSample) -> None:
    controller = calm()
    before = controller.rate_per_s
    assert controller.on_window(stalled) > 0.75 * before
    assert after(controller, window(started=270, live_s=0.01), 5) > 0.9 * before


def test_measured_does_not_mind_the_door_while_a_crowd_arrives() -> None:
    controller = calm()
    before = controller.rate_per_s
    assert after(controller, window(started=100, door_s=0.06, live_s=0.01), 10) > 0.9 * before
    flooded = after(controller, window(started=100, door_s=0.06, live_s=0.01), 1_000)
    assert flooded == pytest.approx(before * 0.3 / 0.9, rel=0.05)


def test_the_door_of_a_small_server_takes_longer_to_count() -> None:
    controller = Measured(500.0)
    before = after(controller, window(started=1, cost_s=0.066), 600)
    crowd = window(started=0.5, cost_s=0.066, door_s=0.06)
    assert after(controller, crowd, 150) > 0.9 * before


def test_measured_leaves_background_a_little_when_foreground_takes_all() -> None:
    controller = calm()
    rate_per_s = after(controller, window(started=1, foreground_s=0.2), 100)
    assert rate_per_s == pytest.approx(0.02 * 3_500, rel=0.05)


def test_measured_is_steady_on_a_server_of_few_handshakes() -> None:
    controller = Measured(500.0)
    after(controller, window(started=1, cost_s=0.066, foreground_s=0.033), 600)
    rates = [
        controller.on_window(window(started=1, cost_s=0.066, foreground_s=0.066 * (number % 2)))
        for number in range(100)
    ]
    assert min(rates) > 0.9 * max(rates)


# A crowd, with the dead time of its slots


@dataclass
class Plant:
    """A server of 3,000 handshakes a second whose load was decided `dead_windows` before."""

    dead_windows: int
    foreground_share: float = 0.1
    queue: float = 0.0

    def run(self, controller: RateController, windows: int) -> list[float]:
        pending = [controller.rate_per_s * 0.1] * self.dead_windows
        rates: list[float] = []
        for _ in range(windows):
            pending.append(controller.rate_per_s * 0.1)
            self.queue = min(self.queue + pending.pop(0), 900.0)
            started = min(self.queue, 300 * (1 - self.foreground_share))
            self.queue -= started
            sample = window(
                started=started,
                foreground_s=0.1 * self.foreground_share,
                delay_s=self.queue / 3_000,
                queue_length=int(self.queue),
            )
            rates.append(controller.on_window(sample))
        return rates


@pytest.mark.parametrize("dead_windows", [0, 10, 100])
def test_measured_is_right_whatever_the_dead_time(dead_windows: int) -> None:
    rates = Plant(dead_windows).run(Measured(1_000.0), 600)
    assert all(2_100 < rate_per_s < 3_200 for rate_per_s in rates[dead_windows + 20 :])


@pytest.mark.parametrize("make", [Aimd, Pid])
def test_pure_feedback_swings_with_the_dead_time(make: Callable[[float], RateController]) -> None:
    def swing(dead_windows: int) -> float:
        rates = Plant(dead_windows).run(make(1_000.0), 3_000)[1_000:]
        return max(rates) / min(rates)

    assert swing(100) > 2 * swing(0)


def test_the_default_is_the_winner_of_the_experiment() -> None:
    controller = default_controller(123.0)
    assert isinstance(controller, Measured)
    assert controller.rate_per_s == 123.0
