"""The controller's decisions about people, and about those who claim to be."""

import pytest
from tests.server.admission.controlled import (
    BG,
    FG,
    HOLD_FG,
    SHIELD_HOLD_FG,
    Controlled,
    busy,
)

from hwangso_protocol.answer import DeferReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import (
    Admit,
    Mechanism,
    Rule,
    Stage,
)

# Foreground


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("lane", [None, FG, BG])
def test_people_are_admitted_at_once_in_every_stage(stage: Stage, lane: Intent | None) -> None:
    controlled = busy(stage)
    assert controlled.hello(FG, lane=lane) == Admit(FG)
    assert controlled.explain().rule is Rule.FOREGROUND


@pytest.mark.parametrize("kind", list(Kind))
def test_people_without_a_ticket_too(kind: Kind) -> None:
    controlled = busy(Stage.SHIELD)
    assert controlled.hello(FG, None, kind=kind) == Admit(FG)


def test_more_people_than_the_server_can_serve_bring_on_the_shield() -> None:
    controlled = Controlled()
    controlled.fill(FG, HOLD_FG)
    before = controlled.controller.stage
    decision = controlled.deferred(FG)
    assert (before, controlled.controller.stage) == (Stage.NORMAL, Stage.SHIELD)
    assert controlled.controller.newest_first
    assert decision.reason is DeferReason.SHIELD
    assert 1_000 <= decision.wait_ms <= 1_200  # the first slot of the calendar for people
    assert controlled.explain().rule is Rule.FOREGROUND_FULL


def test_in_the_shield_the_queue_is_short_for_the_newest_are_served_first() -> None:
    controlled = Controlled()
    controlled.pin(Stage.SHIELD)
    controlled.fill(FG, SHIELD_HOLD_FG)
    deferral = controlled.deferred(FG, 1)
    controlled.serve(FG, SHIELD_HOLD_FG // 2)
    controlled.deferred(FG, 2)  # half of the room is for those who have slots
    assert controlled.explain(2).rule is Rule.FOREGROUND_FULL
    controlled.serve(FG, 1)
    assert controlled.hello(FG, 3) == Admit(FG)
    controlled.now_s += 2 + deferral.wait_ms / 1000  # whose slots are over
    controlled.fill(FG, SHIELD_HOLD_FG // 2 - 1)
    assert controlled.hello(FG, 4) == Admit(FG)


def test_people_over_capacity_come_back_at_the_rate_at_which_they_can_be_served() -> None:
    controlled = Controlled()
    controlled.pin(Stage.SHIELD)
    controlled.fill(FG, SHIELD_HOLD_FG)
    waits_s = sorted(controlled.deferred(FG, device).wait_ms / 1000 for device in range(1, 10_001))
    assert waits_s[0] >= 1.0
    per_s = 0.95 / 0.0003  # background keeps its 5 %
    assert waits_s[-1] == pytest.approx(1 + 10_000 / per_s, rel=0.05)
    assert waits_s[5_000] == pytest.approx(1 + 5_000 / per_s, rel=0.05)


def test_in_the_shield_a_device_has_one_attempt_at_a_time() -> None:
    controlled = Controlled()
    controlled.pin(Stage.SHIELD)
    assert controlled.hello(FG) == Admit(FG)
    controlled.deferred(FG, attempt=2)
    assert controlled.explain().rule is Rule.ONE_ATTEMPT
    controlled.deferred(FG, attempt=3)  # every second one does not get through either
    assert controlled.hello(FG, 2) == Admit(FG)
    controlled.now_s += 1.3
    assert controlled.hello(FG, attempt=3) == Admit(FG)


def test_in_the_other_stages_it_may_have_several() -> None:
    controlled = busy(Stage.EMERGENCY)
    assert [controlled.hello(FG, attempt=n) for n in (1, 2, 3)] == [Admit(FG)] * 3


def test_who_opens_the_app_does_not_wait_for_the_slot_of_the_background() -> None:
    controlled = busy()
    ticket = controlled.deferred(BG).deferral_ticket
    assert controlled.hello(FG, ticket=ticket) == Admit(FG)
    controlled.now_s += 60
    controlled.deferred(BG, ticket=ticket)  # and the slot is used up
    assert controlled.explain().rule is Rule.OVER_BUDGET
    assert controlled.controller.status(controlled.now_s).spent_tickets == 1


def shielded(waiting: int) -> Controlled:
    """In SHIELD, with so many people before the next one."""
    controlled = Controlled()
    controlled.pin(Stage.EMERGENCY)
    controlled.fill(FG, waiting)
    controlled.pin(Stage.SHIELD)
    return controlled


def test_people_whose_slot_has_come_have_twice_the_room() -> None:
    controlled = shielded(2 * SHIELD_HOLD_FG - 2)
    deferral = controlled.deferred(FG)
    controlled.now_s += deferral.wait_ms / 1000
    assert controlled.hello(FG, attempt=2, ticket=deferral.deferral_ticket) == Admit(FG)
    assert (controlled.explain().rule, controlled.explain().deferrals) == (Rule.DUE, 1)
    deferral = controlled.deferred(FG, 2)
    controlled.now_s += deferral.wait_ms / 1000
    controlled.deferred(FG, 2, attempt=2, ticket=deferral.deferral_ticket)
    assert controlled.explain(2).rule is Rule.FOREGROUND_FULL


def test_a_person_with_a_slot_pays_no_second_claim() -> None:
    """Being put off is not the phone's fault."""
    controlled = shielded(4 * SHIELD_HOLD_FG)
    for _ in range(20):
        controlled.now_s += 70 + controlled.deferred(FG).wait_ms / 1000
        assert controlled.explain().served_as is FG


def test_after_four_deferrals_there_is_room() -> None:
    controlled = shielded(3 * SHIELD_HOLD_FG)
    for attempt in range(1, 5):
        deferral = controlled.deferred(FG, attempt=attempt)
        assert controlled.explain().deferrals == attempt
        controlled.deferred(FG, attempt=attempt)  # early
        assert controlled.explain().rule is Rule.EARLY
        controlled.now_s += deferral.wait_ms / 1000
    assert controlled.hello(FG, attempt=5) == Admit(FG)


def test_but_not_without_end() -> None:
    """Who has collected tickets and comes with all of them at once does not fill the queue with
    more than people wait for."""
    controlled = shielded(4 * SHIELD_HOLD_FG)
    for attempt in range(1, 8):
        controlled.now_s += controlled.deferred(FG, attempt=attempt).wait_ms / 1000


def test_who_opens_the_app_takes_the_age_of_the_background_along() -> None:
    controlled = busy()
    for _ in range(3):
        controlled.now_s += controlled.deferred(BG).wait_ms / 1000
    controlled.fill(FG, SHIELD_HOLD_FG)
    controlled.pin(Stage.SHIELD)
    assert controlled.hello(FG) == Admit(FG)
    assert (controlled.explain().rule, controlled.explain().deferrals) == (Rule.DUE, 3)


def test_a_slot_for_people_is_none_for_machines() -> None:
    """Else a claim would be a way around the budget."""
    controlled = Controlled()
    controlled.pin(Stage.SHIELD)
    controlled.fill(FG, SHIELD_HOLD_FG)
    deferral = controlled.deferred(FG)
    controlled.now_s += 10
    controlled.deferred(BG, ticket=deferral.deferral_ticket)
    assert controlled.explain().rule is Rule.OVER_BUDGET


def test_people_who_come_again_before_their_slot_are_served_if_there_is_room() -> None:
    controlled = Controlled()
    controlled.pin(Stage.SHIELD)
    controlled.fill(FG, SHIELD_HOLD_FG)
    first = controlled.deferred(FG)
    assert controlled.deferred(FG, attempt=2).deferral_ticket == first.deferral_ticket
    assert controlled.explain().rule is Rule.EARLY
    controlled.serve(FG, SHIELD_HOLD_FG // 2 + 1)
    assert controlled.hello(FG, attempt=3) == Admit(FG)


# Trust


def claim_often(controlled: Controlled, device_id: int = 1) -> None:
    for _ in range(4):
        controlled.hello(FG, device_id)
        controlled.now_s += 2


@pytest.mark.parametrize("stage", [Stage.BUSY, Stage.EMERGENCY, Stage.SHIELD])
def test_who_claims_too_often_is_background(stage: Stage) -> None:
    controlled = busy(stage)
    claim_often(controlled)
    controlled.now_s += 2
    controlled.deferred(FG)
    explanation = controlled.explain()
    assert (explanation.claimed, explanation.served_as) == (FG, BG)
    assert explanation.rule is Rule.OVER_BUDGET


def test_in_normal_times_claims_are_believed() -> None:
    controlled = Controlled()
    claim_often(controlled)
    assert controlled.hello(FG) == Admit(FG)


def test_in_normal_times_who_claims_too_often_does_not_bring_on_the_shield() -> None:
    controlled = Controlled()
    for number in range(10 * HOLD_FG):
        controlled.hello(FG, None, kind=Kind.LOGIN)
        if number % 10 == 0:
            controlled.hello(FG, 1)
    assert controlled.controller.stage is Stage.BUSY
    assert controlled.controller.status(controlled.now_s).foreground_waiting < HOLD_FG / 2
    assert controlled.hello(FG, 2) == Admit(FG)


def test_claims_of_normal_times_count() -> None:
    controlled = Controlled()
    claim_often(controlled)
    controlled.pin(Stage.BUSY)
    assert controlled.hello(FG) == Admit(BG)


def test_trust_heals() -> None:
    controlled = busy()
    claim_often(controlled)
    controlled.now_s += 2 * 3600 + 1
    assert controlled.hello(FG) == Admit(FG)


def test_without_the_foreground_budget_every_claim_is_believed() -> None:
    controlled = busy(Stage.EMERGENCY, Mechanism.FOREGROUND_BUDGET)
    assert [controlled.hello(FG) for _ in range(50)] == [Admit(FG)] * 50


def test_strangers_claims_are_budgeted_together() -> None:
    """A tenth of the processor: 1 s of it at first, at 0.54 ms a login."""
    controlled = busy()
    decisions = [controlled.hello(FG, None, kind=Kind.LOGIN) for _ in range(400)]
    believed = sum(decision == Admit(FG) for decision in decisions)
    assert believed == pytest.approx(0.1 / 0.00054, abs=2)
