"""Planning a batch: what the conformance suite cannot see from outside."""

from hwangso_server.store.interface import Appended, NewMessage
from hwangso_server.store.planning import Inbox, Stored, plan

A = NewMessage(1, 10, 2, b"a" * 16, "hi", 50)
B = NewMessage(1, 10, 2, b"b" * 16, "hi", 60)


def test_entries_name_inbox_seq_and_message() -> None:
    inboxes = {1: Inbox(5, frozenset({10, 11})), 2: Inbox(7, frozenset())}
    entries, results = plan([A, B], inboxes, {})
    assert entries == [(2, 8, 0), (1, 6, 0), (2, 9, 1), (1, 7, 1)]
    assert results == [Appended(A, 8, 6, 50, False), Appended(B, 9, 7, 60, False)]
    assert (inboxes[1].head, inboxes[2].head) == (7, 9)


def test_known_entries_are_not_planned_again() -> None:
    inboxes = {1: Inbox(5, frozenset({10, 11})), 2: Inbox(7, frozenset())}
    known = {(2, 1, A.message_id): Stored(3, 40), (1, 1, A.message_id): Stored(2, 40)}
    entries, results = plan([A], inboxes, known)
    assert entries == []
    assert results == [Appended(A, 3, 2, 40, True)]
    assert (inboxes[1].head, inboxes[2].head) == (5, 7)


def test_a_pruned_entry_does_not_double_the_copy() -> None:
    inboxes = {1: Inbox(5, frozenset({10, 11})), 2: Inbox(7, frozenset())}
    entries, results = plan([A], inboxes, {(1, 1, A.message_id): Stored(2, 40)})
    assert entries == [(2, 8, 0)]
    assert results == [Appended(A, 8, 2, 50, False)]
