"""The messages of a phone as its user sees them: chats, unread counts, notifications. Pure.

A message has an id from the moment it is written, and is in here once: what arrives again, after a
crash or because the user wrote it on this phone, changes nothing but its delivery. The newest
MESSAGES_MAX are kept, in the order in which this phone heard of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from hwangso_client.profile import Unsent
from hwangso_protocol.messages import Entry

MESSAGES_MAX: Final = 1_000
"""Weeks of one person's chats; the file that holds them stays well under 1 MB, so that writing it
for each message is nothing that a user notices. Beyond it the oldest are forgotten."""


class Delivery(Enum):
    """How far a message has come."""

    WAITING = "waiting"
    """In this phone's outbox."""
    STORED = "stored"
    """The server has it on disk."""
    REFUSED = "refused"
    """The server will never take it."""
    RECEIVED = "received"
    """Somebody else's, for this user."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the chat with `peer`. `at_ms`: when it was written here or stored there, ms
    since 1970. `refusal` says why it was refused."""

    id: bytes
    peer: str
    body: str
    at_ms: int
    delivery: Delivery
    unread: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A line of the chat list."""

    peer: str
    newest: Message
    unread: int


@dataclass(frozen=True, slots=True)
class Notification:
    """A line of the lock screen."""

    sender: str
    count: int


@dataclass(frozen=True, slots=True)
class View:
    """What the user looks at when a message comes: the app or not, and in it the chat with `peer`
    or none."""

    on_screen: bool = False
    peer: str | None = None

    def shows(self, peer: str) -> bool:
        """Whether what comes in that chat is read as it comes."""
        return self.on_screen and self.peer == peer


@dataclass(frozen=True, slots=True)
class Chats:
    """All messages, oldest first; and what came while the app was not on the screen, last sender
    first. Each method gives the state after it."""

    messages: tuple[Message, ...] = ()
    notifications: tuple[Notification, ...] = ()

    def posted(self, message_id: bytes, to: str, body: str, at_ms: int) -> "Chats":
        """The user wrote a message."""
        return _with(self, Message(message_id, to, body, at_ms, Delivery.WAITING))

    def restored(self, unsent: Iterable[Unsent], at_ms: int) -> "Chats":
        """The phone starts with this outbox. What is not in it was acknowledged, although this
        phone was ended before it noted that; what is only there was never noted."""
        waiting = {message.id: message for message in unsent}
        chats = _changed(
            self,
            lambda message: message.delivery is Delivery.WAITING and message.id not in waiting,
            lambda message: replace(message, delivery=Delivery.STORED),
        )
        known = {message.id for message in self.messages}
        for message in waiting.values():
            if message.id not in known:
                chats = chats.posted(message.id, message.to, message.body, at_ms)
        return chats

    def stored(self, message_id: bytes) -> "Chats":
        """The server has the message on disk."""
        return _changed(
            self,
            lambda message: message.id == message_id and message.delivery is Delivery.WAITING,
            lambda message: replace(message, delivery=Delivery.STORED),
        )

    def refused(self, message_id: bytes, why: str) -> "Chats":
        """The server will never take the message."""
        return _changed(
            self,
            lambda message: message.id == message_id,
            lambda message: replace(message, delivery=Delivery.REFUSED, refusal=why),
        )

    def arrived(self, entry: Entry, user: str, view: View) -> "Chats":
        """An entry of the inbox of `user` came while the user had this view."""
        if any(message.id == entry.id for message in self.messages):
            return self.stored(entry.id)
        if entry.sender == user:  # written on another phone of this user
            written = Message(entry.id, entry.to, entry.body, entry.at_ms, Delivery.STORED)
            return _with(self, written)
        unread = not view.shows(entry.sender)
        chats = _with(
            self,
            Message(entry.id, entry.sender, entry.body, entry.at_ms, Delivery.RECEIVED, unread),
        )
        return chats if view.on_screen else _notified(chats, entry.sender)

    def seen(self, view: View) -> "Chats":
        """The user looks at this now: an app on the screen takes its notifications away, an open
        chat has been read."""
        if not view.on_screen:
            return self
        chats = replace(self, notifications=()) if self.notifications else self
        return _changed(
            chats,
            lambda message: message.unread and message.peer == view.peer,
            lambda message: replace(message, unread=False),
        )

    def with_peer(self, peer: str) -> tuple[Message, ...]:
        """The chat with that user, oldest first."""
        return tuple(message for message in self.messages if message.peer == peer)

    def conversations(self) -> tuple[Conversation, ...]:
        """The chat list: the chat with the newest message first."""
        newest: dict[str, Message] = {}
        unread: dict[str, int] = {}
        for message in self.messages:
            newest.pop(message.peer, None)
            newest[message.peer] = message
            unread[message.peer] = unread.get(message.peer, 0) + message.unread
        return tuple(
            Conversation(peer, message, unread[peer]) for peer, message in reversed(newest.items())
        )


def _with(chats: Chats, message: Message) -> Chats:
    return replace(chats, messages=(*chats.messages, message)[-MESSAGES_MAX:])


def _changed(
    chats: Chats, which: Callable[[Message], bool], how: Callable[[Message], Message]
) -> Chats:
    """The same object if no message is meant, so that nobody writes or draws it again."""
    if not any(map(which, chats.messages)):
        return chats
    changed = tuple(how(message) if which(message) else message for message in chats.messages)
    return replace(chats, messages=changed)


def _notified(chats: Chats, sender: str) -> Chats:
    counts = {note.sender: note.count for note in chats.notifications}
    newest = Notification(sender, counts.pop(sender, 0) + 1)
    others = (Notification(name, count) for name, count in counts.items())
    return replace(chats, notifications=(newest, *others))
