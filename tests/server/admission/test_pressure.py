"""Windows, and what they say."""

import pytest
from tests.server.admission.samples import SETTINGS

from hwangso_server.admission import Load, Settings
from hwangso_server.admission.pressure import Pressure
from hwangso_server.admission.queueing import Queue


def new_pressure(settings: Settings = SETTINGS) -> Pressure:
    """Its first window begins at 10 s."""
    pressure = Pressure(settings)
    pressure.arrived(pressure.background, 10.0)
    return pressure


def hellos(pressure: Pressure, queue: Queue, count: int, now_s: float) -> None:
    for _ in range(count):
        pressure.arrived(queue, now_s)


def served(queue: Queue, count: int, waited_s: float = 0.0) -> None:
    for _ in range(count):
        queue.admit(1.0)
        queue.start(waited_s)


# When


def test_a_window_is_a_tenth_of_a_second() -> None:
    pressure = new_pressure()
    assert pressure.next_close_s == pytest.approx(10.1)
    assert pressure.close(10.1, is_calm=True) is not None
    assert pressure.signals.window_s == pytest.approx(0.1)
    assert pressure.next_close_s == pytest.approx(10.2)


def test_the_first_close_opens_the_first_window() -> None:
    pressure = Pressure(SETTINGS)
    assert pressure.close(5.0, is_calm=True) is None
    assert pressure.close(5.0, is_calm=True) is None  # no time has passed
    assert pressure.next_close_s > 5.0


def test_with_nothing_to_do_a_window_is_a_second() -> None:
    pressure = new_pressure()
    pressure.close(10.1, is_calm=True)
    pressure.close(10.2, is_calm=True)
    assert pressure.next_close_s == pytest.approx(11.2)
    pressure.close(11.2, is_calm=True)
    assert pressure.next_close_s == pytest.approx(12.2)


def test_an_arrival_wakes_it() -> None:
    pressure = new_pressure()
    pressure.close(10.1, is_calm=True)
    pressure.close(10.2, is_calm=True)
    hellos(pressure, pressure.background, 10, 10.9)
    assert pressure.next_close_s == pytest.approx(11.0)
    pressure.close(11.0, is_calm=True)
    assert pressure.signals.window_s == pytest.approx(0.1)
    assert pressure.signals.background.arrivals_per_s == pytest.approx(100 * 0.0952, rel=0.2)


@pytest.mark.parametrize("why", ["an emergency", "somebody waits", "a handshake"])
def test_it_does_not_rest(why: str) -> None:
    pressure = new_pressure()
    pressure.close(10.1, is_calm=True)
    if why == "somebody waits":
        pressure.foreground.admit(1.0)
    elif why == "a handshake":
        served(pressure.background, 1)
    pressure.close(10.2, is_calm=why != "an emergency")
    assert pressure.next_close_s == pytest.approx(10.3)


def test_a_slow_server_has_longer_windows() -> None:
    pressure = new_pressure()
    served(pressure.background, 1)
    pressure.worked(Load(0.0, 0.0, 0.25, 0.0, 0.0))
    pressure.close(10.3, is_calm=True)
    assert pressure.next_close_s == pytest.approx(10.3 + 2 * 0.25)


def test_how_late_a_window_was_closed() -> None:
    pressure = new_pressure()
    pressure.close(10.45, is_calm=True)
    assert pressure.signals.lag_s == pytest.approx(0.35)
    assert pressure.signals.window_s == pytest.approx(0.45)


# What


def test_the_target_follows_the_cost() -> None:
    pressure = new_pressure()
    assert pressure.signals.target_s == 0.020
    served(pressure.foreground, 10)
    pressure.worked(Load(0.0, 10 * 0.05, 0.0, 0.0, 0.0))
    pressure.close(10.5, is_calm=True)
    assert pressure.signals.target_s == pytest.approx(4 * 0.05)


def test_an_intent_without_handshakes_is_taken_for_as_costly_as_the_other() -> None:
    pressure = new_pressure()
    served(pressure.background, 10)
    pressure.worked(Load(0.0, 0.0, 10 * 0.05, 0.0, 0.0))
    pressure.close(10.5, is_calm=True)
    assert pressure.signals.foreground.cost_s == pytest.approx(0.05)
    served(pressure.foreground, 10)
    pressure.worked(Load(0.0, 10 * 0.02, 0.0, 0.0, 0.0))
    pressure.close(11.0, is_calm=True)
    assert pressure.signals.foreground.cost_s == pytest.approx(0.02)
    assert pressure.signals.background.cost_s == pytest.approx(0.05)


def test_shares_of_the_processor() -> None:
    pressure = new_pressure()
    for window in range(1, 60):
        pressure.worked(Load(0.04, 0.03, 0.02, 0.01, 0.0))
        served(pressure.foreground, 3)
        pressure.close(10 + window / 10, is_calm=True)
    found = pressure.signals
    assert found.live_share == pytest.approx(0.4, rel=1e-4)
    assert found.foreground_share == pytest.approx(0.3, rel=1e-4)
    assert found.background_share == pytest.approx(0.2, rel=1e-4)
    assert found.door_share == pytest.approx(0.1, rel=1e-4)
    assert found.connect_share == pytest.approx(0.6, rel=1e-4)


def test_a_share_is_known_in_half_a_second() -> None:
    pressure = new_pressure()
    for window in range(1, 6):
        pressure.worked(Load(0.0, 0.1, 0.0, 0.0, 0.0))
        served(pressure.foreground, 3)
        pressure.close(10 + window / 10, is_calm=True)
    assert pressure.signals.foreground_share == pytest.approx(0.632, abs=0.001)


def calm_for(pressure: Pressure, seconds: int, per_s: int, from_s: float) -> float:
    """That many background arrivals a second, closing a window a second."""
    for second in range(seconds):
        hellos(pressure, pressure.background, per_s, from_s + second)
        pressure.close(from_s + second + 1, is_calm=True)
    return from_s + seconds


def test_a_surge_is_measured_against_the_usual() -> None:
    pressure = new_pressure()
    now_s = calm_for(pressure, 600, 400, 10.0)
    assert pressure.signals.baseline_per_s == pytest.approx(400, rel=0.02)
    assert pressure.signals.surge_ratio == pytest.approx(1.0, rel=0.02)
    for _ in range(30):
        hellos(pressure, pressure.background, 200, now_s)
        now_s += 0.1
        pressure.close(now_s, is_calm=False)
    assert pressure.signals.baseline_per_s == pytest.approx(400, rel=0.02)
    assert pressure.signals.surge_ratio == pytest.approx(5.0, rel=0.1)


def test_what_is_usual_is_learnt_while_it_is_calm_only() -> None:
    pressure = new_pressure()
    now_s = calm_for(pressure, 60, 10, 10.0)
    before = pressure.signals.baseline_per_s
    for _ in range(600):
        hellos(pressure, pressure.background, 1_000, now_s)
        now_s += 1
        pressure.close(now_s, is_calm=False)
    assert pressure.signals.baseline_per_s == before


def test_a_server_that_starts_under_load_takes_it_for_usual() -> None:
    pressure = new_pressure()
    calm_for(pressure, 3, 1_000, 10.0)
    assert pressure.signals.surge_ratio == pytest.approx(1.0, abs=0.1)


def test_three_times_next_to_nothing_is_no_surge() -> None:
    """Of 3,333 handshakes a second 5 % are usual even if nobody comes."""
    pressure = new_pressure()
    now_s = calm_for(pressure, 600, 1, 10.0)
    for _ in range(50):
        hellos(pressure, pressure.background, 10, now_s)
        now_s += 0.1
        pressure.close(now_s, is_calm=True)
    assert pressure.signals.background.arrivals_per_s == pytest.approx(100, rel=0.05)
    assert pressure.signals.surge_ratio == pytest.approx(100 / 166.7, rel=0.05)


def test_hang_ups() -> None:
    pressure = new_pressure()
    for _ in range(1_000):
        pressure.session_ended()
    pressure.close(11.0, is_calm=True)
    assert pressure.signals.hang_ups_per_s == pytest.approx(1_000 * 0.632, rel=0.01)


def test_what_the_budget_is_told() -> None:
    """10 hellos take 1 ms of the door each. Four of background got in, and these are charged to it;
    people are charged for all of theirs."""
    pressure = new_pressure()
    for _ in range(100):
        pressure.arrived(pressure.background, 10.0)
    pressure.worked(Load(0.0, 0.0, 0.0, 0.101, 0.0))
    pressure.close(10.2, is_calm=True)
    hellos(pressure, pressure.foreground, 2, 10.2)
    hellos(pressure, pressure.background, 8, 10.2)
    served(pressure.foreground, 1, 0.004)
    served(pressure.background, 4, 0.050)
    pressure.background.admit(1.0)
    pressure.worked(Load(0.002, 0.0005, 0.0015, 0.010, 0.05))
    pressure.worked(Load(0.003, 0.0, 0.0, 0.0, 0.01))
    sample = pressure.close(10.3, is_calm=True)
    assert sample is not None
    assert sample.window_s == pytest.approx(0.1)
    assert sample.started == pytest.approx(4.0)
    assert sample.background_delay_s == pytest.approx(0.050)
    assert sample.foreground_delay_s == pytest.approx(0.004)
    hello_s = 0.001 * (1 - (32 / 133) * (32 / 42))  # smoothed, and on its way up from nothing
    assert sample.background_s == pytest.approx(0.0015 + 4 * hello_s)
    assert sample.foreground_s == pytest.approx(0.0005 + 2 * 0.001)
    assert sample.door_s == pytest.approx(0.008 - 4 * hello_s)
    assert sample.live_s == pytest.approx(0.005)
    assert sample.idle_s == pytest.approx(0.06)
    assert sample.queue_length == 1
    assert sample.target_s == 0.020
