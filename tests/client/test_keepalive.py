from hypothesis import given
from hypothesis import strategies as st

from hwangso_client.keepalive import (
    INTERVAL_MAX_S,
    INTERVAL_MIN_S,
    PATIENCE_S,
    PONG_TIMEOUT_S,
    UNANSWERED_MAX_S,
    Check,
    Keepalive,
)


def test_pings_after_an_interval_of_silence_from_here() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    assert keepalive.deadline == 60
    assert keepalive.check(59.9) is Check.WAIT
    assert keepalive.check(60) is Check.PING


def test_the_phase_spreads_pings_over_a_quarter_of_the_interval() -> None:
    spread = [Keepalive(0, 60, phase) for phase in (0, 0.5, 1)]
    assert [keepalive.deadline for keepalive in spread] == [60, 52.5, 45]
    for keepalive in spread:
        keepalive.sent(100)
    assert [keepalive.deadline for keepalive in spread] == [160, 152.5, 145]


def test_what_is_sent_counts_as_a_sign_of_life() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.sent(50)
    assert keepalive.deadline == 110


def test_what_is_only_heard_does_not() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.heard(50)
    assert keepalive.deadline == 60


def test_no_answer_to_a_ping_means_a_dead_peer() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.pinged(60)
    assert keepalive.deadline == 60 + PONG_TIMEOUT_S
    assert keepalive.check(60 + PONG_TIMEOUT_S - 0.1) is Check.WAIT
    assert keepalive.check(60 + PONG_TIMEOUT_S) is Check.DEAD


def test_sending_more_does_not_give_a_silent_peer_more_time() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.pinged(60)
    keepalive.sent(64)
    keepalive.pinged(64)
    assert keepalive.check(60 + PONG_TIMEOUT_S) is Check.DEAD


def test_any_sign_of_life_answers_a_ping() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.pinged(60)
    keepalive.heard(61)
    assert keepalive.check(60 + PONG_TIMEOUT_S) is Check.WAIT
    assert keepalive.deadline == 120


def test_a_request_without_an_answer_brings_a_ping_early() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.asked(10)
    assert keepalive.deadline == 10 + PATIENCE_S
    assert keepalive.check(10 + PATIENCE_S) is Check.PING
    keepalive.pinged(10 + PATIENCE_S)
    assert keepalive.check(10 + PATIENCE_S + PONG_TIMEOUT_S) is Check.DEAD


def test_an_answered_request_does_not() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.asked(10)
    keepalive.answered(12, still_waiting=False)
    assert keepalive.deadline == 60


def test_patience_begins_again_with_each_answer_of_several() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.asked(10)
    keepalive.asked(11)
    keepalive.answered(12, still_waiting=True)
    assert keepalive.deadline == 12 + PATIENCE_S


def test_a_peer_that_answers_pings_but_no_request_is_given_up_in_the_end() -> None:
    keepalive = Keepalive(0, 60, phase=0)
    keepalive.asked(0)
    now, pings = 0.0, 0
    while (check := keepalive.check(now)) is not Check.DEAD:
        if check is Check.PING:
            pings += 1
            keepalive.pinged(now)
            keepalive.heard(now + 0.1)
        now = keepalive.deadline
    assert now == UNANSWERED_MAX_S
    assert pings == 11


def test_an_interval_of_nothing_is_no_busy_loop() -> None:
    assert Keepalive(0, 0, phase=0).deadline == INTERVAL_MIN_S


def test_an_interval_of_weeks_is_an_hour() -> None:
    assert Keepalive(0, 2**32 / 1000, phase=0).deadline == INTERVAL_MAX_S


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.sampled_from(["sent", "heard", "asked", "answered"]), st.floats(0, 30))),
)
def test_every_deadline_leads_to_an_action(phase: float, steps: list[tuple[str, float]]) -> None:
    keepalive, now = Keepalive(0, 60, phase), 0.0
    for step, pause_s in steps:
        now += pause_s
        if now >= keepalive.deadline:
            check = keepalive.check(now)
            assert check is not Check.WAIT
            if check is Check.DEAD:
                return
            keepalive.pinged(now)
            assert keepalive.deadline > now
        match step:
            case "sent":
                keepalive.sent(now)
            case "heard":
                keepalive.heard(now)
            case "asked":
                keepalive.asked(now)
            case _:
                keepalive.answered(now, still_waiting=False)
        assert keepalive.deadline <= now + 60
