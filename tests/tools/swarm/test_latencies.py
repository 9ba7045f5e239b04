from hypothesis import given, settings
from hypothesis import strategies as st

from hwangso_tools.swarm.latencies import HIGHEST_US, Latencies

SECONDS = st.lists(st.floats(0, 3_600), max_size=30)


def recorded(*seconds: float) -> Latencies:
    latencies = Latencies()
    for each in seconds:
        latencies.record(each)
    return latencies


def test_empty() -> None:
    empty = Latencies()
    assert len(empty) == 0
    assert empty.percentile_ms(50) is None
    assert empty.max_ms() is None
    assert empty.figures()["count"] == 0


def test_percentiles_in_milliseconds() -> None:
    latencies = recorded(*(ms / 1000 for ms in range(1, 101)))
    for percentile in (50, 90, 99, 100):
        measured = latencies.percentile_ms(percentile)
        assert measured is not None
        assert abs(measured - percentile) <= 0.001 * percentile
    assert latencies.figures().keys() == {
        "count", "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "max_ms",
    }  # fmt: skip


def test_the_ends_of_the_range() -> None:
    latencies = recorded(-1.0, 0.0, 1e9)
    assert latencies.percentile_ms(1) == 0.001
    longest = latencies.max_ms()
    assert longest is not None
    assert abs(longest - HIGHEST_US / 1000) <= 0.001 * HIGHEST_US / 1000


@settings(max_examples=20)  # each makes six histograms of 180 kB
@given(SECONDS, SECONDS)
def test_merging_loses_nothing(left: list[float], right: list[float]) -> None:
    merged = Latencies.decode(recorded(*left).encode())
    merged.add(Latencies.decode(recorded(*right).encode()))
    assert merged.figures() == recorded(*left, *right).figures()
