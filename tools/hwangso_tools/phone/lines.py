"""Messages, chats and notifications as lines of text. Pure.

What others wrote is never trusted with the terminal: control characters do not get there.
"""

import unicodedata
from datetime import datetime, tzinfo
from typing import Final

from hwangso_tools.phone.chats import Chats, Conversation, Delivery, Message, Notification

SHOWN_MAX: Final = 200
"""Messages of a chat on the screen: some twenty screenfuls; drawing them takes milliseconds."""

PREVIEW_CHARS: Final = 60

_DELIVERY: Final = {
    Delivery.WAITING: "waiting",
    Delivery.STORED: "on the server's disk",
    Delivery.REFUSED: "refused",
}


def printable(text: str, *, newline: str = " ") -> str:
    """The text without what could move the cursor or turn the line around. Line breaks become
    `newline`."""
    return "".join(newline if char == "\n" else _printable(char) for char in text)


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    return "" if unicodedata.category(char) == "Cf" else "\N{REPLACEMENT CHARACTER}"


def message_line(message: Message, zone: tzinfo | None = None) -> str:
    """A line of a chat: the user's own say how far they have come."""
    body = printable(message.body, newline="\n      ")
    at = minute(message.at_ms / 1000, zone)
    if message.delivery is Delivery.RECEIVED:
        return f"{at} {message.peer}: {body}"
    refusal = f": {printable(message.refusal)}" if message.refusal else ""
    return f"{at} you: {body}  [{_DELIVERY[message.delivery]}{refusal}]"


def chat_text(chats: Chats, peer: str, zone: tzinfo | None = None) -> str:
    """The newest messages of a chat."""
    messages = chats.with_peer(peer)[-SHOWN_MAX:]
    if not messages:
        return f"No messages with {peer} yet. Type one below and press Enter."
    return "\n".join(message_line(message, zone) for message in messages)


def conversation_line(conversation: Conversation, zone: tzinfo | None = None) -> str:
    """A line of the chat list."""
    newest = conversation.newest
    who = "" if newest.delivery is Delivery.RECEIVED else "you: "
    unread = f" ({conversation.unread} unread)" if conversation.unread else ""
    preview = printable(newest.body)[:PREVIEW_CHARS]
    return f"{minute(newest.at_ms / 1000, zone)} {conversation.peer}{unread}  {who}{preview}"


def notification_line(notification: Notification) -> str:
    """A line of the lock screen."""
    messages = "message" if notification.count == 1 else "messages"
    return f"{notification.sender}: {notification.count} new {messages}"


def lock_text(chats: Chats, missed: int) -> str:
    """What the lock screen says below the clock. `missed`: messages the server has besides."""
    lines = [notification_line(notification) for notification in chats.notifications]
    if missed:
        lines.append(f"{missed} more on the server")
    return "\n".join(lines) or "No notifications"


def minute(at: float, zone: tzinfo | None = None) -> str:
    """The time of day, of seconds since 1970. `zone`: the local one."""
    return datetime.fromtimestamp(at, zone).strftime("%H:%M")


def day(at: float, zone: tzinfo | None = None) -> str:
    """The day, of seconds since 1970."""
    return datetime.fromtimestamp(at, zone).strftime("%A %d %B")
