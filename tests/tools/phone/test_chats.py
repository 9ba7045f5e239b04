"""What a user sees of messages, with plain values."""

from dataclasses import replace

from hwangso_client.profile import Unsent
from hwangso_protocol.messages import Entry
from hwangso_tools.phone.chats import (
    MESSAGES_MAX,
    Chats,
    Conversation,
    Delivery,
    Message,
    Notification,
    View,
)

HOME, APP = View(), View(on_screen=True)


def uid(number: int) -> bytes:
    return number.to_bytes(16)


def entry(number: int, sender: str, body: str = "hi", to: str = "alice") -> Entry:
    return Entry(seq=number, id=uid(number), sender=sender, to=to, body=body, at_ms=number * 1_000)


def received(number: int, sender: str, *, unread: bool) -> Message:
    return Message(uid(number), sender, "hi", number * 1_000, Delivery.RECEIVED, unread)


def test_what_comes_at_home_is_unread_and_a_notification() -> None:
    chats = Chats().arrived(entry(1, "bob"), "alice", HOME)
    assert chats.messages == (received(1, "bob", unread=True),)
    assert chats.notifications == (Notification("bob", 1),)


def test_notifications_count_by_sender_the_last_first() -> None:
    chats = Chats()
    for number, sender in enumerate(["bob", "carol", "bob", "carol", "bob"], start=1):
        chats = chats.arrived(entry(number, sender), "alice", HOME)
    assert chats.notifications == (Notification("bob", 3), Notification("carol", 2))


def test_opening_the_app_takes_notifications_away_and_leaves_unread() -> None:
    chats = Chats().arrived(entry(1, "bob"), "alice", HOME).seen(APP)
    assert chats.notifications == ()
    assert chats.messages == (received(1, "bob", unread=True),)


def test_on_the_screen_nothing_is_notified() -> None:
    chats = Chats().arrived(entry(1, "bob"), "alice", APP)
    assert chats == Chats((received(1, "bob", unread=True),))


def test_the_open_chat_is_read_and_no_other() -> None:
    bob = View(on_screen=True, peer="bob")
    chats = Chats().arrived(entry(1, "bob"), "alice", bob).arrived(entry(2, "eve"), "alice", bob)
    assert chats.messages == (received(1, "bob", unread=False), received(2, "eve", unread=True))
    read = chats.seen(View(on_screen=True, peer="eve"))
    assert read.messages[1] == received(2, "eve", unread=False)


def test_a_chat_left_open_under_the_lock_screen_is_not_read() -> None:
    chats = Chats().arrived(entry(1, "bob"), "alice", View(on_screen=False, peer="bob"))
    assert chats.messages == (received(1, "bob", unread=True),)
    assert chats.seen(View(on_screen=False, peer="bob")) is chats


def test_an_own_message_waits_until_it_is_stored() -> None:
    chats = Chats().posted(uid(1), "bob", "hello", 5)
    message = Message(uid(1), "bob", "hello", 5, Delivery.WAITING)
    assert chats.messages == (message,)
    assert chats.stored(uid(1)).messages == (replace(message, delivery=Delivery.STORED),)
    assert chats.refused(uid(1), "no such user").messages == (
        replace(message, delivery=Delivery.REFUSED, refusal="no such user"),
    )


def test_what_arrives_again_is_not_shown_again() -> None:
    chats = Chats().arrived(entry(1, "bob"), "alice", HOME)
    assert chats.arrived(entry(1, "bob"), "alice", HOME) is chats
    own = Chats().posted(uid(2), "alice", "to myself", 5)
    assert [each.delivery for each in own.arrived(entry(2, "alice"), "alice", APP).messages] == [
        Delivery.STORED
    ]


def test_what_the_user_wrote_on_another_phone_is_in_the_chat_with_whom_it_was_for() -> None:
    chats = Chats().arrived(entry(1, "alice", to="bob"), "alice", HOME)
    assert chats == Chats((Message(uid(1), "bob", "hi", 1_000, Delivery.STORED),))


def test_the_outbox_of_a_phone_that_was_killed() -> None:
    chats = Chats().posted(uid(1), "bob", "acknowledged", 1).posted(uid(2), "bob", "waits", 2)
    restored = chats.restored([Unsent(uid(2), "bob", "waits"), Unsent(uid(3), "eve", "new")], 9)
    assert [(each.body, each.delivery, each.at_ms) for each in restored.messages] == [
        ("acknowledged", Delivery.STORED, 1),
        ("waits", Delivery.WAITING, 2),
        ("new", Delivery.WAITING, 9),
    ]


def test_the_chat_list_begins_with_the_newest_message() -> None:
    chats = Chats()
    for number, sender in enumerate(["bob", "carol", "bob"], start=1):
        chats = chats.arrived(entry(number, sender), "alice", APP)
    chats = chats.posted(uid(9), "carol", "hello", 9_000)
    carol = Message(uid(9), "carol", "hello", 9_000, Delivery.WAITING)
    assert chats.conversations() == (
        Conversation("carol", carol, 1),
        Conversation("bob", received(3, "bob", unread=True), 2),
    )
    assert chats.with_peer("carol") == (received(2, "carol", unread=True), carol)


def test_the_oldest_are_forgotten() -> None:
    full = Chats(tuple(received(n, "bob", unread=False) for n in range(MESSAGES_MAX)))
    chats = full.posted(uid(5_000), "bob", "one more", 1)
    assert len(chats.messages) == MESSAGES_MAX
    assert chats.messages[0].id == uid(1)
    assert chats.messages[-1].body == "one more"
