import pytest

from hwangso_tools.bench.meter import Usage
from hwangso_tools.bench.runs import Limit
from hwangso_tools.bench.storm.figures import Measured, Shares, Storm, is_punctual
from hwangso_tools.bench.storm.plan import Outcome, Part, Tally

LATE = [0.0005] * 98 + [0.002] * 2
PUNCTUAL = [0.0005] * 99 + [0.002]
RESUME = Usage(elapsed_s=2.0, server_cpu_s=1.9, generator_cpu_s=1.0)


def opens(p99_s: float, *, lateness_s: list[float] | None = None, never: int = 0) -> Outcome:
    """A hundred apps, most of them open after 2 ms."""
    ready = [0.002] * (98 - never) + [p99_s, 2 * p99_s]
    return Outcome(ready, [30.0] * never, lateness_s or PUNCTUAL, [], Tally(attempts=100))


def crowd(t99_s: float = 3.0) -> Outcome:
    """A hundred devices, one after twice the time of all others."""
    tally = Tally(attempts=190, deferrals=80, timeouts=10)
    return Outcome([t99_s] * 99 + [2 * t99_s], [], [0.25, 0.5], [0.01, 0.02], tally)


def storm(
    p99_s: float = 0.01,
    *,
    server: float = 0.95,
    server_core: float = 0.97,
    generator_core: float = 0.6,
    lateness_s: list[float] | None = None,
) -> Storm:
    shares = Shares(server, 0.5, 0.01, server_core, generator_core)
    return Storm(crowd(), opens(p99_s, lateness_s=lateness_s), 0.1, shares)


def test_the_figures_of_a_run() -> None:
    figures = Measured(
        devices=100,
        resume=RESUME,
        calm=opens(0.005),
        calm_off=opens(0.004),
        storms={
            Part.BASE: storm(0.010),
            Part.OFF: storm(2.0),
            Part.IMPATIENT: storm(0.03),
            Part.DISOBEDIENT: storm(0.020),
        },
        defer=Usage(elapsed_s=0.5, server_cpu_s=0.38, generator_cpu_s=0.3),
        deferrals=1_000,
        realtime=True,
    ).figures()
    expected = {
        "fg_generator_realtime": 1,
        "resume_per_s": 50.0,
        "resume_server_cpu_us": 19_000.0,
        "fg_p50_calm_ms": 2.0,
        "fg_p99_calm_ms": 5.0,
        "fg_max_calm_ms": 10.0,
        "fg_p99_calm_off_ms": 4.0,
        "fg_p50_storm_ms": 2.0,
        "fg_p99_storm_ms": 10.0,
        "fg_max_storm_ms": 20.0,
        "fg_p99_ratio": 2.0,
        "fg_failures": 0.0,
        "fg_p99_ratio_control_off": 500.0,
        "fg_p99_off_over_on": 200.0,
        "bg_ideal_s": 2.0,
        "bg_t99_s": 3.0,
        "bg_drain_ratio": 1.5,
        "attempts_per_device": 1.9,
        "impatient_drain_ratio": 3.0,  # all of them, not 99 %
        "disobedient_fg_p99_ratio": 4.0,
        "defer_server_cpu_us": 380.0,
        "defer_cost_ratio": 0.02,
        "defer_per_s": 2_000.0,
        "defer_server_cpu_share": 0.76,
        "base_bg_back": 100,
        "base_bg_t100_s": 6.0,
        "base_bg_deferrals": 80,
        "base_bg_timeouts": 10,
        "base_bg_all_started_s": 0.5,
        "base_bg_retry_lateness_p99_ms": 20.0,
        "base_fg_opens": 100,
        "base_fg_attempts": 100,
        "server_cpu_share": 0.95,
        "generator_cpu_share": 0.51,
        "base_generator_core_share": 0.6,
        "base_server_core_share": 0.97,
        "off_bg_generator_cpu_share": 0.5,
        "off_fg_generator_cpu_share": 0.01,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_figures_of_a_part_alone() -> None:
    figures = Measured(100, calm_off=opens(0.004), storms={Part.OFF: storm(2.0)}).figures()
    assert figures["fg_p99_ratio_control_off"] == pytest.approx(500.0)
    assert not {"fg_p99_ratio", "bg_ideal_s", "bg_drain_ratio", "defer_cost_ratio"} & figures.keys()


def test_apps_that_never_opened_count() -> None:
    """With the time until the end, in the percentiles, and as failures."""
    storms = {Part.BASE: Storm(crowd(), opens(0.01, never=3), 0.0, storm().shares)}
    figures = Measured(100, storms=storms).figures()
    assert figures["fg_failures"] == 3
    assert figures["fg_p99_storm_ms"] == figures["fg_max_storm_ms"] == 30_000.0


def test_punctual_is_99_of_100_within_a_millisecond() -> None:
    assert is_punctual(opens(0.1, lateness_s=PUNCTUAL))
    assert not is_punctual(opens(0.1, lateness_s=LATE))


@pytest.mark.parametrize(
    ("found", "limit"),
    [
        (storm(), Limit.SERVER),
        (storm(generator_core=0.95), Limit.SERVER),
        (storm(server=0.85, generator_core=0.90), Limit.GENERATOR),
        (storm(server=0.85, server_core=0.97), Limit.DISTURBED),
        (storm(server=0.85, server_core=0.90), None),
        (storm(lateness_s=LATE), Limit.GENERATOR),
    ],
)
def test_what_a_storm_was_limited_by(found: Storm, limit: Limit | None) -> None:
    assert found.limit is limit


GENERATOR_LIMITED = Usage(elapsed_s=2.0, server_cpu_s=1.0, generator_cpu_s=1.9)
DISTURBED = Usage(elapsed_s=2.0, server_cpu_s=1.0, generator_cpu_s=1.0)


@pytest.mark.parametrize(
    ("measured", "limit"),
    [
        (Measured(1, RESUME, opens(0.1), storms={Part.BASE: storm()}), Limit.SERVER),
        (Measured(1, storms={Part.BASE: storm(server=0.5, server_core=0.5)}), None),
        (Measured(1, RESUME, storms={Part.BASE: storm(server=0.5, server_core=0.5)}), Limit.SERVER),
        (Measured(1, GENERATOR_LIMITED, storms={Part.BASE: storm()}), Limit.GENERATOR),
        (Measured(1, DISTURBED, storms={Part.BASE: storm()}), Limit.DISTURBED),
        (Measured(1, RESUME, opens(0.1, lateness_s=LATE)), Limit.GENERATOR),
        (Measured(1, calm_off=opens(0.1, lateness_s=LATE)), Limit.GENERATOR),
        (
            Measured(1, DISTURBED, storms={Part.BASE: storm(), Part.OFF: storm(lateness_s=LATE)}),
            Limit.GENERATOR,
        ),
    ],
)
def test_what_a_run_was_limited_by(measured: Measured, limit: Limit | None) -> None:
    assert measured.limit is limit
