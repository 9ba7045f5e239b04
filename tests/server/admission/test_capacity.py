"""Admission by capacity alone."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import (
    Admission,
    Admit,
    Arrival,
    CapacityAdmission,
    Load,
    Refusal,
    Stage,
)
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS
from hwangso_server.admission.treatment import TREATMENTS

FG, BG = Intent.FOREGROUND, Intent.BACKGROUND
ARRIVAL = Arrival(FG, FG, Kind.RESUME, 1, 7, b"")
ADMIT = Admit(FG)
FULL = Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)


def test_handshakes_are_bounded() -> None:
    admission = CapacityAdmission(handshakes_max=2, sessions_max=10)
    assert [admission.decide(ARRIVAL, 0.0) for _ in range(3)] == [ADMIT, ADMIT, FULL]
    admission.handshake_failed()
    assert admission.decide(ARRIVAL, 0.0) == ADMIT
    admission.session_started()
    assert admission.decide(ARRIVAL, 0.0) == ADMIT
    assert admission.decide(ARRIVAL, 0.0) == FULL
    admission.caller_gone(FG, 0.0, 0.0)
    assert not admission.is_full
    assert admission.decide(ARRIVAL, 0.0) == ADMIT


def test_sessions_are_bounded_together_with_handshakes() -> None:
    admission = CapacityAdmission(handshakes_max=10, sessions_max=2)
    admission.decide(ARRIVAL, 0.0)
    admission.session_started()
    assert admission.decide(ARRIVAL, 0.0) == ADMIT
    assert admission.decide(ARRIVAL, 0.0) == FULL
    admission.session_ended()
    assert admission.decide(ARRIVAL, 0.0) == ADMIT


BY_ITSELF = Arrival(BG, BG, Kind.RESUME, 1, 8, b"")


def test_background_leaves_sessions_to_people() -> None:
    """Else 100 phones that nobody looks at lock the person out who opens the 101st."""
    admission = CapacityAdmission(handshakes_max=1_000, sessions_max=100, foreground_reserve=0.1)
    for _ in range(90):
        assert admission.decide(BY_ITSELF, 0.0) == Admit(BG)
        admission.session_started()
    assert (admission.is_full_for_background, admission.is_full) == (True, False)
    assert admission.decide(BY_ITSELF, 0.0) == FULL
    for _ in range(10):
        assert admission.decide(ARRIVAL, 0.0) == ADMIT
    assert admission.decide(ARRIVAL, 0.0) == FULL
    assert admission.is_full
    admission.session_ended()
    assert admission.decide(BY_ITSELF, 0.0) == FULL, "the reserve is kept for people first"
    assert admission.decide(ARRIVAL, 0.0) == ADMIT


def test_background_leaves_handshakes_to_people() -> None:
    admission = CapacityAdmission(handshakes_max=10, sessions_max=1_000, foreground_reserve=0.2)
    assert [admission.decide(BY_ITSELF, 0.0) for _ in range(9)] == [Admit(BG)] * 8 + [FULL]
    assert [admission.decide(ARRIVAL, 0.0) for _ in range(3)] == [ADMIT, ADMIT, FULL]
    admission.handshake_failed()
    assert admission.decide(BY_ITSELF, 0.0) == FULL


@pytest.mark.parametrize(("sessions_max", "background"), [(1, 1), (9, 9), (10, 9), (19, 18)])
def test_a_reserve_is_rounded_down(sessions_max: int, background: int) -> None:
    admission = CapacityAdmission(
        handshakes_max=100, sessions_max=sessions_max, foreground_reserve=0.1
    )
    admitted = [admission.decide(BY_ITSELF, 0.0) == Admit(BG) for _ in range(20)]
    assert sum(admitted) == background


@pytest.mark.parametrize("lane", [None, *Intent])
@pytest.mark.parametrize("intent", list(Intent))
@pytest.mark.parametrize("kind", list(Kind))
def test_whoever_it_is(lane: Intent | None, intent: Intent, kind: Kind) -> None:
    admission = CapacityAdmission(handshakes_max=1, sessions_max=1)
    arrival = Arrival(lane, intent, kind, 255, None, b"slot")
    assert admission.decide(arrival, 0.0) == Admit(intent)
    assert admission.decide(arrival, 1e9) == FULL


def test_nothing_is_measured() -> None:
    admission: Admission = CapacityAdmission(handshakes_max=100, sessions_max=100)
    for second in range(50):
        admission.decide(ARRIVAL, second)
        admission.handshake_started(FG, 30.0, second)
        admission.answered(FG, 60.0, second)
        admission.worked(Load(0.0, 1.0, 0.0, 0.0, 0.0), second)
        admission.tick(second)
    assert admission.stage is Stage.NORMAL
    assert admission.treatment == TREATMENTS[Stage.NORMAL]
    assert not admission.newest_first
    assert admission.next_deadline_s == inf


@given(st.integers(1, 4), st.integers(1, 6), st.lists(st.integers(0, 4)))
def test_never_more_than_allowed(handshakes: int, sessions: int, steps: list[int]) -> None:
    admission = CapacityAdmission(handshakes_max=handshakes, sessions_max=sessions)
    shaking = live = 0
    for step in steps:
        if step == 0:
            admitted = isinstance(admission.decide(ARRIVAL, 0.0), Admit)
            assert admitted == (shaking < handshakes and shaking + live < sessions)
            shaking += admitted
        elif step == 1 and shaking:
            admission.handshake_failed()
            shaking -= 1
        elif step == 2 and shaking:
            admission.session_started()
            shaking, live = shaking - 1, live + 1
        elif step == 3 and live:
            admission.session_ended()
            live -= 1
        elif step == 4 and shaking:
            admission.caller_gone(FG, 0.0, 0.0)
            shaking -= 1
        assert (admission.handshakes, admission.sessions) == (shaking, live)
        assert admission.is_full == (shaking >= handshakes or shaking + live >= sessions)
