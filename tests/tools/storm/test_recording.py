"""The data between recorder and figures: a story of 20 s behind a calm baseline of 10 s."""

from dataclasses import fields
from math import inf, nan

import pytest

from hwangso_protocol.hello import Intent
from hwangso_tools.storm.recording import RATE_S, Recording, Series


@pytest.fixture
def recording() -> Recording:
    return Recording(
        calm_seconds=10,
        seconds=20,
        devices=4,
        capacity_per_s=15.0,
        triggers_end_s=0.0,
        first_event_s=0.0,
        controlled=True,
    )


def test_a_series_begins_with_nothing_in_each_second() -> None:
    series = Series(3)
    for field in fields(Series):
        made = getattr(series, field.name)
        if field.name == "seconds":
            assert made == 3
            continue
        for numbers in made.values() if isinstance(made, dict) else [made]:
            assert list(numbers) == [0, 0, 0], field.name
    assert set(series.connects) == set(series.welcomed) == set(Intent)


def test_no_two_series_are_the_same_object() -> None:
    """Each second of each counts for itself."""
    series = Series(2)
    series.connects[Intent.FOREGROUND][1] += 1
    series.sessions[0] = 7
    assert list(series.connects[Intent.FOREGROUND]) == [0, 1]
    assert list(series.connects[Intent.BACKGROUND]) == [0, 0]
    assert list(series.welcomed[Intent.FOREGROUND]) == [0, 0]
    assert list(series.waiting) == [0, 0]


def test_a_recording_begins_with_nothing(recording: Recording) -> None:
    assert (recording.opens, recording.stages) == ([], [])
    assert (len(recording.calm_responses_s), len(recording.calm_opens_s)) == (0, 0)
    assert (recording.opens_without_service, recording.max_deferrals) == (0, 0)
    assert (recording.messages, recording.acknowledged) == (0, 0)
    assert recording.max_background_wait_s == 0.0


def test_the_series_cover_baseline_and_story(recording: Recording) -> None:
    assert recording.series.seconds == 30
    assert len(recording.series.waiting) == 30


@pytest.mark.parametrize(
    ("at_s", "place"),
    [(-10.0, 0), (-9.001, 0), (-0.001, 9), (0.0, 10), (0.999, 10), (19.999, 29)],
)
def test_the_place_of_a_time(recording: Recording, at_s: float, place: int) -> None:
    assert recording.index(at_s) == place


@pytest.mark.parametrize(("at_s", "place"), [(-10.001, -1), (20.0, 30)])
def test_a_time_outside_has_no_place_in_them(recording: Recording, at_s: float, place: int) -> None:
    assert recording.index(at_s) == place
    assert place not in range(recording.series.seconds)


def test_a_time_that_is_none(recording: Recording) -> None:
    with pytest.raises(ValueError, match="NaN"):
        recording.index(nan)


def test_the_rate_is_a_mean_of_both_intents(recording: Recording) -> None:
    recording.series.connects[Intent.BACKGROUND][12] = 6
    recording.series.connects[Intent.FOREGROUND][13] = 3
    assert recording.connects_per_s(4.0) == pytest.approx(9 / RATE_S)
    assert recording.connects_per_s(3.0) == pytest.approx(6 / RATE_S)  # that second is not over
    assert recording.connects_per_s(2.0) == 0.0
    assert recording.connects_per_s(12.0) == pytest.approx(9 / RATE_S)
    assert recording.connects_per_s(13.0) == pytest.approx(3 / RATE_S)
    assert recording.connects_per_s(14.0) == 0.0


@pytest.mark.parametrize("at_s", [-inf, -1_000.0, -10.0])
def test_before_all_there_is_no_rate(recording: Recording, at_s: float) -> None:
    """Not even that of the end."""
    for counts in recording.series.connects.values():
        for place in range(recording.series.seconds):
            counts[place] = 1
    assert recording.connects_per_s(at_s) == 0.0


def test_the_rate_at_the_beginning_is_that_of_what_there_is(recording: Recording) -> None:
    for place in range(recording.series.seconds):
        recording.series.connects[Intent.BACKGROUND][place] = RATE_S
    assert recording.connects_per_s(-7.0) == pytest.approx(3.0)  # three seconds, over RATE_S
    assert recording.connects_per_s(0.0) == pytest.approx(10.0)
    assert recording.connects_per_s(100.0) == 0.0
