"""The figures of recordings made by hand."""

from dataclasses import replace

import pytest
from tests.tools.storm.reports import BG, FG

from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.figures import StormFigures, figures, percentile, window_rates
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.recording import Open, Recording, StageChange

CALM_S, SECONDS = 100, 300


def recording(*, controlled: bool = True, triggers_end_s: float = 20.0) -> Recording:
    """One connect a second in the calm baseline, a fifth of them FOREGROUND; answers after 0.1 s,
    as app opens are."""
    made = Recording(
        calm_seconds=CALM_S,
        seconds=SECONDS,
        devices=1_000,
        capacity_per_s=15.0,
        triggers_end_s=triggers_end_s,
        first_event_s=10.0,
        controlled=controlled,
    )
    for second in range(-CALM_S, SECONDS):
        intent = FG if second % 5 == 0 else BG
        made.series.connects[intent][CALM_S + second] = 1
        made.series.responses[intent][CALM_S + second] = 1
        made.series.response_s[intent][CALM_S + second] = 0.1
    made.calm_responses_s.extend([0.1] * 100)
    made.calm_opens_s.extend([0.1] * 100)
    made.opens.extend(Open(second + 0.5, 0.1, ready=True) for second in range(SECONDS))
    return made


def crowd(made: Recording, per_s: int, from_s: int, to_s: int) -> None:
    for second in range(from_s, to_s):
        made.series.connects[BG][CALM_S + second] += per_s


def answers_take(made: Recording, response_s: float, from_s: int, to_s: int) -> None:
    for second in range(from_s, to_s):
        for intent in (BG, FG):
            place = CALM_S + second
            responses = made.series.responses[intent][place]
            made.series.response_s[intent][place] = response_s * responses


def opens_take(made: Recording, waited_s: float, from_s: int, to_s: int, *, ready: bool) -> None:
    made.opens[from_s:to_s] = [
        replace(opened, waited_s=waited_s, ready=ready) for opened in made.opens[from_s:to_s]
    ]


def stages(made: Recording, *changes: tuple[float, Stage]) -> None:
    made.stages.extend(StageChange(at_s, stage) for at_s, stage in changes)


def test_a_calm_run() -> None:
    assert figures(recording()) == StormFigures(
        bg_share_calm=0.8,
        connect_peak_ratio=1.0,
        bg_share_peak=0.8,
        fg_success=1.0,
        fg_p99_s=0.1,
        emergency_detected_after_s=None,
        response_normal_after_s=0.0,
        stage_normal_after_s=0.0,
        max_bg_wait_s=0.0,
        max_deferrals=0,
        second_peak_ratio=1 / 15,
        goodput_share=None,
    )


def test_the_peak() -> None:
    made = recording()
    crowd(made, 49, 12, 22)
    found = figures(made)
    assert found.connect_peak_ratio == pytest.approx(50.0)
    assert found.bg_share_peak == pytest.approx(498 / 500)


def test_a_peak_that_is_shorter_than_the_window() -> None:
    made = recording()
    crowd(made, 100, 50, 51)
    assert figures(made).connect_peak_ratio == pytest.approx(11.0)


def test_the_second_peak_over_the_capacity() -> None:
    made = recording()
    crowd(made, 49, 12, 42)
    crowd(made, 29, 100, 110)
    assert figures(made).second_peak_ratio == pytest.approx(2.0)


def test_what_the_last_trigger_brings_on_is_the_first_peak() -> None:
    made = recording()
    made.triggers_end_s = 100.0
    crowd(made, 59, 12, 22)
    crowd(made, 49, 100, 110)
    crowd(made, 19, 130, 140)
    assert figures(made).second_peak_ratio == pytest.approx(20 / 15)


def test_the_end_of_the_first_peak_is_not_the_second() -> None:
    made = recording()
    crowd(made, 49, 12, 42)
    assert figures(made).second_peak_ratio == pytest.approx(10.8 / 15)


def test_a_peak_that_never_ends() -> None:
    made = recording()
    crowd(made, 49, 12, SECONDS)
    assert figures(made).second_peak_ratio is None


def test_success_of_app_opens() -> None:
    made = recording()
    opens_take(made, 29.9, 10, 20, ready=True)  # late, but in time
    opens_take(made, 30.1, 20, 30, ready=True)  # too late
    opens_take(made, 12.0, 30, 40, ready=False)  # given up
    opens_take(made, 9.9, 40, 60, ready=False)  # just looked
    assert figures(made).fg_success == pytest.approx(260 / 280)


def test_the_p99_of_app_opens() -> None:
    made = recording()
    opens_take(made, 5.0, 10, 12, ready=True)
    assert figures(made).fg_p99_s == 0.1
    opens_take(made, 7.0, 12, 14, ready=True)
    assert figures(made).fg_p99_s == 5.0
    opens_take(made, 60.0, 20, 24, ready=False)
    assert figures(made).fg_p99_s is None


def test_nobody_opens_the_app() -> None:
    made = recording()
    made.opens.clear()
    found = figures(made)
    assert (found.fg_success, found.fg_p99_s, found.response_normal_after_s) == (None, None, None)


def test_an_emergency_counts_from_the_slow_answers() -> None:
    made = recording()
    answers_take(made, 0.29, 11, 12)  # not slow yet: three times 0.1 is
    answers_take(made, 0.31, 14, 20)
    stages(made, (15.0, Stage.BUSY), (16.5, Stage.EMERGENCY))
    assert figures(made).emergency_detected_after_s == pytest.approx(2.5)


def test_an_emergency_before_anything_is_slow() -> None:
    made = recording()
    stages(made, (15.0, Stage.SHIELD))
    assert figures(made).emergency_detected_after_s == 0.0
    answers_take(made, 9.0, 20, 21)
    assert figures(made).emergency_detected_after_s == 0.0


def test_an_emergency_that_is_not_seen() -> None:
    made = recording()
    answers_take(made, 9.0, 20, 60)
    stages(made, (21.0, Stage.BUSY))
    assert figures(made).emergency_detected_after_s is None


def test_response_is_normal_again() -> None:
    made = recording()
    opens_take(made, 0.21, 12, 80, ready=True)
    # From 53 on, 27 of 30 opens are normal; the first event was at 10.
    assert figures(made).response_normal_after_s == 67.0


def test_one_slow_open_in_ten_is_normal() -> None:
    made = recording()
    for second in range(0, SECONDS, 10):
        opens_take(made, 5.0, second, second + 1, ready=True)
    assert figures(made).response_normal_after_s == 0.0
    opens_take(made, 5.0, 205, 206, ready=True)
    assert figures(made).response_normal_after_s == 0.0  # long after the triggers


def test_normal_before_the_last_trigger_is_not_the_end_of_it() -> None:
    made = recording(triggers_end_s=100.0)
    opens_take(made, 5.0, 20, 30, ready=True)
    opens_take(made, 5.0, 100, 130, ready=True)
    assert figures(made).response_normal_after_s == 117.0


def test_half_a_minute_of_luck_is_not_normal() -> None:
    made = recording()
    opens_take(made, 12.0, 12, 30, ready=False)
    opens_take(made, 12.0, 70, 100, ready=False)
    assert figures(made).response_normal_after_s == 87.0


def test_what_is_given_up_is_not_normal() -> None:
    made = recording()
    opens_take(made, 12.0, 12, 80, ready=False)
    assert figures(made).response_normal_after_s == 67.0


def test_where_people_only_look_for_a_moment_nothing_is_known() -> None:
    made = recording()
    opens_take(made, 2.0, 12, 80, ready=False)
    assert figures(made).response_normal_after_s == 41.0  # the first 30 s with somebody in them


def test_response_is_never_normal_again() -> None:
    made = recording()
    opens_take(made, 5.0, 12, SECONDS, ready=True)
    assert figures(made).response_normal_after_s is None


def test_the_stage_is_normal_again() -> None:
    made = recording()
    stages(made, (12.0, Stage.EMERGENCY), (60.0, Stage.BUSY), (70.5, Stage.NORMAL))
    assert figures(made).stage_normal_after_s == pytest.approx(60.5)


def test_a_stage_that_is_normal_for_a_moment() -> None:
    made = recording()
    stages(made, (12.0, Stage.BUSY), (60.0, Stage.NORMAL), (89.0, Stage.BUSY), (95, Stage.NORMAL))
    assert figures(made).stage_normal_after_s == pytest.approx(85.0)
    stages(made, (126.0, Stage.BUSY), (140.0, Stage.NORMAL))  # another story
    assert figures(made).stage_normal_after_s == pytest.approx(85.0)


def test_a_stage_before_what_the_last_trigger_brings() -> None:
    made = recording(triggers_end_s=100.0)
    stages(made, (101.0, Stage.EMERGENCY), (130.0, Stage.NORMAL))
    assert figures(made).stage_normal_after_s == pytest.approx(120.0)


def test_a_stage_that_never_is_normal_again() -> None:
    made = recording()
    stages(made, (12.0, Stage.BUSY))
    assert figures(made).stage_normal_after_s is None
    stages(made, (290.0, Stage.NORMAL))
    assert figures(made).stage_normal_after_s is None  # not long enough to know


def test_without_control_there_are_no_stages() -> None:
    assert figures(recording(controlled=False)).stage_normal_after_s is None


def test_what_the_processor_worked_for() -> None:
    made = recording()
    for second in range(SECONDS):
        storm = 100 <= second < 160
        made.series.busy_s[CALM_S + second] = 1.0 if storm else 0.2
        made.series.useful_s[CALM_S + second] = 0.3 if storm else 0.2
    assert figures(made).goodput_share == pytest.approx(0.3)


def test_a_calm_baseline_of_nobody() -> None:
    made = Recording(
        calm_seconds=10,
        seconds=5,
        devices=10,
        capacity_per_s=1.0,
        triggers_end_s=0.0,
        first_event_s=0.0,
        controlled=False,
    )
    assert set(figures(made).by_name().values()) == {None, 0.0}


def test_every_figure_has_its_name() -> None:
    assert list(figures(recording()).by_name()) == list(FigureName)


def test_rates_of_whole_windows() -> None:
    assert window_rates([1] * 9) == []
    assert window_rates([1] * 9 + [11, 1]) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 50, None), ([3.0], 99, 3.0), ([1, 2, 3, 4], 50, 2), ([1, 2, 3, 4], 51, 3)],
)
def test_nearest_rank(values: list[float], percent: float, expected: float | None) -> None:
    assert percentile(values, percent) == expected
