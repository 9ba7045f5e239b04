"""Lines of text for chats and the lock screen."""

from dataclasses import replace
from datetime import UTC

from hwangso_tools.phone.chats import Chats, Conversation, Delivery, Message, Notification
from hwangso_tools.phone.lines import (
    PREVIEW_CHARS,
    SHOWN_MAX,
    chat_text,
    conversation_line,
    day,
    lock_text,
    message_line,
    minute,
    printable,
)

BOB = Message(b"1" * 16, "bob", "안녕", 43_260_000, Delivery.RECEIVED)
OWN = replace(BOB, body="hello", delivery=Delivery.WAITING)


def test_messages() -> None:
    assert message_line(BOB, UTC) == "12:01 bob: 안녕"
    assert message_line(OWN, UTC) == "12:01 you: hello  [waiting]"
    stored = replace(OWN, delivery=Delivery.STORED)
    assert message_line(stored, UTC) == "12:01 you: hello  [on the server's disk]"
    refused = replace(OWN, delivery=Delivery.REFUSED, refusal="no such user")
    assert message_line(refused, UTC) == "12:01 you: hello  [refused: no such user]"


def test_what_others_write_does_not_reach_the_terminal_raw() -> None:
    assert printable("\x1b[2Jboo\x07\u202e!") == "\N{REPLACEMENT CHARACTER}[2Jboo�!"
    assert printable("a\nb") == "a b"
    assert "\x1b" not in message_line(replace(BOB, body="\x1b[31mred"), UTC)
    assert message_line(replace(BOB, body="one\ntwo"), UTC) == "12:01 bob: one\n      two"


def test_a_chat() -> None:
    assert chat_text(Chats(), "bob", UTC).startswith("No messages with bob yet.")
    chats = Chats((BOB, replace(OWN, peer="eve"), OWN))
    assert chat_text(chats, "bob", UTC) == "12:01 bob: 안녕\n12:01 you: hello  [waiting]"
    many = Chats((OWN, *[BOB] * SHOWN_MAX))
    assert chat_text(many, "bob", UTC).splitlines() == ["12:01 bob: 안녕"] * SHOWN_MAX


def test_the_chat_list() -> None:
    assert conversation_line(Conversation("bob", BOB, 2), UTC) == "12:01 bob (2 unread)  안녕"
    assert conversation_line(Conversation("bob", OWN, 0), UTC) == "12:01 bob  you: hello"
    long = replace(BOB, body="x" * 500)
    assert conversation_line(Conversation("bob", long, 0), UTC).count("x") == PREVIEW_CHARS


def test_the_lock_screen() -> None:
    assert (minute(43_260, UTC), day(43_260, UTC)) == ("12:01", "Thursday 01 January")
    assert lock_text(Chats(), 0) == "No notifications"
    chats = Chats(notifications=(Notification("bob", 1), Notification("eve", 2)))
    assert lock_text(chats, 0) == "bob: 1 new message\neve: 2 new messages"
    assert lock_text(chats, 7).endswith("\n7 more on the server")
