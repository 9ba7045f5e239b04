"""The controller's slots: how they are handed out, and what becomes of who comes back."""

from bisect import bisect_left

import pytest
from msgspec.structs import replace
from tests.server.admission.controlled import (
    BG,
    FG,
    HOLD,
    SLOW,
    SLOW_HOLD,
    Controlled,
    busy,
    come_back,
)
from tests.server.admission.samples import SETTINGS

from hwangso_protocol.hello import Kind
from hwangso_server.admission import (
    Admit,
    Deferral,
    Rule,
    Stage,
)


@pytest.mark.parametrize("stage", [Stage.BUSY, Stage.EMERGENCY, Stage.SHIELD])
def test_slots_are_handed_out_at_the_rate_of_the_budget(stage: Stage) -> None:
    controlled = busy(stage)
    rate_per_s = controlled.controller.status(controlled.now_s).background_per_s
    waits_s = sorted(controlled.deferred(BG, n).wait_ms / 1000 for n in range(1, 5_001))
    assert waits_s[0] >= HOLD / rate_per_s  # when the queue of now is served
    for seconds in (0.5, 1.0, 2.0):
        for first in range(0, 5_000, 50):
            within = bisect_left(waits_s, waits_s[first] + seconds) - first
            assert within <= rate_per_s * (seconds + 2 * SETTINGS.bucket_s)
    assert waits_s[-1] == pytest.approx(HOLD / rate_per_s + 5_000 / rate_per_s, rel=0.05)


# Coming back


def test_too_early_the_slot_stays() -> None:
    controlled = busy()
    first = controlled.deferred()
    slot_s = controlled.explain().until_s
    assert slot_s is not None
    for _ in range(5):
        controlled.now_s += 0.05
        again = controlled.deferred(ticket=first.deferral_ticket, attempt=2)
        assert again.deferral_ticket == first.deferral_ticket
        assert again.wait_ms == pytest.approx((slot_s - controlled.now_s) * 1000, abs=1.01)
        explanation = controlled.explain()
        assert (explanation.rule, explanation.deferrals) == (Rule.EARLY, 1)
        assert explanation.until_s == slot_s


def test_a_device_that_throws_its_ticket_away_keeps_its_slot_too() -> None:
    controlled = busy()
    first = controlled.deferred()
    slots = controlled.controller.status(controlled.now_s).slots
    for _ in range(100):
        assert controlled.deferred().deferral_ticket == first.deferral_ticket
    assert controlled.controller.status(controlled.now_s).slots == slots


@pytest.mark.parametrize("stage", [Stage.BUSY, Stage.EMERGENCY, Stage.SHIELD])
@pytest.mark.parametrize("late_s", [0.0, 30.0, 800.0])
@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_due_slot_is_admitted(stage: Stage, late_s: float, is_remembered: bool) -> None:
    controlled = busy(stage)
    deferral = controlled.deferred()
    come_back(controlled, deferral, late_s)
    if is_remembered:
        controlled.serve(BG, HOLD)
        assert controlled.hello(BG) == Admit(BG)
        assert controlled.explain().rule is Rule.DUE
    else:  # another server, with the same key
        other = Controlled()
        other.now_s = controlled.now_s
        other.pin(stage)
        assert other.hello(BG, ticket=deferral.deferral_ticket) == Admit(BG)
        assert other.explain().rule is Rule.DUE


def test_not_a_moment_before() -> None:
    controlled = busy()
    deferral = controlled.deferred()
    controlled.serve(BG, HOLD - 1)
    come_back(controlled, deferral, -SETTINGS.slot_tolerance_s - 0.01)
    controlled.deferred(ticket=deferral.deferral_ticket)
    controlled.now_s += 0.02
    assert controlled.hello(BG, ticket=deferral.deferral_ticket) == Admit(BG)


def test_not_twice() -> None:
    controlled = busy()
    deferral = controlled.deferred()
    controlled.serve(BG, HOLD - 1)
    come_back(controlled, deferral)
    assert controlled.hello(BG, ticket=deferral.deferral_ticket) == Admit(BG)
    controlled.deferred(ticket=deferral.deferral_ticket)
    assert controlled.explain().rule is Rule.OVER_BUDGET
    assert controlled.controller.status(controlled.now_s).spent_tickets == 1


def test_not_by_another_device() -> None:
    controlled = busy()
    deferral = controlled.deferred(BG, 1)
    controlled.serve(BG, HOLD - 1)
    come_back(controlled, deferral)
    controlled.deferred(BG, 2, ticket=deferral.deferral_ticket)
    assert controlled.explain(2).rule is Rule.OVER_BUDGET
    assert controlled.controller.status(controlled.now_s).foreign_tickets == 1


def test_with_a_full_queue_a_due_slot_becomes_another() -> None:
    controlled = busy()
    first = controlled.deferred()
    come_back(controlled, first)
    second = controlled.deferred(ticket=first.deferral_ticket)
    assert second.deferral_ticket != first.deferral_ticket
    explanation = controlled.explain()
    assert (explanation.rule, explanation.deferrals) == (Rule.QUEUE_FULL, 2)


def test_age_wins() -> None:
    """After three deferrals there is twice the room, after four there is room."""
    controlled = busy()
    for deferrals in (1, 2, 3):
        come_back(controlled, controlled.deferred())
        assert controlled.explain().deferrals == deferrals
    assert controlled.hello(BG) == Admit(BG)
    assert controlled.explain().rule is Rule.AGE

    controlled = busy()
    for _ in range(3):
        come_back(controlled, controlled.deferred())
    controlled.pin(Stage.NORMAL)
    controlled.fill(BG, 2 * HOLD)
    controlled.pin(Stage.EMERGENCY)
    come_back(controlled, controlled.deferred())
    assert controlled.explain().deferrals == 4
    assert controlled.hello(BG) == Admit(BG)


def test_age_does_not_win_over_a_queue_that_nobody_would_wait_in() -> None:
    controlled = busy()
    controlled.pin(Stage.NORMAL)
    controlled.fill(BG, 3 * HOLD)
    controlled.pin(Stage.EMERGENCY)
    for _ in range(8):
        come_back(controlled, controlled.deferred())
    controlled.serve(BG, 1)
    assert controlled.hello(BG) == Admit(BG)


def test_who_gave_up_in_the_queue_keeps_slot_and_age() -> None:
    controlled = busy()
    come_back(controlled, controlled.deferred())
    deferral = controlled.deferred()
    assert controlled.explain().deferrals == 2
    come_back(controlled, deferral)
    controlled.serve(BG, 1)
    ticket = deferral.deferral_ticket
    assert controlled.hello(ticket=ticket) == Admit(BG)
    controlled.controller.caller_gone(
        BG, 5.0, controlled.now_s, device_id=1, deferral_ticket=ticket
    )
    controlled.pin(Stage.NORMAL)
    controlled.fill(BG, 1)
    controlled.pin(Stage.EMERGENCY)
    controlled.deferred(ticket=ticket)
    explanation = controlled.explain()
    assert (explanation.rule, explanation.deferrals) == (Rule.QUEUE_FULL, 3)


def test_ten_minutes_are_age_too() -> None:
    controlled = busy()
    deferral = controlled.deferred()
    controlled.now_s += 600
    assert controlled.hello(BG, ticket=deferral.deferral_ticket) == Admit(BG)
    assert controlled.explain().rule is Rule.AGE


def test_when_it_is_normal_again_slots_bind_nobody() -> None:
    controlled = busy()
    deferral = controlled.deferred()
    controlled.serve(BG, HOLD)
    controlled.pin(Stage.NORMAL)
    assert controlled.hello(BG, ticket=deferral.deferral_ticket) == Admit(BG)


@pytest.mark.parametrize("stage", [Stage.NORMAL, Stage.EMERGENCY])
def test_giving_up_does_not_bring_a_used_ticket_back(stage: Stage) -> None:
    """Else one ticket would let its device in as often as it likes."""
    controlled = busy()
    deferral = controlled.deferred()
    ticket = deferral.deferral_ticket
    controlled.serve(BG, HOLD)
    come_back(controlled, deferral)
    assert controlled.hello(ticket=ticket) == Admit(BG)
    controlled.serve(BG, 1)  # a session: the ticket is used
    intent = BG if stage is Stage.NORMAL else FG
    controlled.pin(stage)
    assert controlled.hello(intent, ticket=ticket) == Admit(intent)
    controlled.controller.caller_gone(
        intent, 0.1, controlled.now_s, device_id=1, deferral_ticket=ticket
    )
    controlled.pin(Stage.NORMAL)
    controlled.fill(BG, HOLD - 1)
    controlled.pin(Stage.SHIELD)
    controlled.deferred(ticket=ticket)
    assert controlled.explain().rule is Rule.OVER_BUDGET


# Strangers


@pytest.mark.parametrize("kind", [Kind.ENROL, Kind.LOGIN])
def test_who_has_no_resume_ticket_is_deferred_for_30_s_at_most(kind: Kind) -> None:
    controlled = busy(settings=SLOW)
    for device_id in range(1, 2_001):
        controlled.deferred(BG, device_id)
    deferral = controlled.deferred(BG, None, kind=kind)
    assert deferral.wait_ms == 30_000
    come_back(controlled, deferral)
    again = controlled.deferred(BG, None, kind=kind, ticket=deferral.deferral_ticket)
    assert again.deferral_ticket == deferral.deferral_ticket  # the slot is in the ticket
    controlled.serve(BG, SLOW_HOLD - 1)
    while isinstance(
        decision := controlled.hello(BG, None, kind=kind, ticket=again.deferral_ticket), Deferral
    ):
        come_back(controlled, decision)
    assert decision == Admit(BG)
    assert 100 < controlled.now_s - 100 < 200


@pytest.mark.parametrize(("share", "last_s"), [(0.5, 12.6), (1.0, 600.0)])
def test_strangers_have_half_of_the_slots(share: float, last_s: float) -> None:
    """A flood of enrolments does not push the devices out of the calendar, unless it may."""
    controlled = busy(settings=replace(SLOW, strangers_slot_share=share))
    rate_per_s = controlled.controller.status(controlled.now_s).background_per_s
    assert rate_per_s == pytest.approx(16.7, abs=0.1)
    for _ in range(6_000):
        controlled.deferred(BG, None, kind=Kind.ENROL)
    waits_s = [controlled.deferred(BG, n).wait_ms / 1000 for n in range(1, 101)]
    assert max(waits_s) == pytest.approx(last_s, rel=0.25)


def test_a_login_takes_the_room_of_several_resumes() -> None:
    controlled = busy()
    rate_per_s = controlled.controller.status(controlled.now_s).background_per_s
    waits_s = [controlled.deferred(BG, n, kind=Kind.LOGIN).wait_ms / 1000 for n in range(1, 1_001)]
    assert max(waits_s) == pytest.approx(HOLD / rate_per_s + 1_800 / rate_per_s, rel=0.1)
