"""Which inbox entries a batch of messages becomes. Pure.

The plan is made from the *inboxes*, the head and devices of every user concerned, and from the
entries that are *known* to be stored already. At first nothing is taken for known: retries are
rare, and the unique index finds them. Then the batch is planned again with the entries it found.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import msgspec

from hwangso_server.store.interface import Appended, NewMessage, UnknownUser


class Inbox(msgspec.Struct):
    """What appending has to know of a user; `head` moves as entries are planned."""

    head: int
    devices: frozenset[int]
    """Ids of the unrevoked ones."""


EntryKey: TypeAlias = tuple[int, int, bytes]
"""Inbox user, sender user, message id: an entry is unique by these."""


class Stored(NamedTuple):
    """Where and since when an entry is in an inbox."""

    seq: int
    at_ms: int


PlannedEntry: TypeAlias = tuple[int, int, int]
"""Inbox user, seq, index of the message in the batch."""


def plan(
    messages: Iterable[NewMessage], inboxes: dict[int, Inbox], known: dict[EntryKey, Stored]
) -> tuple[list[PlannedEntry], list[Appended | UnknownUser]]:
    """The entries to store and each message's result, both in the order of the messages.

    A user missing in `inboxes` does not exist. Advances the heads and adds the new entries to
    `known`, so a message that comes twice in a batch is stored once.
    """
    entries: list[PlannedEntry] = []
    results: list[Appended | UnknownUser] = []
    for index, message in enumerate(messages):
        sender_id, recipient_id = message.sender_id, message.recipient_id
        recipient = inboxes.get(recipient_id)
        sender = inboxes.get(sender_id)
        if recipient is None or sender is None:
            unknown = recipient_id if recipient is None else sender_id
            results.append(UnknownUser(f"there is no user with id {unknown}"))
            continue
        key = (recipient_id, sender_id, message.message_id)
        own_key = (sender_id, sender_id, message.message_id)
        stored = known.get(key)
        own = known.get(own_key) if own_key != key else None
        if stored is not None:
            own_seq = None if own is None else own.seq
            results.append(Appended(message, stored.seq, own_seq, stored.at_ms, True))
            continue
        recipient.head = seq = recipient.head + 1
        known[key] = Stored(seq, message.at_ms)
        entries.append((recipient_id, seq, index))
        own_seq = None
        if own_key != key and sender.devices - {message.sender_device_id}:
            if own is None:
                sender.head += 1
                known[own_key] = own = Stored(sender.head, message.at_ms)
                entries.append((sender_id, own.seq, index))
            own_seq = own.seq
        results.append(Appended(message, seq, own_seq, message.at_ms, False))
    return entries, results
