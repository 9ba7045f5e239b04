"""The outbox, alone and against a model of a server that cuts, delays and puts off."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hwangso_client.backoff import FullJitter
from hwangso_client.errors import OutboxFull
from hwangso_client.outbox import RETRY_CAP_S, TRY_AGAIN, Outbox
from hwangso_client.profile import Unsent
from hwangso_protocol.messages import ErrorCode


def unsent(number: int) -> Unsent:
    return Unsent(number.to_bytes(16, "big"), "bob", f"message {number}")


def numbers(ids: Iterable[bytes]) -> list[int]:
    return [int.from_bytes(one, "big") for one in ids]


def make(*restored: int, limit: int = 100, in_flight_limit: int = 3) -> Outbox:
    backoff = FullJitter(Random(1))
    waiting = [unsent(number) for number in restored]
    return Outbox(waiting, 0, backoff, limit=limit, in_flight_limit=in_flight_limit)


def due(outbox: Outbox, now: float = 0) -> list[int]:
    return numbers(send.id for send in outbox.due(now))


def test_sends_in_order_with_a_window() -> None:
    outbox = make(1, 2, 3, 4, 5)
    assert due(outbox) == [1, 2, 3]
    assert (outbox.in_flight, outbox.deadline) == (3, None)
    assert due(outbox) == []
    outbox.acknowledged(unsent(1).id)
    assert (outbox.in_flight, outbox.deadline) == (2, 0)
    assert due(outbox) == [4]


def test_nothing_to_send_has_no_deadline() -> None:
    outbox = make()
    assert outbox.deadline is None
    assert len(outbox) == 0


def test_what_is_sent_is_what_was_posted() -> None:
    outbox = make()
    outbox.add(Unsent(bytes(16), "bob", "안녕"), 7)
    (send,) = outbox.due(7)
    assert (send.id, send.to, send.body) == (bytes(16), "bob", "안녕")


def test_an_acknowledged_message_is_gone() -> None:
    outbox = make()
    outbox.add(unsent(1), 3)
    due(outbox, 5)
    pending = outbox.acknowledged(unsent(1).id)
    assert pending is not None
    assert (pending.intended_at, pending.tries) == (3, 1)
    assert len(outbox) == 0
    assert outbox.acknowledged(unsent(1).id) is None


def test_after_a_lost_session_all_is_sent_again_with_the_same_ids() -> None:
    outbox = make(1, 2, 3, 4)
    assert due(outbox) == [1, 2, 3]
    outbox.acknowledged(unsent(2).id)
    outbox.lost()
    assert outbox.in_flight == 0
    assert due(outbox) == [1, 3, 4]
    pending = outbox.acknowledged(unsent(1).id)
    assert pending is not None
    assert pending.tries == 2


@pytest.mark.parametrize("code", sorted(TRY_AGAIN))
def test_a_busy_server_gets_it_later(code: ErrorCode) -> None:
    outbox = make(1, 2)
    due(outbox)
    assert outbox.refused(unsent(1).id, code, 10) is None
    assert len(outbox) == 2
    assert outbox.in_flight == 1
    assert outbox.deadline is not None
    assert 10 <= outbox.deadline <= 10 + RETRY_CAP_S
    assert due(outbox, outbox.deadline) == [1]


def test_a_whole_window_put_off_is_one_failure() -> None:
    outbox = make(1, 2, 3)
    due(outbox)
    for number in (1, 2, 3):
        outbox.refused(unsent(number).id, ErrorCode.BUSY, 10)
    first = outbox.deadline
    assert first is not None
    assert first <= 10.5
    assert due(outbox, first) == [1, 2, 3], "oldest first"


def test_waits_grow_until_something_is_taken() -> None:
    outbox = make(1)
    waits = []
    now = 0.0
    for _ in range(40):
        due(outbox, now)
        outbox.refused(unsent(1).id, ErrorCode.BUSY, now)
        assert outbox.deadline is not None
        waits.append(outbox.deadline - now)
        now = outbox.deadline
    assert max(waits[:2]) < 1 < max(waits[2:]) <= RETRY_CAP_S


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - TRY_AGAIN))
def test_any_other_refusal_is_final(code: ErrorCode) -> None:
    outbox = make(1, 2)
    due(outbox)
    pending = outbox.refused(unsent(1).id, code, 0)
    assert pending is not None
    assert pending.unsent == unsent(1)
    assert numbers(one.id for one in outbox.unsent) == [2]


def test_answers_to_nothing_are_ignored() -> None:
    outbox = make(1)
    assert outbox.acknowledged(unsent(9).id) is None
    assert outbox.refused(unsent(9).id, ErrorCode.BUSY, 0) is None
    assert outbox.refused(unsent(9).id, ErrorCode.UNKNOWN_USER, 0) is None
    assert due(outbox) == [1]


def test_a_full_outbox_says_so_and_queues_nothing() -> None:
    outbox = make(1, 2, limit=2)
    with pytest.raises(OutboxFull, match="2 messages"):
        outbox.add(unsent(3), 0)
    assert numbers(one.id for one in outbox.unsent) == [1, 2]


class OutboxMachine(RuleBasedStateMachine):
    """Through cuts, lost answers and BUSY, each message is stored once and in the end gone."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = make(limit=20, in_flight_limit=4)
        self.now = 0.0
        self.posted = 0
        self.stored: list[int] = []
        self.acknowledged: set[int] = set()
        self.answers: list[int] = []

    @precondition(lambda self: len(self.outbox) < 20)
    @rule()
    def post(self) -> None:
        self.posted += 1
        self.outbox.add(unsent(self.posted), self.now)

    @rule(pause_s=st.floats(0, 60))
    def wait(self, pause_s: float) -> None:
        self.now += pause_s

    @rule(busy=st.booleans())
    def send(self, busy: bool) -> None:
        for number in due(self.outbox, self.now):
            if busy:
                self.outbox.refused(unsent(number).id, ErrorCode.BUSY, self.now)
            else:
                if number not in self.stored:
                    self.stored.append(number)
                self.answers.append(number)

    @precondition(lambda self: self.answers)
    @rule()
    def answer(self) -> None:
        number = self.answers.pop(0)
        self.outbox.acknowledged(unsent(number).id)
        self.acknowledged.add(number)

    @rule()
    def cut(self) -> None:
        self.answers.clear()
        self.outbox.lost()

    @invariant()
    def nothing_is_lost(self) -> None:
        kept = set(numbers(one.id for one in self.outbox.unsent))
        assert kept | self.acknowledged == set(range(1, self.posted + 1))
        assert not kept & self.acknowledged
        assert self.acknowledged <= set(self.stored)
        assert 0 <= self.outbox.in_flight <= 4

    @invariant()
    def in_order(self) -> None:
        assert self.stored == sorted(self.stored)

    def teardown(self) -> None:
        self.cut()
        while len(self.outbox):
            self.now += RETRY_CAP_S
            self.send(busy=False)
            while self.answers:
                self.answer()
        assert self.stored == list(range(1, self.posted + 1))


TestOutboxMachine = OutboxMachine.TestCase
