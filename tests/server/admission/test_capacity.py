"""Admission by capacity alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import Admit, Arrival, CapacityAdmission, Refusal
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS

ARRIVAL = Arrival(Intent.FOREGROUND, Intent.FOREGROUND, Kind.RESUME, 1, 7, b"")
FULL = Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)


def test_handshakes_are_bounded() -> None:
    admission = CapacityAdmission(handshakes_max=2, sessions_max=10)
    assert [admission.decide(ARRIVAL, 0.0) for _ in range(3)] == [Admit(), Admit(), FULL]
    admission.handshake_failed()
    assert admission.decide(ARRIVAL, 0.0) == Admit()
    admission.session_started()
    assert admission.decide(ARRIVAL, 0.0) == Admit()
    assert admission.decide(ARRIVAL, 0.0) == FULL


def test_sessions_are_bounded_together_with_handshakes() -> None:
    admission = CapacityAdmission(handshakes_max=10, sessions_max=2)
    admission.decide(ARRIVAL, 0.0)
    admission.session_started()
    assert admission.decide(ARRIVAL, 0.0) == Admit()
    assert admission.decide(ARRIVAL, 0.0) == FULL
    admission.session_ended()
    assert admission.decide(ARRIVAL, 0.0) == Admit()


@pytest.mark.parametrize("intent", list(Intent))
@pytest.mark.parametrize("kind", list(Kind))
def test_whoever_it_is(intent: Intent, kind: Kind) -> None:
    admission = CapacityAdmission(handshakes_max=1, sessions_max=1)
    arrival = Arrival(None, intent, kind, 255, None, b"slot")
    assert admission.decide(arrival, 0.0) == Admit()
    assert admission.decide(arrival, 1e9) == FULL


@given(st.integers(1, 4), st.integers(1, 6), st.lists(st.integers(0, 3)))
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
        assert (admission.handshakes, admission.sessions) == (shaking, live)
