"""The controller's decisions, one at a time; test_controller_crowd has what only a crowd shows."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.server.admission.controlled import (
    BG,
    FG,
    HOLD,
    HOLD_FG,
    SLOW,
    SLOW_HOLD,
    Controlled,
    busy,
)
from tests.server.admission.samples import SETTINGS

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_server.admission import (
    Admission,
    Admit,
    Decision,
    Explanation,
    Load,
    Mechanism,
    Outcome,
    PushWakes,
    Refusal,
    Rule,
    Stage,
    StageRule,
)
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS


def test_it_is_an_admission() -> None:
    admission: Admission = Controlled().controller
    assert admission.stage is Stage.NORMAL


# Background


def test_in_normal_times_background_is_admitted_at_once() -> None:
    controlled = Controlled()
    assert controlled.hello(BG) == Admit(BG)
    assert controlled.explain().rule is Rule.NORMAL


def test_a_background_hello_on_the_foreground_lane_is_background() -> None:
    assert busy().deferred(BG, lane=FG).reason is DeferReason.EMERGENCY


def test_a_full_queue_ends_normal_at_once() -> None:
    controlled = Controlled()
    controlled.fill(BG, HOLD)
    assert controlled.controller.stage is Stage.NORMAL
    assert controlled.deferred().reason is DeferReason.BUSY
    assert controlled.controller.status(controlled.now_s).rule is StageRule.BACKGROUND_FULL


def test_unless_an_operator_says_otherwise() -> None:
    controlled = Controlled()
    controlled.pin(Stage.NORMAL)
    controlled.fill(BG, 2 * HOLD)
    assert controlled.hello(BG) == Admit(BG)


def test_busy_admits_what_the_budget_has_left() -> None:
    controlled = Controlled()
    controlled.pin(Stage.BUSY)
    rules = []
    for device_id in range(1, 501):
        controlled.hello(BG, device_id)
        rules.append(controlled.explain(device_id).rule)
    spare = rules.count(Rule.SPARE)
    assert spare == pytest.approx(0.1 / 0.0006, abs=1)  # a burst of 0.1 s at half of the capacity
    assert rules == [Rule.SPARE] * spare + [Rule.OVER_BUDGET] * (500 - spare)


@pytest.mark.parametrize("due", [0, 200])
def test_slots_that_are_due_come_out_of_the_budget(due: int) -> None:
    controlled = busy(Stage.BUSY)
    for device_id in range(1, due + 1):
        controlled.deferred(BG, device_id)
    controlled.serve(BG, HOLD)
    controlled.now_s += 60
    for device_id in range(1, due + 1):
        assert controlled.hello(BG, device_id) == Admit(BG)
    controlled.hello(BG, 1_000)
    assert controlled.explain(1_000).rule is (Rule.OVER_BUDGET if due else Rule.SPARE)


def test_busy_with_a_full_queue_admits_nobody() -> None:
    controlled = busy(Stage.BUSY)
    assert controlled.deferred().reason is DeferReason.BUSY


def test_an_emergency_admits_only_due_slots() -> None:
    controlled = Controlled()
    controlled.pin(Stage.BUSY)
    controlled.fill(BG, 1)
    controlled.pin(Stage.EMERGENCY)
    assert controlled.deferred(BG, 2).reason is DeferReason.EMERGENCY


def test_but_rather_than_idle_it_admits_who_is_there() -> None:
    controlled = Controlled()
    controlled.pin(Stage.EMERGENCY)
    assert controlled.hello(BG, 1) == Admit(BG)
    assert controlled.explain(1).rule is Rule.SPARE
    controlled.deferred(BG, 2)


def test_the_shield_admits_nobody_without_a_slot() -> None:
    controlled = Controlled()
    controlled.pin(Stage.SHIELD)
    assert controlled.deferred().reason is DeferReason.SHIELD


# Full


FULL = Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)


def test_the_hard_bound_stays() -> None:
    small = replace(SETTINGS, handshakes_max=20)
    controlled = Controlled(settings=small)
    decisions = [controlled.hello(BG, n) for n in range(1, 31)]
    assert decisions == [Admit(BG)] * 18 + [FULL] * 12  # foreground keeps a tenth
    assert [controlled.hello(FG, n) for n in range(31, 34)] == [Admit(FG), Admit(FG), FULL]
    assert controlled.explain(33).outcome is Outcome.REFUSED
    controlled.controller.caller_gone(BG, 0.0, controlled.now_s)
    assert controlled.hello(FG, 34) == Admit(FG)


def test_the_last_sessions_are_for_people() -> None:
    controlled = Controlled(settings=replace(SETTINGS, sessions_max=100))
    controlled.fill(BG, 90)
    controlled.serve(BG, 90)
    assert controlled.hello(BG, 1) == FULL
    assert [controlled.hello(FG, n) for n in range(1, 12)] == [Admit(FG)] * 10 + [FULL]


def test_sessions_count_until_they_end() -> None:
    controlled = Controlled(settings=replace(SETTINGS, sessions_max=2))
    assert [controlled.hello(FG, n) for n in (1, 2, 3)] == [Admit(FG), Admit(FG), FULL]
    controlled.serve(FG, 2)
    assert controlled.hello(FG, 4) == FULL
    controlled.controller.session_ended()
    assert controlled.hello(FG, 5) == Admit(FG)
    controlled.controller.handshake_started(FG, 0.0, controlled.now_s)
    controlled.controller.handshake_failed()
    assert controlled.hello(FG, 6) == Admit(FG)


# Without


@pytest.mark.parametrize("stage", [Stage.BUSY, Stage.EMERGENCY, Stage.SHIELD])
def test_without_spoken_deferrals_everybody_waits_in_the_queue(stage: Stage) -> None:
    controlled = busy(stage, Mechanism.SPOKEN_DEFER)
    assert [controlled.hello(BG, n) for n in range(1, 3_001)] == [Admit(BG)] * 3_000
    assert controlled.explain().rule is Rule.SILENT
    assert controlled.controller.calendar(controlled.now_s) == []


def test_without_spoken_deferrals_people_wait_too() -> None:
    controlled = Controlled(Mechanism.SPOKEN_DEFER)
    controlled.fill(FG, HOLD_FG)
    assert controlled.hello(FG) == Admit(FG)
    assert controlled.controller.stage is Stage.SHIELD


@pytest.mark.parametrize("without", [(), (Mechanism.RECOVERY_GOVERNOR,)])
def test_without_the_governor_the_calendar_ends_with_the_emergency(
    without: tuple[Mechanism, ...],
) -> None:
    controlled = busy(Stage.EMERGENCY, *without, settings=SLOW)
    for device_id in range(1, 1_001):
        controlled.deferred(BG, device_id)
    controlled.serve(BG, SLOW_HOLD)
    controlled.controller.unpin(controlled.now_s)
    for _ in range(250):
        controlled.now_s += 0.1
        controlled.controller.tick(controlled.now_s)
    is_governed = not without
    assert (controlled.controller.stage is not Stage.NORMAL) == is_governed
    assert bool(controlled.controller.calendar(controlled.now_s)) == is_governed


# Windows


def test_a_window_closes_when_the_deadline_has_passed() -> None:
    controlled = Controlled()
    controller = controlled.controller
    controlled.hello(BG)
    assert controller.next_deadline_s == pytest.approx(100.1)
    controller.tick(100.05)
    assert controller.next_deadline_s == pytest.approx(100.1)
    controller.tick(100.1)
    assert controller.next_deadline_s == pytest.approx(100.2)


def test_a_turn_closes_it_as_well() -> None:
    controlled = Controlled()
    controlled.hello(BG)
    controlled.controller.worked(Load(0.0, 0.0, 0.1, 0.0, 0.0), 100.15)
    assert controlled.controller.next_deadline_s == pytest.approx(100.25)


def test_a_pin_is_a_deadline() -> None:
    controlled = Controlled()
    controlled.controller.pin(Stage.BUSY, 100.03, 100.0)
    assert controlled.controller.next_deadline_s == 100.03
    controlled.controller.tick(100.03)
    assert controlled.controller.status(100.03).pinned_until_s is None


# For operators


def test_the_treatment_is_that_of_the_stage() -> None:
    controlled = Controlled()
    usual = controlled.controller.treatment
    controlled.pin(Stage.SHIELD)
    shielded = controlled.controller.treatment
    assert (usual.push_wakes, shielded.push_wakes) == (PushWakes.AT_ONCE, PushWakes.HELD)
    assert (usual.presence, shielded.presence) == (True, False)
    controlled.controller.unpin(100.0)
    assert controlled.controller.stage is Stage.SHIELD  # until it is calm


def test_an_explanation() -> None:
    controlled = busy(Stage.SHIELD)
    deferral = controlled.deferred(BG, 42)
    controlled.now_s += 0.5
    explanation = controlled.controller.explain(42, controlled.now_s)
    assert explanation is not None
    assert explanation.until_s == pytest.approx(100.0 + deferral.wait_ms / 1000, abs=0.001)
    assert replace(explanation, until_s=None) == Explanation(
        device_id=42,
        at_s=100.0,
        claimed=BG,
        served_as=BG,
        stage=Stage.SHIELD,
        rule=Rule.OVER_BUDGET,
        until_s=None,
        deferrals=1,
    )
    assert explanation.outcome is Outcome.DEFERRED
    assert controlled.controller.explain(43, controlled.now_s) is None


def test_the_oldest_explanations_are_forgotten() -> None:
    controlled = Controlled(settings=replace(SETTINGS, devices_remembered=3))
    for device_id in (1, 2, 3, 1, 4):
        controlled.hello(BG, device_id)
    known = [controlled.controller.explain(n, 100.0) is not None for n in (1, 2, 3, 4)]
    assert known == [True, False, True, True]


def test_the_status() -> None:
    controlled = busy()
    controlled.deferred(BG, 1)
    controlled.deferred(BG, 1)
    controlled.hello(FG, 2)
    status = controlled.controller.status(controlled.now_s)
    assert (status.stage, status.rule) == (Stage.EMERGENCY, StageRule.OPERATOR)
    assert (status.since_s, status.pinned_until_s) == (100.0, 1e9)
    assert (status.foreground_waiting, status.background_waiting) == (1, HOLD)
    assert status.slots == 1
    assert status.last_slot_s > controlled.now_s
    assert status.background_per_s > 0
    assert (status.overbooked, status.foreign_tickets, status.spent_tickets) == (0, 0, 0)
    assert [reading.name for reading in status.readings] == [
        "background_standing_s",
        "foreground_standing_s",
        "standing_s",
        "connect_share",
        "foreground_share",
        "surge_ratio",
        "backlog_s",
    ]
    counted = {rule: count for rule, count in status.decisions.items() if count}
    assert counted == {
        Rule.NORMAL: HOLD,
        Rule.OVER_BUDGET: 1,
        Rule.EARLY: 1,
        Rule.FOREGROUND: 1,
    }
    assert set(status.decisions) == set(Rule)


def test_the_calendar() -> None:
    controlled = busy()
    for device_id in range(1, 2_001):
        controlled.deferred(BG, device_id)
    found = controlled.controller.calendar(controlled.now_s)
    assert sum(slots for _, slots in found) == 2_000
    assert [second for second, _ in found] == sorted({second for second, _ in found})


def test_the_same_chance_gives_the_same_decisions() -> None:
    def decisions(make: Callable[[], Controlled]) -> list[Decision]:
        controlled = make()
        found = []
        for number in range(2_000):
            controlled.now_s += 0.001
            found.append(controlled.hello((BG, FG)[number % 20 == 0], number % 700 + 1))
        return found

    assert decisions(busy) == decisions(busy)
