"""What is written down, from events made by hand. The story's 0 is at 100 s of Trio's time, its
calm baseline begins at 90 s."""

import pytest
from tests.tools.storm.reports import BG, FG, ended, lost, ready, started

from hwangso_client.events import MessageAcknowledged, Outcome
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.recorder import Recorder
from hwangso_tools.storm.recording import Open, Recording, StageChange


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


@pytest.fixture
def recorder(recording: Recording) -> Recorder:
    return Recorder(recording, origin_s=100.0)


def counts(numbers: "list[int]") -> dict[int, int]:
    """By second of the story, those that are not zero."""
    return {place - 10: number for place, number in enumerate(numbers) if number}


def test_connects_by_second_and_intent(recording: Recording, recorder: Recorder) -> None:
    for at in (89.9, 90.0, 99.99, 100.0, 119.9, 120.0):
        recorder.take(0, started(at))
    recorder.take(1, started(100.5, FG))
    series = recording.series
    assert counts(list(series.connects[BG])) == {-10: 1, -1: 1, 0: 1, 19: 1}
    assert counts(list(series.connects[FG])) == {0: 1}


def test_how_attempts_end(recording: Recording, recorder: Recorder) -> None:
    recorder.take(0, ended(100.0, 100.5))
    recorder.take(1, ended(100.0, 101.0, Outcome.DEFERRED))
    recorder.take(1, ended(105.0, 106.0, Outcome.REFUSED))
    recorder.take(1, ended(100.0, 110.0, Outcome.ANSWER_TIMEOUT))
    recorder.take(1, ended(110.0, 110.5, Outcome.ABANDONED))
    series = recording.series
    assert counts(list(series.welcomed[BG])) == {0: 1}
    assert counts(list(series.deferred)) == {1: 1}
    assert counts(list(series.failed)) == {6: 1, 10: 1}
    # A deferral and a refusal are answers, but none that tells how long a session takes.
    assert counts(list(series.responses[BG])) == {0: 1, 10: 1}
    assert series.response_s[BG][10] == pytest.approx(0.5)
    assert series.response_s[BG][20] == pytest.approx(10.0)
    assert counts(list(series.responses[FG])) == {}
    recorder.take(2, ended(100.0, 100.25, intent=FG))
    assert counts(list(series.responses[FG])) == {0: 1}
    assert series.response_s[FG][10] == pytest.approx(0.25)
    assert counts(list(series.responses[BG])) == {0: 1, 10: 1}


def test_the_calm_baseline(recording: Recording, recorder: Recorder) -> None:
    recorder.take(0, ended(89.0, 89.5))
    recorder.take(0, ended(95.0, 95.2))
    recorder.take(0, ended(100.0, 100.3))
    recorder.opened(0, 96.0)
    recorder.take(0, ready(96.0, 96.1))
    assert list(recording.calm_responses_s) == pytest.approx([0.2])
    assert list(recording.calm_opens_s) == pytest.approx([0.1])
    assert recording.opens == []


def test_sessions_now_and_in_each_second(recording: Recording, recorder: Recorder) -> None:
    recorder.take(0, ended(80.0, 80.5))
    recorder.take(1, ended(100.0, 100.5))
    recorder.take(0, lost(80.5, 103.2))
    recorder.take(0, lost(80.5, 103.3))  # once is enough
    assert recorder.sessions == 1
    recorder.finish(120.0)
    assert list(recording.series.sessions) == [1] * 10 + [2] * 3 + [1] * 17


def test_who_waits_in_each_second(recording: Recording, recorder: Recorder) -> None:
    """From the first background attempt to the session, at the end of each second."""
    recorder.take(0, started(95.0))  # before the story, which begins at 100
    recorder.take(0, ended(95.0, 97.5))
    recorder.take(0, started(101.5))
    recorder.take(1, started(102.5))
    recorder.take(0, ended(101.5, 103.0, Outcome.ANSWER_TIMEOUT))
    recorder.take(0, started(104.0))  # is waiting already
    recorder.take(0, ended(104.0, 105.5))
    recorder.take(2, started(106.0, FG))  # a person; phones wait in the background only
    recorder.take(1, started(107.0, FG))  # that it waits in the background ends with a session
    recorder.take(1, ended(107.0, 108.5, intent=FG))
    recorder.finish(120.0)
    waiting = [0] * 5 + [1, 1] + [0] * 4 + [1, 2, 2, 2, 1, 1, 1] + [0] * 12
    assert list(recording.series.waiting) == waiting


def test_who_still_waits_at_the_end(recording: Recording, recorder: Recorder) -> None:
    recorder.take(0, started(115.0))
    recorder.take(0, ended(115.0, 116.0, Outcome.DEFERRED))
    recorder.finish(120.0)
    assert list(recording.series.waiting) == [0] * 25 + [1] * 5


def test_who_waited_before_the_baseline(recording: Recording, recorder: Recorder) -> None:
    """Is counted in it, from its first second; one that is in by then never shows."""
    recorder.take(0, started(60.0))
    recorder.take(1, started(61.0))
    recorder.take(1, ended(61.0, 62.0))
    recorder.take(0, ended(60.0, 93.5))
    recorder.finish(120.0)
    assert list(recording.series.waiting) == [1] * 3 + [0] * 27
    assert list(recording.series.sessions) == [1] * 3 + [2] * 27


def test_sessions_and_waits_of_one_second(recording: Recording, recorder: Recorder) -> None:
    """What holds at its end is written down."""
    recorder.take(0, started(101.1))
    recorder.take(0, ended(101.1, 101.2))
    recorder.take(0, lost(101.2, 101.3))
    recorder.take(0, started(101.4))
    recorder.finish(120.0)
    assert list(recording.series.sessions) == [0] * 30
    assert list(recording.series.waiting) == [0] * 11 + [1] * 19


def test_finish_gives_the_recording(recording: Recording, recorder: Recorder) -> None:
    assert recorder.finish(120.0) is recording


def test_an_open_counts_from_when_it_was_meant(recording: Recording, recorder: Recorder) -> None:
    recorder.opened(0, 101.0)
    recorder.take(0, ended(101.0, 103.0, Outcome.ANSWER_TIMEOUT, FG))
    recorder.take(0, ready(101.0, 104.5))
    recorder.take(0, ready(101.0, 105.0))  # nobody waits any more
    recorder.left(0, 110.0)
    assert recording.opens == [Open(1.0, 3.5, ready=True)]


def test_whoever_leaves_without_a_session(recording: Recording, recorder: Recorder) -> None:
    recorder.opened(0, 101.0)
    recorder.left(0, 112.0)
    recorder.opened(1, 115.0)
    recorder.finish(120.0)
    assert recording.opens == [Open(1.0, 11.0, ready=False), Open(15.0, 5.0, ready=False)]


def test_without_service_nobody_can_be_served(recording: Recording, recorder: Recorder) -> None:
    recorder.service(0, on=False, at_s=101.0)
    recorder.service(1, on=False, at_s=101.0)
    recorder.opened(0, 102.0)
    recorder.opened(1, 103.0)
    recorder.left(1, 104.0)
    recorder.service(0, on=True, at_s=110.0)
    recorder.take(0, ready(102.0, 110.5))
    assert recording.opens == [Open(10.0, 0.5, ready=True)]
    assert recording.opens_without_service == 1


def test_an_open_in_the_calm_baseline_that_nobody_served(
    recording: Recording, recorder: Recorder
) -> None:
    """Is no measure of how long a calm one takes; nor is one before the baseline."""
    recorder.opened(0, 96.0)
    recorder.left(0, 98.0)
    recorder.opened(1, 89.9)
    recorder.take(1, ready(89.9, 90.5))
    recorder.opened(2, 90.0)
    recorder.take(2, ready(90.0, 90.25))
    assert list(recording.calm_opens_s) == pytest.approx([0.25])
    assert recording.opens == []


def test_the_story_begins_with_its_first_moment(recording: Recording, recorder: Recorder) -> None:
    recorder.opened(0, 100.0)
    recorder.take(0, ended(99.5, 100.0))
    recorder.take(0, ready(100.0, 100.5))
    recorder.take(1, started(98.0))
    recorder.take(1, ended(98.0, 100.0))
    assert recording.opens == [Open(0.0, 0.5, ready=True)]
    assert list(recording.calm_responses_s) == []
    assert recording.max_background_wait_s == pytest.approx(2.0)


def test_a_wait_that_ends_before_the_story_is_not_told(
    recording: Recording, recorder: Recorder
) -> None:
    recorder.take(0, started(95.0))
    recorder.take(0, ended(95.0, 99.9))
    assert recording.max_background_wait_s == 0.0


def test_without_service_in_the_calm_baseline(recording: Recording, recorder: Recorder) -> None:
    """Only opens of the story are counted as left without service."""
    for device, left_at in ((0, 99.9), (1, 100.0)):
        recorder.service(device, on=False, at_s=91.0)
        recorder.opened(device, 92.0)
        recorder.left(device, left_at)
    assert recording.opens_without_service == 1
    assert recording.opens == []


def test_an_attempt_that_begins_with_the_service_counts(
    recording: Recording, recorder: Recorder
) -> None:
    recorder.service(0, on=False, at_s=101.0)
    recorder.service(0, on=True, at_s=105.0)
    recorder.take(0, ended(105.0, 105.5))
    assert counts(list(recording.series.responses[BG])) == {5: 1}


def test_a_wait_goes_on_in_an_outage_but_is_told_from_its_end(
    recording: Recording, recorder: Recorder
) -> None:
    """A phone that does not wait does not begin to with the service."""
    recorder.take(0, started(101.0))
    for device in (0, 1):
        recorder.service(device, on=False, at_s=102.0)
        recorder.service(device, on=True, at_s=110.0)
    recorder.take(1, ended(115.0, 115.5, intent=FG))
    recorder.finish(112.0)
    assert recording.max_background_wait_s == pytest.approx(2.0)
    assert recording.series.waiting[15] == 1


def test_an_outage_is_no_slow_server(recording: Recording, recorder: Recorder) -> None:
    recorder.service(0, on=False, at_s=101.0)
    recorder.take(0, ended(100.5, 110.5, Outcome.ANSWER_TIMEOUT))
    recorder.service(0, on=True, at_s=112.0)
    recorder.take(0, ended(111.0, 113.0, Outcome.CONNECT_TIMEOUT))
    assert counts(list(recording.series.responses[BG])) == {}
    recorder.take(0, ended(113.0, 113.5))
    assert counts(list(recording.series.responses[BG])) == {13: 1}


def test_the_longest_background_wait(recording: Recording, recorder: Recorder) -> None:
    recorder.take(0, started(101.0))
    recorder.take(0, ended(101.0, 101.1, Outcome.DEFERRED))
    recorder.take(0, started(105.0))
    recorder.take(0, ended(105.0, 105.5))
    assert recording.max_background_wait_s == pytest.approx(4.5)
    recorder.take(0, lost(105.5, 106.0))
    recorder.take(0, started(106.0))
    recorder.take(0, ended(106.0, 107.0))
    assert recording.max_background_wait_s == pytest.approx(4.5)


def test_a_wait_may_end_with_the_run_or_with_a_person(
    recording: Recording, recorder: Recorder
) -> None:
    recorder.take(0, started(101.0))
    recorder.take(0, started(103.0, FG))
    recorder.take(0, ended(103.0, 103.5, intent=FG))
    assert recording.max_background_wait_s == pytest.approx(2.5)
    recorder.take(1, started(104.0))
    recorder.finish(120.0)
    assert recording.max_background_wait_s == pytest.approx(16.0)


def test_a_wait_without_service_is_none(recording: Recording, recorder: Recorder) -> None:
    recorder.take(0, started(101.0))
    recorder.service(0, on=False, at_s=102.0)
    recorder.service(0, on=True, at_s=110.0)
    recorder.take(0, ended(110.0, 111.0))
    assert recording.max_background_wait_s == pytest.approx(1.0)
    recorder.take(1, started(101.0))
    recorder.service(1, on=False, at_s=102.0)
    recorder.finish(120.0)
    assert recording.max_background_wait_s == pytest.approx(1.0)


def test_deferrals_count_between_two_sessions(recording: Recording, recorder: Recorder) -> None:
    for at in (101.0, 102.0, 103.0):
        recorder.take(0, ended(at, at + 0.1, Outcome.DEFERRED))
    recorder.take(1, ended(101.0, 101.1, Outcome.DEFERRED))
    recorder.take(0, ended(104.0, 104.1))
    recorder.take(0, ended(105.0, 105.1, Outcome.DEFERRED))
    assert recording.max_deferrals == 3


def test_stages_messages_and_work(recording: Recording, recorder: Recorder) -> None:
    recorder.stage_changed(Stage.EMERGENCY, 103.5)
    recorder.posted()
    recorder.take(0, MessageAcknowledged(b"x", 101.0, 102.0, 1))
    recorder.worked(0.5, 0.25, 101.2)
    recorder.worked(0.5, 0.0, 101.9)
    recorder.worked(1.0, 1.0, 121.0)
    assert recording.stages == [StageChange(3.5, Stage.EMERGENCY)]
    assert (recording.messages, recording.acknowledged) == (1, 1)
    assert recording.series.busy_s[11] == 1.0
    assert recording.series.useful_s[11] == 0.25
    assert sum(recording.series.busy_s) == 1.0


def test_a_run_that_is_faster_than_the_story(recording: Recording) -> None:
    recorder = Recorder(recording, origin_s=100.0, speed=5.0)
    recorder.take(0, started(98.1))  # 9.5 s before
    recorder.take(0, ended(98.1, 98.2))
    recorder.take(0, lost(98.2, 100.0))
    recorder.opened(0, 101.0)
    recorder.take(0, started(101.0))
    recorder.take(0, ended(101.0, 101.5))
    recorder.take(0, ready(101.0, 101.5))
    recorder.stage_changed(Stage.BUSY, 102.0)
    assert counts(list(recording.series.connects[BG])) == {-10: 1, 5: 1}
    assert list(recording.calm_responses_s) == pytest.approx([0.5])
    assert recording.opens == [Open(5.0, 2.5, ready=True)]
    assert recording.max_background_wait_s == pytest.approx(2.5)
    assert recording.stages == [StageChange(10.0, Stage.BUSY)]


def test_the_rate_that_people_are_shown(recording: Recording, recorder: Recorder) -> None:
    for at in (91.0, 92.0, 99.0, 101.0):
        recorder.take(0, started(at))
    assert recording.connects_per_s(0.0) == pytest.approx(0.3)
    assert recording.connects_per_s(3.5) == pytest.approx(0.2)
    assert recording.connects_per_s(float("-inf")) == 0
