from math import inf
from random import Random

from hwangso_client.backoff import FullJitter
from hwangso_client.events import (
    DeviceEvent,
    DuplicateArrived,
    MessageAcknowledged,
    MessageArrived,
    MessageRefused,
)
from hwangso_client.inbox import Inbox
from hwangso_client.mailbox import RECEIVED_DELAY_S, Mailbox
from hwangso_client.outbox import RETRY_BASE_S, Outbox
from hwangso_client.profile import Unsent
from hwangso_protocol.messages import (
    Deliver,
    Entry,
    Error,
    ErrorCode,
    Message,
    More,
    Page,
    Policy,
    Pong,
    Received,
    Send,
    Sent,
    Sync,
    Welcome,
)

ID = bytes(16)


def entry(seq: int) -> Entry:
    return Entry(seq, seq.to_bytes(16, "big"), "bob", "alice", f"message {seq}", 0)


class Upper(Random):
    """Draws the upper end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Desk:
    """A mailbox in a session, with what it reported and how often it was saved."""

    def __init__(self) -> None:
        self.events: list[DeviceEvent] = []
        self.saved_before: list[list[Message]] = []
        outbox = Outbox((), 0, FullJitter(Random(1)), limit=10, in_flight_limit=4)
        inbox = Inbox(0, (), 10)
        self.mailbox = Mailbox(inbox, outbox, FullJitter(Upper()), self.events.append)
        self.saves = 0
        self.begin()

    def begin(
        self, head: int = 0, *given: Entry, background_sync: bool = True, on_screen: bool = False
    ) -> None:
        since = self.mailbox.inbox.since
        policy = Policy(60_000, 1_000, 60_000, background_sync)
        welcome = Welcome("alice", 1, b"t", bytes(32), 1_000, since, head, policy, given)
        self.mailbox.begin(0, welcome, enrolled=False, on_screen=on_screen)

    def save(self) -> None:
        self.saves += 1
        self.mailbox.changed = False

    def due(self, now: float) -> list[Message]:
        return self.mailbox.due(now, self.save)


def test_a_posted_message_is_due_at_once_and_acknowledged_once() -> None:
    desk = Desk()
    desk.mailbox.outbox.add(Unsent(ID, "bob", "hello"), 3)
    assert desk.mailbox.deadline <= 3
    assert desk.due(3) == [Send(ID, "bob", "hello")]
    assert desk.mailbox.waiting
    assert desk.mailbox.read(5, Sent(ID, 0))
    assert desk.mailbox.read(6, Sent(ID, 0))
    assert desk.events == [MessageAcknowledged(ID, 3, 5, 1)]
    assert desk.mailbox.changed
    assert not desk.mailbox.waiting


def test_a_refused_message_is_reported() -> None:
    desk = Desk()
    desk.mailbox.outbox.add(Unsent(ID, "bob", "hello"), 3)
    desk.due(3)
    assert desk.mailbox.read(5, Error(ErrorCode.UNKNOWN_USER, "who", id=ID))
    assert desk.events == [MessageRefused(ID, ErrorCode.UNKNOWN_USER, "who", 5)]
    assert desk.mailbox.changed


def test_a_message_put_off_is_not() -> None:
    desk = Desk()
    desk.mailbox.outbox.add(Unsent(ID, "bob", "hello"), 3)
    desk.due(3)
    assert desk.mailbox.read(5, Error(ErrorCode.BUSY, id=ID))
    assert desk.events == []
    assert desk.mailbox.deadline >= 5


def test_new_entries_are_reported_and_acknowledged_together_after_a_save() -> None:
    desk = Desk()
    desk.mailbox.read(10, Deliver((entry(1),)))
    desk.mailbox.read(10.5, Deliver((entry(2),)))
    assert desk.events == [MessageArrived(entry(1), 10), MessageArrived(entry(2), 10.5)]
    assert desk.mailbox.deadline == 10 + RECEIVED_DELAY_S
    assert desk.due(10.9) == []
    assert desk.saves == 0
    assert desk.due(11) == [Received(2)]
    assert desk.saves == 1
    assert desk.due(100) == []


def test_what_came_with_the_welcome_is_acknowledged_first_of_all() -> None:
    desk = Desk()
    desk.begin(1, entry(1))
    desk.mailbox.outbox.add(Unsent(ID, "bob", "hello"), 0)
    assert desk.due(0) == [Received(1), Send(ID, "bob", "hello")]


def test_what_is_behind_is_asked_for_at_once() -> None:
    desk = Desk()
    desk.mailbox.read(1, More(3))
    assert desk.due(1) == [Sync(0, 10)]
    assert desk.mailbox.waiting
    desk.mailbox.read(2, Page(3, (entry(1), entry(2))))
    assert desk.due(2) == [Sync(2, 8)]


def test_in_the_background_it_does_not_ask_where_the_policy_says_so() -> None:
    desk = Desk()
    desk.begin(3, background_sync=False)
    assert desk.mailbox.deadline == inf
    assert desk.due(0) == []
    desk.mailbox.inbox.release()
    assert desk.due(1) == [Sync(0, 10)]


def test_whoever_looks_at_the_screen_is_not_in_the_background() -> None:
    desk = Desk()
    desk.begin(3, background_sync=False, on_screen=True)
    assert desk.due(0) == [Sync(0, 10)]


def test_a_sync_that_is_put_off_is_asked_again_by_back_off() -> None:
    desk = Desk()
    desk.begin(3)
    waits = []
    for now in (0.0, 100.0, 200.0):
        assert desk.due(now) == [Sync(0, 10)]
        assert desk.mailbox.read(now, Error(ErrorCode.BUSY))
        assert not desk.mailbox.waiting
        waits.append(desk.mailbox.deadline - now)
        assert desk.due(now) == []
    assert waits == [RETRY_BASE_S, 2 * RETRY_BASE_S, 4 * RETRY_BASE_S]
    assert desk.due(300) == [Sync(0, 10)]
    desk.mailbox.read(300, Page(3, (entry(1),)))
    desk.due(300)
    desk.mailbox.read(300, Error(ErrorCode.UNAVAILABLE))
    assert desk.mailbox.deadline == 300 + RETRY_BASE_S, "a Page begins the back-off anew"


def test_a_new_session_does_not_wait_for_the_back_off_of_the_last() -> None:
    desk = Desk()
    desk.begin(3)
    desk.due(0)
    desk.mailbox.read(0, Error(ErrorCode.BUSY))
    desk.mailbox.lost()
    desk.begin(3)
    assert desk.due(0) == [Sync(0, 10)]


def test_a_sync_waits_while_another_request_does() -> None:
    desk = Desk()
    desk.begin(3)
    desk.mailbox.may_sync = False
    assert desk.mailbox.deadline == inf
    assert desk.due(0) == []
    desk.mailbox.lost()
    desk.begin(3)
    assert desk.due(0) == [Sync(0, 10)], "that request ended with its session"


def test_duplicates_are_reported_apart() -> None:
    desk = Desk()
    desk.mailbox.read(1, Deliver((entry(1),)))
    desk.mailbox.read(2, Deliver((entry(1),)))
    assert desk.events == [MessageArrived(entry(1), 1), DuplicateArrived(entry(1), 2)]


def test_after_the_session_nothing_is_due_but_all_is_kept() -> None:
    desk = Desk()
    desk.mailbox.outbox.add(Unsent(ID, "bob", "hello"), 0)
    desk.mailbox.read(1, Deliver((entry(1),)))
    desk.due(1)
    desk.mailbox.lost()
    assert not desk.mailbox.waiting
    desk.begin(1)
    assert desk.due(2) == [Received(1), Send(ID, "bob", "hello")]


def test_other_messages_are_left_to_others() -> None:
    desk = Desk()
    assert not desk.mailbox.read(1, Pong(1))
    assert not desk.mailbox.read(1, Error(ErrorCode.BUSY))
