"""All parts together, with a crowd before them: who gets in, when, and at whose cost."""

from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.admission.crowd import BG, FG, Crowd, Story

from hwangso_protocol.hello import Kind
from hwangso_server.admission import Mechanism, Rule, Stage

COST_S = 0.005
HELLO_S = COST_S / 8
CUT_S = 5.0


def storm(
    count: int = 1_000, people_per_s: float = 10.0, *without: Mechanism, seed: int = 1
) -> Crowd:
    """Everybody is cut off at once, while people open the app."""
    crowd = Crowd(cost_s=COST_S, without=frozenset(without), seed=seed)
    crowd.open_apps(people_per_s, 0.0, 30.0)
    crowd.reconnect(count, CUT_S)
    return crowd


def ideal_s(count: int, people_per_s: float = 10.0) -> float:
    """A hello and a handshake for each, and what people leave over."""
    work_s = COST_S + HELLO_S
    return count * work_s / (1 - people_per_s * work_s)


def idle_s(story: Story, since_s: float, until_s: float) -> float:
    return sum(
        min(until, until_s) - max(since, since_s)
        for since, until in story.idle
        if until > since_s and since < until_s
    )


# A storm


def test_a_storm() -> None:
    story = storm().run(60)
    calm_p99_s = storm(0).run(60).p99_s(FG)
    assert story.p99_s(FG) <= 3 * calm_p99_s
    assert max(story.latencies_s(FG)) <= 0.25
    assert max(story.latencies_s(BG)) <= 1.5 * ideal_s(1_000)
    assert max(phone.deferrals for phone in story.phones) <= 2
    assert sum(phone.attempt for phone in story.phones) <= 2.5 * len(story.phones)


def test_it_comes_back_to_normal_by_itself_and_stays_there() -> None:
    story = storm().run(60)
    assert story.stages_seen() == [
        Stage.NORMAL,
        Stage.BUSY,
        Stage.EMERGENCY,
        Stage.BUSY,
        Stage.NORMAL,
    ]
    last_served_s = max(phone.served_s for phone in story.phones if phone.intent is BG)
    assert story.left_s(Stage.BUSY) - last_served_s < 20


@pytest.mark.parametrize(
    ("without", "is_back_soon"), [((), True), ((Mechanism.SPOKEN_DEFER,), False)]
)
def test_impatient_phones(without: tuple[Mechanism, ...], is_back_soon: bool) -> None:
    """They hang up after a second and try again: kept waiting in silence they eat the server up."""
    crowd = storm(2_000, 10.0, *without)
    for phone in crowd.phones:
        if phone.intent is BG:
            phone.patience_s = 1.0
    story = crowd.run(60)
    assert (max(story.latencies_s(BG)) <= 2 * ideal_s(2_000)) == is_back_soon
    assert story.p99_s(FG) <= 0.05  # the order of the queues, which is not switched off


def test_phones_that_ignore_deferrals_do_not_harm_those_who_obey() -> None:
    crowd = storm()
    for number, phone in enumerate(crowd.phones):
        if phone.intent is BG:
            phone.obeys = number % 5 != 0
    story = crowd.run(60)
    assert story.p99_s(FG) <= 5 * storm(0).run(60).p99_s(FG)
    obeying = [phone for phone in story.phones if phone.intent is BG and phone.obeys]
    assert max(phone.latency_s for phone in obeying) <= 2 * ideal_s(1_000)
    assert max(phone.deferrals for phone in obeying) <= 4


def test_everybody_must_log_in() -> None:
    """Their resume tickets have run out: nobody is known, and each costs almost double."""
    crowd = storm()
    for phone in crowd.phones:
        if phone.intent is BG:
            phone.kind, phone.device_id = Kind.LOGIN, None
    story = crowd.run(90)
    work_s = 1_000 * (1.8 * COST_S + HELLO_S) / (1 - 10 * (COST_S + HELLO_S))
    assert max(story.latencies_s(BG)) <= 2 * work_s  # strangers have half of the slots
    assert story.p99_s(FG) <= 0.1


def test_the_server_becomes_slow_in_the_storm() -> None:
    crowd = storm()
    crowd.slowness = lambda now_s: 4.0 if 6.0 < now_s < 12.0 else 1.0
    story = crowd.run(120)
    assert max(phone.deferrals for phone in story.phones) <= 4
    assert max(story.latencies_s(BG)) < 60
    assert crowd.controller.stage is Stage.NORMAL


# Properties


@settings(max_examples=8)
@given(
    count=st.sampled_from([200, 600, 1_500]),
    people_per_s=st.sampled_from([0.5, 10.0, 60.0]),
    over_s=st.sampled_from([0.0, 1.0, 10.0]),
    patience_s=st.sampled_from([1.5, 5.0, 1e9]),
    seed=st.integers(0, 1_000),
)
def test_nobody_who_keeps_his_slot_starves(
    count: int, people_per_s: float, over_s: float, patience_s: float, seed: int
) -> None:
    crowd = Crowd(cost_s=COST_S, seed=seed)
    crowd.open_apps(people_per_s, 0.0, 40.0)
    crowd.reconnect(count, CUT_S, over_s=over_s)
    for phone in crowd.phones:
        phone.patience_s = patience_s
    story = crowd.run(100)
    assert max(story.latencies_s(BG)) <= min(2.0 * ideal_s(count, people_per_s) + over_s + 2, 900)
    assert max(phone.deferrals for phone in story.phones) <= 4
    assert max(story.latencies_s(FG)) <= 1.0


@settings(max_examples=8)
@given(
    count=st.sampled_from([600, 1_500]),
    people_per_s=st.sampled_from([0.5, 20.0]),
    seed=st.integers(0, 1_000),
)
def test_while_somebody_waits_the_server_does_not_idle(
    count: int, people_per_s: float, seed: int
) -> None:
    story = storm(count, people_per_s, seed=seed).run(60)
    back_s = CUT_S + story.latencies_s(BG)[int(0.95 * count)]
    assert idle_s(story, CUT_S, back_s) <= 0.12 * (back_s - CUT_S)


@settings(max_examples=8)
@given(
    count=st.sampled_from([600, 1_500]),
    people_per_s=st.sampled_from([0.5, 20.0]),
    seed=st.integers(0, 1_000),
)
def test_no_more_are_admitted_than_the_server_can_serve(
    count: int, people_per_s: float, seed: int
) -> None:
    """In any time: what it serves, and once the queue. That is also: no second storm."""
    story = storm(count, people_per_s, seed=seed).run(60)
    admitted_s = [at_s for at_s, intent in story.admitted if intent is BG]
    served_per_s = 1 / COST_S
    queue = 0.3 / COST_S * 2
    for seconds in (0.5, 1.0, 5.0):
        for first, since_s in enumerate(admitted_s):
            within = bisect_left(admitted_s, since_s + seconds) - first
            assert within <= served_per_s * seconds + queue


@settings(max_examples=8)
@given(
    crowds=st.lists(
        st.tuples(st.integers(50, 800), st.floats(0, 25), st.floats(0, 5)), min_size=1, max_size=4
    ),
    seed=st.integers(0, 1_000),
)
def test_people_never_wait_for_background(
    crowds: list[tuple[int, float, float]], seed: int
) -> None:
    """However much of it there is: each is admitted at once, and waits for one handshake and a few
    hellos besides other people."""
    crowd = Crowd(cost_s=COST_S, seed=seed)
    crowd.open_apps(15.0, 0.0, 30.0)
    for number, (count, at_s, over_s) in enumerate(crowds):
        crowd.reconnect(count, at_s, over_s=over_s, first_id=1 + 10_000 * number)
    story = crowd.run(40)
    people = [phone for phone in story.phones if phone.intent is FG]
    assert all(phone.attempt == 1 and phone.served_as is FG for phone in people)
    assert max(phone.latency_s for phone in people) <= 10 * COST_S
    decisions = crowd.controller.status(40).decisions
    assert decisions[Rule.FOREGROUND] == len(people)


# People


def people_only(per_s: float, stage: Stage | None = None) -> Story:
    """For 20 s, and they give up after 5 s and try again."""
    crowd = Crowd(cost_s=COST_S)
    crowd.open_apps(per_s, 2.0, 22.0)
    for phone in crowd.phones:
        phone.patience_s = 5.0
    if stage is not None:
        crowd.controller.pin(stage, 1e9, 0.0)
    return crowd.run(80)


def waits_s(story: Story, until_s: float) -> list[float]:
    """Of those served till then, in the attempt that succeeded."""
    return sorted(
        phone.served_s - phone.arrived_s for phone in story.phones if phone.served_s < until_s
    )


def test_more_people_than_the_server_can_serve() -> None:
    """Twice as many: it serves as many as it can, and these at once."""
    story = people_only(2 / COST_S)
    assert Stage.SHIELD in story.stages_seen()
    found = waits_s(story, 22.0)
    hellos_s = (2 / COST_S + 1 / COST_S) * 20 * HELLO_S
    assert len(found) >= 0.9 * (20 - hellos_s) / COST_S
    assert found[len(found) // 2] <= 0.2
    assert all(phone.served_s < 80 for phone in story.phones)
    assert max(phone.deferrals for phone in story.phones) <= 4


def test_without_the_shield_they_all_wait() -> None:
    """Negative control."""
    story = people_only(2 / COST_S, stage=Stage.NORMAL)
    found = waits_s(story, 22.0)
    assert found[len(found) // 2] > 1.0


def test_as_many_people_as_the_server_can_serve() -> None:
    """A load of 0.8 needs no shield."""
    story = people_only(0.7 / COST_S)
    assert story.stages_seen() == [Stage.NORMAL]
    assert all(phone.attempt == 1 for phone in story.phones)


@pytest.mark.parametrize(
    ("without", "are_people_safe"), [((), True), ((Mechanism.FOREGROUND_BUDGET,), False)]
)
def test_devices_known_to_lie(without: tuple[Mechanism, ...], are_people_safe: bool) -> None:
    """Many reconnect as if people waited, and have done so all day."""
    crowd = storm(1_000, 10.0, *without)
    for phone in crowd.phones:
        if phone.intent is BG:
            phone.intent, phone.really = FG, BG
    liars = [phone for phone in crowd.phones if phone.really is BG]
    for phone in liars:
        assert phone.device_id is not None
        for claim in range(4):
            crowd.controller._trust.believes(phone.device_id, 1, -1_000 + claim)
    crowd.controller.pin(Stage.BUSY, 1.0, 0.0)
    story = crowd.run(60)
    assert (story.p99_s(FG) <= 0.1) == are_people_safe
    assert max(phone.latency_s for phone in liars) < 60


# A restart


def test_slots_are_kept_over_a_restart() -> None:
    """The server dies in the storm; its successor has the key, and honours what was promised."""
    crowd = storm(1_500)
    first = crowd.run(9.0)
    waiting = [phone for phone in first.phones if phone.served_s > 9.0 and phone.ticket]
    assert len(waiting) > 300
    successor = Crowd(cost_s=COST_S, seed=2)
    successor.controller.pin(Stage.EMERGENCY, 30.0, 0.0)
    for phone in waiting:
        phone.intended_s = 9.0
    successor.phones = waiting
    story = successor.run(60)
    decisions = successor.controller.status(60).decisions
    assert decisions[Rule.EARLY] + decisions[Rule.DUE] + decisions[Rule.QUEUE_FULL] > len(waiting)
    assert decisions[Rule.OVER_BUDGET] == 0
    assert all(phone.served_s < 30 for phone in story.phones)
