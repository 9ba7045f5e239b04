"""The stages: what brings them on, what does not, and how they are left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.admission.samples import SETTINGS, signals

from hwangso_server.admission import Reading, Signals, Stage, StageRule
from hwangso_server.admission.stage import OVERFLOWS, THRESHOLDS, StageMachine, readings

CALM = signals(background_share=0.1)
BUSY = signals(background_standing_s=0.03, background_share=0.8)
SURGE = signals(background_standing_s=0.03, background_share=0.8, surge_ratio=5.0)
PEOPLE = signals(foreground_standing_s=0.2, foreground_share=0.9)
DWELL_S = {Stage.BUSY: 5.0, Stage.EMERGENCY: 10.0, Stage.SHIELD: 10.0}


WINDOW_S = 0.125
"""A sum of these is exact."""


class Machine:
    """A machine, and windows for it."""

    def __init__(self, *, hysteresis: bool = True, governed: bool = True) -> None:
        self.stages = StageMachine(SETTINGS, hysteresis=hysteresis, governed=governed)
        self.now_s = 100.0

    def see(self, found: Signals, for_s: float, backlog_s: float = 0.0) -> Stage:
        for _ in range(round(for_s / WINDOW_S)):
            self.now_s += WINDOW_S
            self.stages.update(found, backlog_s, self.now_s)
        return self.stages.stage

    def see_until(self, stage: Stage, found: Signals, backlog_s: float = 0.0) -> float:
        """How long it takes until it is there."""
        began_s = self.now_s
        while self.see(found, WINDOW_S, backlog_s) is not stage:
            assert self.now_s - began_s < 60
        return self.now_s - began_s


# Up


def test_it_begins_calm() -> None:
    machine = Machine()
    assert machine.see(CALM, 60) is Stage.NORMAL
    assert machine.stages.rule is StageRule.CALM


@pytest.mark.parametrize(
    ("found", "backlog_s", "stage", "rule"),
    [
        (BUSY, 0.0, Stage.BUSY, StageRule.BACKGROUND_STANDING),
        (SURGE, 0.0, Stage.EMERGENCY, StageRule.CONNECT_SURGE),
        (CALM, 3.0, Stage.EMERGENCY, StageRule.BACKLOG),
        (
            signals(foreground_standing_s=0.03, foreground_share=0.4, surge_ratio=3.0),
            0.0,
            Stage.EMERGENCY,
            StageRule.CONNECT_SURGE,
        ),
    ],
)
def test_it_rises_at_once(found: Signals, backlog_s: float, stage: Stage, rule: StageRule) -> None:
    machine = Machine()
    assert machine.see(found, WINDOW_S, backlog_s) is stage
    assert machine.stages.rule is rule
    assert machine.stages.since_s == machine.now_s


def test_people_alone_bring_on_the_shield_after_a_second() -> None:
    machine = Machine()
    assert machine.see_until(Stage.SHIELD, PEOPLE) == 1.0 + WINDOW_S
    assert machine.stages.rule is StageRule.FOREGROUND_STANDING


def test_a_second_on_end() -> None:
    machine = Machine()
    for _ in range(10):
        machine.see(PEOPLE, 1.0)
        assert machine.see(CALM, WINDOW_S) is not Stage.SHIELD


@pytest.mark.parametrize("rule", list(OVERFLOWS))
def test_a_full_queue_does_not_wait_for_a_window(rule: StageRule) -> None:
    machine = Machine()
    assert machine.stages.overflow(rule, 100.05) is OVERFLOWS[rule]
    assert machine.stages.rule is rule
    assert machine.stages.since_s == 100.05


def test_a_full_queue_lowers_nothing() -> None:
    machine = Machine()
    machine.see(SURGE, WINDOW_S)
    assert machine.stages.overflow(StageRule.BACKGROUND_FULL, 101.0) is Stage.EMERGENCY
    assert machine.stages.rule is StageRule.CONNECT_SURGE


# What does not


@pytest.mark.parametrize(
    ("what", "found"),
    [
        (
            "messages of live sessions: connects take little",
            signals(background_standing_s=2.0, live_share=0.95, background_share=0.04),
        ),
        (
            "people behind messages of live sessions",
            signals(foreground_standing_s=2.0, live_share=0.95, foreground_share=0.04),
        ),
        ("a slow disk: answers take long, turns come soon", signals(response_s=30.0)),
        ("a surge that the server can take", signals(surge_ratio=50.0, background_share=0.9)),
        ("a queue below the target", signals(background_standing_s=0.019, background_share=1.0)),
        (
            "expensive handshakes, few of them waiting",
            signals(background_standing_s=0.3, target_s=0.4, background_share=0.9),
        ),
    ],
)
def test_what_does_not_raise_it(what: str, found: Signals) -> None:
    assert Machine().see(found, 60) is Stage.NORMAL, what


@pytest.mark.parametrize(
    ("found", "highest"),
    [
        (signals(background_standing_s=2.0, background_share=0.9, surge_ratio=2.9), Stage.BUSY),
        (signals(foreground_standing_s=2.0, foreground_share=0.45), Stage.NORMAL),
        (signals(foreground_standing_s=0.09, foreground_share=0.99), Stage.NORMAL),
        (signals(background_standing_s=9.0, background_share=0.9, surge_ratio=9), Stage.EMERGENCY),
    ],
)
def test_how_far_it_rises(found: Signals, highest: Stage) -> None:
    assert Machine().see(found, 60) is highest


def test_every_threshold_needs_all_that_it_names() -> None:
    """Negative control of the above: with everything at its limit each threshold is passed, and
    with one reading below it is not."""
    raised = signals(
        background_standing_s=0.5, foreground_standing_s=0.5, background_share=0.5,
        foreground_share=0.5, surge_ratio=3.0,
    )  # fmt: skip
    found = readings(raised, 3.0, SETTINGS)
    for threshold in THRESHOLDS:
        assert threshold.level(found) >= 1
        for name in threshold.needs:
            low = found | {name: Reading(name, 0.75, 1.0)}
            assert threshold.level(low) == 0.75


# Down


def test_down_one_stage_at_a_time() -> None:
    machine, found = Machine(), []
    assert machine.see(PEOPLE, 2) is Stage.SHIELD
    for stage in (Stage.EMERGENCY, Stage.BUSY, Stage.NORMAL):
        took_s = machine.see_until(stage, CALM)
        found.append((stage, took_s, machine.stages.rule))
    assert found == [
        (Stage.EMERGENCY, 10.0, StageRule.RECOVERY),
        (Stage.BUSY, 10.0, StageRule.RECOVERY),
        (Stage.NORMAL, 5.0, StageRule.CALM),
    ]


def test_half_of_a_threshold_holds_a_stage() -> None:
    machine = Machine()
    machine.see(BUSY, 1)
    half = signals(background_standing_s=0.011, background_share=0.8)
    assert machine.see(half, 60) is Stage.BUSY
    below = signals(background_standing_s=0.009, background_share=0.8)
    assert machine.see_until(Stage.NORMAL, below) == 5.0


def test_what_holds_a_stage_holds_those_below() -> None:
    machine = Machine()
    machine.see(SURGE, 1)
    assert machine.see_until(Stage.BUSY, BUSY) == 10.0  # no surge any more
    assert machine.see(BUSY, 60) is Stage.BUSY


def test_half_of_what_would_raise_it_holds_it() -> None:
    machine = Machine()
    machine.see(BUSY, 1)
    half = signals(foreground_standing_s=0.06, foreground_share=0.3)
    assert machine.see(half, 60) is Stage.BUSY


def test_the_dwell_begins_anew_with_each_disturbance() -> None:
    machine = Machine()
    machine.see(BUSY, 1)
    for _ in range(5):
        assert machine.see(CALM, 4.75) is Stage.BUSY
        machine.see(BUSY, WINDOW_S)
    assert machine.see_until(Stage.NORMAL, CALM) == 5.0


def test_it_stays_busy_while_slots_are_to_come() -> None:
    machine = Machine()
    machine.see(BUSY, 1)
    assert machine.see(CALM, 60, backlog_s=0.1) is Stage.BUSY
    assert machine.see(CALM, WINDOW_S) is Stage.NORMAL


def test_a_long_calendar_holds_the_emergency() -> None:
    machine = Machine()
    machine.see(CALM, 1, backlog_s=3.0)
    assert machine.see(CALM, 60, backlog_s=1.6) is Stage.EMERGENCY
    assert machine.see_until(Stage.BUSY, CALM, backlog_s=1.4) == 10.0


def test_without_the_governor_slots_hold_nothing() -> None:
    machine = Machine(governed=False)
    assert machine.see(CALM, WINDOW_S, backlog_s=300.0) is Stage.EMERGENCY
    machine = Machine(governed=False)
    machine.see(BUSY, 1)
    assert machine.see_until(Stage.NORMAL, CALM, backlog_s=2.9) == 5.0


def test_without_hysteresis_it_falls_as_it_rose() -> None:
    machine = Machine(hysteresis=False)
    assert machine.see(PEOPLE, WINDOW_S) is Stage.SHIELD
    assert [machine.see(CALM, WINDOW_S) for _ in range(3)] == [2, 1, 0]
    for _ in range(10):
        assert machine.see(BUSY, WINDOW_S) is Stage.BUSY
        just_below = signals(background_standing_s=0.0199, background_share=0.8)
        assert machine.see(just_below, WINDOW_S) is Stage.NORMAL


# Pinned


def test_a_pin_keeps_it_whatever_the_signals() -> None:
    machine = Machine()
    machine.stages.pin(Stage.BUSY, 160.0, machine.now_s)
    assert machine.stages.rule is StageRule.OPERATOR
    assert machine.see(PEOPLE, 30, backlog_s=100.0) is Stage.BUSY
    assert machine.stages.overflow(StageRule.FOREGROUND_FULL, machine.now_s) is Stage.BUSY
    assert machine.see(CALM, 29.75) is Stage.BUSY
    assert machine.stages.pinned_until_s == 160.0


def test_a_pin_expires() -> None:
    machine = Machine()
    machine.stages.pin(Stage.EMERGENCY, 110.0, machine.now_s)
    machine.see(CALM, 10.0)
    assert machine.stages.pinned_until_s is None
    assert machine.stages.stage is Stage.EMERGENCY  # and goes on from there
    assert machine.stages.rule is StageRule.UNPINNED
    assert machine.see_until(Stage.BUSY, CALM) == 10.0


def test_after_a_pin_it_rises_at_once() -> None:
    machine = Machine()
    machine.stages.pin(Stage.NORMAL, 200.0, machine.now_s)
    assert machine.see(SURGE, 10) is Stage.NORMAL
    machine.stages.unpin(machine.now_s)
    assert machine.see(SURGE, WINDOW_S) is Stage.EMERGENCY


def test_unpinning_what_is_not_pinned_changes_nothing() -> None:
    machine = Machine()
    machine.see(BUSY, 1)
    since_s = machine.stages.since_s
    machine.stages.unpin(machine.now_s)
    assert machine.stages.rule is StageRule.BACKGROUND_STANDING
    assert machine.stages.since_s == since_s


# Whatever comes

LEVEL = st.sampled_from([0.0, 0.3, 0.49, 0.51, 0.9, 1.0, 1.5, 40.0])


@st.composite
def any_signals(draw: st.DrawFn) -> Signals:
    return signals(
        foreground_standing_s=draw(LEVEL) * 0.1,
        background_standing_s=draw(LEVEL) * 0.02,
        surge_ratio=draw(LEVEL) * 3.0,
        foreground_share=draw(st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.0])),
        background_share=draw(st.sampled_from([0.0, 0.2, 0.4])),
    )


STEP = st.tuples(
    any_signals(),
    st.sampled_from([0.0, 0.5, 2.0, 300.0]),
    st.sampled_from([0.1, 0.1, 0.3, 2.0, 6.0, 11.0]),
    st.sampled_from([None, None, None, *OVERFLOWS]),
)


@given(st.lists(STEP, max_size=40))
def test_a_stage_never_flaps_faster_than_its_dwell(
    steps: list[tuple[Signals, float, float, StageRule | None]],
) -> None:
    stages, now_s, entered_s = StageMachine(SETTINGS), 0.0, 0.0
    for found, backlog_s, elapsed_s, full in steps:
        now_s += elapsed_s
        before = stages.stage
        if full is not None:
            assert stages.overflow(full, now_s) >= before
        else:
            stages.update(found, backlog_s, now_s)
        if stages.stage < before:
            assert stages.stage == before - 1
            assert now_s - entered_s >= DWELL_S[before]
            assert before is not Stage.BUSY or backlog_s == 0
        if stages.stage is not before:
            entered_s = now_s
            assert stages.since_s == now_s


@given(st.lists(STEP, max_size=30))
def test_calm_always_comes_to_normal(
    steps: list[tuple[Signals, float, float, StageRule | None]],
) -> None:
    machine = Machine()
    for found, backlog_s, elapsed_s, _ in steps:
        machine.now_s += elapsed_s
        machine.stages.update(found, backlog_s, machine.now_s)
    assert machine.see(CALM, sum(DWELL_S.values()) + 0.5) is Stage.NORMAL
