"""The inbox, alone and against a model of a server that loses, repeats and prunes."""

from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hwangso_client.inbox import Inbox
from hwangso_protocol.limits import PAGE_MAX_ENTRIES
from hwangso_protocol.messages import Entry, Page, Policy, Sync, Welcome


def entry(seq: int) -> Entry:
    return Entry(seq, seq.to_bytes(16, "big"), "bob", "alice", f"message {seq}", 0)


def entries(first: int, last: int) -> tuple[Entry, ...]:
    return tuple(entry(seq) for seq in range(first, last + 1))


def welcome(since: int, head: int, given: tuple[Entry, ...] = ()) -> Welcome:
    policy = Policy(60_000, 1_000, 60_000)
    return Welcome("alice", 1, b"ticket", bytes(32), 1_000, since, head, policy, given)


def seqs(listed: list[Entry]) -> list[int]:
    return [one.seq for one in listed]


def open_inbox(since: int = 0, limit: int = 1_000, *, head: int | None = None) -> Inbox:
    inbox = Inbox(since, (), limit)
    inbox.begin(welcome(since, since if head is None else head), enrolled=False)
    return inbox


def wants_sync(inbox: Inbox) -> bool:
    return inbox.wants_sync


def unacknowledged(inbox: Inbox) -> bool:
    return inbox.unacknowledged


def test_takes_what_comes_next_in_order() -> None:
    inbox = open_inbox(since=4)
    new, held = inbox.delivered(entries(5, 7))
    assert seqs(new) == [5, 6, 7]
    assert held == []
    assert inbox.since == 7
    assert seqs(list(inbox.unread)) == [5, 6, 7]


def test_gives_nothing_twice() -> None:
    inbox = open_inbox()
    inbox.delivered(entries(1, 3))
    new, held = inbox.delivered(entries(2, 4))
    assert seqs(new) == [4]
    assert seqs(held) == [2, 3]
    assert inbox.duplicates == 2


def test_a_hole_is_not_taken_but_asked_for() -> None:
    inbox = open_inbox(since=4)
    new, held = inbox.delivered(entries(6, 7))
    assert (new, held) == ([], [])
    assert inbox.holes == 2
    assert wants_sync(inbox)
    assert inbox.sync() == Sync(4, PAGE_MAX_ENTRIES)
    assert not wants_sync(inbox), "one Sync at a time"
    assert inbox.syncing
    new, _ = inbox.page(Page(7, entries(5, 7)))
    assert seqs(new) == [5, 6, 7]
    assert not wants_sync(inbox)


def test_pages_until_the_head() -> None:
    inbox = Inbox(0, (), 1_000)
    inbox.begin(welcome(0, 5, entries(1, 2)), enrolled=False)
    assert inbox.sync().since == 2
    inbox.page(Page(5, entries(3, 4)))
    assert inbox.sync().since == 4
    inbox.page(Page(5, entries(5, 5)))
    assert not wants_sync(inbox)
    assert inbox.since == 5


def test_more_asks_for_a_page() -> None:
    inbox = open_inbox(since=3)
    inbox.more(9)
    assert inbox.sync().since == 3


def open_held(since: int, head: int) -> Inbox:
    inbox = Inbox(since, (), 1_000)
    inbox.begin(welcome(since, head), enrolled=False, held=True)
    return inbox


def test_a_held_inbox_knows_how_many_are_missing_and_does_not_ask() -> None:
    inbox = open_held(since=3, head=9)
    assert inbox.missing == 6
    assert not wants_sync(inbox)
    inbox.release()
    assert inbox.sync().since == 3
    inbox.page(Page(9, entries(4, 9)))
    assert inbox.missing == 0


def test_a_held_inbox_takes_what_the_welcome_brings() -> None:
    inbox = Inbox(3, (), 1_000)
    new, _ = inbox.begin(welcome(3, 9, entries(4, 5)), enrolled=False, held=True)
    assert seqs(new) == [4, 5]
    assert inbox.missing == 4
    assert not wants_sync(inbox)


def test_a_held_inbox_takes_the_next_entries_and_no_later_ones() -> None:
    inbox = open_held(since=3, head=9)
    assert inbox.delivered(entries(10, 11)) == ([], [])
    assert inbox.missing == 8
    assert seqs(inbox.delivered(entries(4, 5))[0]) == [4, 5]
    assert not wants_sync(inbox)
    inbox.release()
    assert inbox.sync().since == 5


def test_more_says_that_a_held_inbox_may_ask() -> None:
    inbox = open_held(since=3, head=9)
    inbox.more(9)
    assert inbox.sync().since == 3


def test_each_welcome_says_anew_whether_the_inbox_is_held() -> None:
    inbox = open_held(since=3, head=9)
    inbox.lost()
    assert not wants_sync(inbox)
    inbox.begin(welcome(3, 9), enrolled=False)
    assert wants_sync(inbox)
    inbox.begin(welcome(3, 9), enrolled=False, held=True)
    assert not wants_sync(inbox)


def test_a_device_that_once_asked_asks_on_in_this_session() -> None:
    inbox = open_held(since=3, head=9)
    inbox.release()
    inbox.sync()
    inbox.page(Page(9, entries(4, 5)))
    assert inbox.sync().since == 5


def test_a_sync_that_failed_is_wanted_again() -> None:
    inbox = open_inbox(since=3, head=9)
    inbox.sync()
    inbox.sync_failed()
    assert not inbox.syncing
    assert inbox.sync().since == 3


def test_what_the_server_does_not_have_is_not_missing() -> None:
    inbox = Inbox(9, (), 1_000)
    assert inbox.missing == 0
    inbox.begin(welcome(9, 7), enrolled=False)
    assert inbox.missing == 0


def test_a_page_may_begin_late_where_the_server_has_pruned() -> None:
    inbox = open_inbox(since=3, head=9)
    inbox.sync()
    assert seqs(inbox.page(Page(9, entries(8, 9)))[0]) == [8, 9]


def test_an_empty_page_moves_to_the_head() -> None:
    inbox = open_inbox(since=3, head=9)
    inbox.sync()
    inbox.page(Page(9))
    assert inbox.since == 9
    assert not wants_sync(inbox)


def test_an_empty_page_ends_the_asking_whatever_the_server_said_before() -> None:
    inbox = open_inbox(since=3, head=9)
    inbox.sync()
    inbox.page(Page(5))
    assert (inbox.since, inbox.missing) == (5, 0)
    assert not wants_sync(inbox)


def test_an_empty_page_never_moves_back() -> None:
    inbox = open_inbox(since=3, head=4)
    inbox.sync()
    inbox.delivered(entries(4, 6))
    inbox.page(Page(4))
    assert inbox.since == 6


def test_a_page_that_nobody_asked_for_may_not_skip() -> None:
    inbox = open_inbox(since=3)
    assert inbox.page(Page(9, entries(8, 9))) == ([], [])
    assert inbox.since == 3
    assert wants_sync(inbox)


def test_an_enrolment_says_where_the_inbox_begins() -> None:
    inbox = Inbox(0, (), 1_000)
    inbox.begin(welcome(40, 42), enrolled=True)
    assert inbox.since == 40
    assert inbox.sync().since == 40
    assert inbox.resets == 0


def test_a_server_that_lost_history_is_followed() -> None:
    inbox = open_inbox(since=40)
    inbox.acknowledge()
    inbox.begin(welcome(12, 14, entries(13, 14)), enrolled=False)
    assert inbox.resets == 1
    assert inbox.since == 14
    assert unacknowledged(inbox)


def test_a_full_inbox_takes_no_more_and_goes_on_when_there_is_room() -> None:
    inbox = open_inbox(limit=3)
    inbox.delivered(entries(1, 5))
    assert inbox.since == 3
    assert inbox.holes == 0, "that it was full is no hole"
    assert inbox.room == 0
    assert not wants_sync(inbox)
    inbox.unread.popleft()
    assert wants_sync(inbox)
    assert inbox.sync() == Sync(3, 1)
    inbox.page(Page(5, entries(4, 5)))
    assert inbox.since == 4


def test_with_a_limit_of_0_nothing_is_kept_and_all_is_taken() -> None:
    inbox = open_inbox(limit=0)
    for first in range(1, 1_000, 100):
        assert len(inbox.delivered(entries(first, first + 99))[0]) == 100
    assert not inbox.unread
    assert inbox.room == PAGE_MAX_ENTRIES


def test_acknowledges_up_to_the_watermark_once() -> None:
    inbox = open_inbox()
    assert not unacknowledged(inbox)
    inbox.delivered(entries(1, 3))
    assert unacknowledged(inbox)
    assert inbox.acknowledge().seq == 3
    assert not unacknowledged(inbox)


def test_a_received_that_may_be_lost_is_said_again() -> None:
    inbox = open_inbox()
    inbox.delivered(entries(1, 3))
    inbox.acknowledge()
    inbox.lost()
    inbox.begin(welcome(3, 3), enrolled=False)
    assert unacknowledged(inbox)
    inbox.acknowledge()
    inbox.begin(welcome(3, 3), enrolled=False)
    assert not unacknowledged(inbox), "a session that ended in order has delivered it"


def test_a_lost_session_takes_its_sync_along() -> None:
    inbox = open_inbox(since=3, head=9)
    inbox.sync()
    inbox.lost()
    inbox.begin(welcome(3, 9), enrolled=False)
    assert wants_sync(inbox)


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(0, 5))
def test_what_is_delivered_is_taken_in_order_without_holes(order: list[int], limit: int) -> None:
    inbox = open_inbox(limit=limit)
    taken: list[int] = []
    for seq in order:
        new, _ = inbox.delivered([entry(seq)])
        taken += seqs(new)
        assert len(inbox.unread) <= limit
    assert taken == list(range(1, inbox.since + 1))


@dataclass
class ServerModel:
    """An inbox as a server keeps it, and what it has sent into the current session."""

    head: int = 0
    pruned_to: int = 0
    wire: list[Page | tuple[Entry, ...] | int] = field(default_factory=list)

    def entries(self, since: int, limit: int) -> tuple[Entry, ...]:
        first = max(since, self.pruned_to) + 1
        return entries(first, min(self.head, first + limit - 1))


class InboxMachine(RuleBasedStateMachine):
    """A device that is cut, fed out of order, and reads slowly, still gets each entry once."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ServerModel()
        self.inbox = Inbox(0, (), 8)
        self.taken: list[int] = []
        self.asked: Sync | None = None
        self.held = False
        self.reconnect(held=False, with_entries=True)

    def note(self, result: tuple[list[Entry], list[Entry]]) -> None:
        self.taken += seqs(result[0])

    @rule(held=st.booleans(), with_entries=st.booleans())
    def reconnect(self, held: bool, with_entries: bool) -> None:
        self.inbox.lost()
        self.asked, self.held = None, held
        most = min(self.inbox.room, 3) if with_entries else 0
        given = self.server.entries(self.inbox.since, most)
        self.note(
            self.inbox.begin(
                welcome(self.inbox.since, self.server.head, given), enrolled=False, held=held
            )
        )

    @rule()
    def open_app(self) -> None:
        self.inbox.release()
        self.held = False

    @rule(count=st.integers(1, 5), push=st.booleans())
    def new_entries(self, count: int, push: bool) -> None:
        first = self.server.head + 1
        self.server.head += count
        if push:
            self.note(self.inbox.delivered(entries(first, self.server.head)))
        else:
            self.inbox.more(self.server.head)
            self.held = False

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        assume(self.server.head > self.server.pruned_to)
        first = data.draw(st.integers(self.server.pruned_to + 1, self.server.head))
        self.note(self.inbox.delivered(entries(first, self.server.head)))

    @precondition(lambda self: self.inbox.wants_sync)
    @rule()
    def ask(self) -> None:
        self.asked = self.inbox.sync()

    @precondition(lambda self: self.asked is not None)
    @rule(limit=st.integers(1, 4))
    def answer(self, limit: int) -> None:
        assert self.asked is not None
        page = self.server.entries(self.asked.since, min(limit, self.asked.limit))
        self.note(self.inbox.page(Page(self.server.head, page)))
        self.asked = None

    @precondition(lambda self: self.asked is not None)
    @rule()
    def put_off(self) -> None:
        self.inbox.sync_failed()
        self.asked = None

    @precondition(lambda self: len(self.inbox.unread) > 0)
    @rule()
    def read(self) -> None:
        self.inbox.unread.popleft()

    @rule()
    def prune_what_is_received(self) -> None:
        self.server.pruned_to = max(self.server.pruned_to, self.inbox.since)

    @invariant()
    def asks_for_what_is_missing_unless_it_is_held(self) -> None:
        missing = self.server.head - self.inbox.since
        assert self.inbox.missing == missing
        may_ask = not self.held and self.asked is None and self.inbox.room > 0
        assert self.inbox.wants_sync == (may_ask and missing > 0)

    @invariant()
    def each_once_and_in_order(self) -> None:
        assert self.taken == list(range(1, self.inbox.since + 1))
        assert len(self.inbox.unread) <= 8
        assert self.inbox.resets == 0

    def teardown(self) -> None:
        """In the end it gets everything."""
        self.inbox.unread.clear()
        self.open_app()
        if self.asked is not None:
            self.put_off()
        while self.inbox.wants_sync:
            self.ask()
            self.answer(4)
            self.inbox.unread.clear()
        assert self.inbox.since == self.server.head
        self.each_once_and_in_order()


TestInboxMachine = InboxMachine.TestCase


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_room_is_at_most_a_page(limit: int) -> None:
    assert Inbox(0, (), limit).room == (limit or PAGE_MAX_ENTRIES)
    assert Inbox(0, (), 10_000).room == PAGE_MAX_ENTRIES
