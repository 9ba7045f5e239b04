"""Inboxes of a store: seqs without a gap, every message once, copies for one's own other
devices."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from hwangso_server.store import (
    Appended,
    AppendResult,
    Device,
    Entry,
    NewMessage,
    Page,
    Store,
    UnknownUser,
    User,
)

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]
Message = Callable[..., NewMessage]

PLENTY = 1_000_000


def seqs(page: Page) -> list[int]:
    return [entry.seq for entry in page.entries]


async def test_a_message_arrives_as_it_was_sent(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone] = await enrol(store, "alice")
        bob, _ = await enrol(store, "bob")
        new = message(phone, bob, 7, "안녕", at_ms=1234)
        assert await send(store, new) == [Appended(new, 1, None, 1234, False)]
        page = await store.page(bob.id, 0, 10, PLENTY)
        entry = Entry(1, (7).to_bytes(16, "big"), alice.id, bob.id, "alice", "bob", "안녕", 1234)
        assert page == Page((entry,), 1)
        assert await store.page(alice.id, 0, 10, PLENTY) == Page((), 0)


@pytest.mark.parametrize("body", ["", "a\0b", '"\\\n\t\x01\x7f', "🐂" * 1000, "\ufeff\u2028"])
async def test_any_text_is_a_body(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message, body: str
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, message(phone, bob, 1, body), message(phone, bob, 2, "after"))
        page = await store.page(bob.id, 0, 10, PLENTY)
        assert [entry.body for entry in page.entries] == [body, "after"]


async def test_seqs_follow_the_order_of_appends_in_each_inbox(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        people = [await enrol(store, name) for name in "abc"]
        messages = [
            message(people[number % 3][1][0], people[number % 2][0], number) for number in range(60)
        ]
        results = await send(store, *messages)
        assert [result.message for result in results if isinstance(result, Appended)] == messages
        for user, _ in people[:2]:
            mine = [
                r for r in results if isinstance(r, Appended) and r.message.recipient_id == user.id
            ]
            assert [result.seq for result in mine] == list(range(1, 31))
            page = await store.page(user.id, 0, 100, PLENTY)
            assert [(e.seq, e.message_id) for e in page.entries] == [
                (result.seq, result.message.message_id) for result in mine
            ]


async def test_the_senders_other_devices_find_a_copy(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone, tablet] = await enrol(store, "alice", phones=2)
        bob, _ = await enrol(store, "bob")
        [first] = await send(store, message(phone, bob, 1))
        assert isinstance(first, Appended)
        assert (first.seq, first.own_seq) == (1, 1)
        [entry] = (await store.page(alice.id, 0, 10, PLENTY)).entries
        assert (entry.sender, entry.recipient) == ("alice", "bob")

        await store.revoke_device(tablet.id, 5)
        [second] = await send(store, message(phone, bob, 2))
        assert isinstance(second, Appended)
        assert (second.seq, second.own_seq) == (2, None)

        await store.add_device(alice.id, "new tablet", b"n" * 32, 6, limit=2)
        [third] = await send(store, message(phone, bob, 3))
        assert isinstance(third, Appended)
        assert (third.seq, third.own_seq) == (3, 2)


async def test_a_message_to_oneself_is_there_once(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone, _] = await enrol(store, "alice", phones=2)
        note = message(phone, alice, 1)
        assert await send(store, note) == [Appended(note, 1, None, 100, False)]
        assert await send(store, note) == [Appended(note, 1, None, 100, True)]
        assert seqs(await store.page(alice.id, 0, 10, PLENTY)) == [1]


async def test_a_send_tried_again_stores_nothing(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone, _] = await enrol(store, "alice", phones=2)
        bob, _ = await enrol(store, "bob")
        first = [message(phone, bob, number, "first") for number in range(3)]
        again = [message(phone, bob, number, "again") for number in range(2, 5)]
        await send(store, *first)
        results = await send(store, *again, again[1])
        assert results == [
            Appended(again[0], 3, 3, 100, True),
            Appended(again[1], 4, 4, 100, False),
            Appended(again[2], 5, 5, 100, False),
            Appended(again[1], 4, 4, 100, True),
        ]
        bodies = [e.body for e in (await store.page(bob.id, 0, 10, PLENTY)).entries]
        assert bodies == ["first", "first", "first", "again", "again"]
        assert seqs(await store.page(alice.id, 0, 10, PLENTY)) == [1, 2, 3, 4, 5]
        counters = store.counters()
        assert (counters.appended, counters.duplicates) == (5, 2)


async def test_a_send_tried_again_keeps_its_time(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        [stored, later, latest] = [message(phone, bob, 1, at_ms=at_ms) for at_ms in (5, 6, 7)]
        results = [*await send(store, stored, later), *await send(store, latest)]
        assert results == [
            Appended(stored, 1, None, 5, False),
            Appended(later, 1, None, 5, True),
            Appended(latest, 1, None, 5, True),
        ]
        [entry] = (await store.page(bob.id, 0, 10, PLENTY)).entries
        assert entry.at_ms == 5


async def test_a_retry_keeps_the_copies_of_the_first_time(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone] = await enrol(store, "alice")
        bob, _ = await enrol(store, "bob")
        new = message(phone, bob, 1)
        await send(store, new)
        await store.add_device(alice.id, "tablet", b"t" * 32, 6, limit=2)
        assert await send(store, new) == [Appended(new, 1, None, 100, True)]
        assert (await store.page(alice.id, 0, 10, PLENTY)).head == 0


async def test_ids_of_different_senders_are_different_messages(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone, _] = await enrol(store, "alice", phones=2)
        bob, [bobs] = await enrol(store, "bob")
        results = await send(store, message(phone, bob, 1), message(bobs, alice, 1))
        assert [r.duplicate for r in results if isinstance(r, Appended)] == [False, False]
        assert (await store.page(alice.id, 0, 10, PLENTY)).head == 2


async def test_an_id_used_for_two_recipients_reaches_both(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        alice, [phone, _] = await enrol(store, "alice", phones=2)
        bob, _ = await enrol(store, "bob")
        carol, _ = await enrol(store, "carol")
        to_bob, to_carol = message(phone, bob, 1), message(phone, carol, 1)
        for results in (await send(store, to_bob), await send(store, to_carol)):
            [result] = results
            assert isinstance(result, Appended)
            assert (result.seq, result.own_seq, result.duplicate) == (1, 1, False)
        assert (await store.page(alice.id, 0, 10, PLENTY)).head == 1


async def test_unknown_people_harm_nobody_else(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        good = message(phone, bob, 1)
        to_nobody = NewMessage(bob.id, phone.id, 99, b"x" * 16, "hi", 1)
        from_nobody = NewMessage(99, phone.id, bob.id, b"y" * 16, "hi", 1)
        results = await send(store, to_nobody, good, from_nobody)
        assert [type(result) for result in results] == [UnknownUser, Appended, UnknownUser]
        assert seqs(await store.page(bob.id, 0, 10, PLENTY)) == [1]


async def test_a_page_is_cut_by_count_and_by_bytes(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        bodies = ["황소", "황소", "x" * 50, "y"]  # 6, 6, 50 and 1 bytes
        await send(store, *(message(phone, bob, n, body) for n, body in enumerate(bodies)))
        page = await store.page(bob.id, 0, 3, PLENTY)
        assert (seqs(page), page.head) == ([1, 2, 3], 4)
        assert seqs(await store.page(bob.id, 0, 10, 12)) == [1, 2]
        assert seqs(await store.page(bob.id, 0, 10, 11)) == [1]
        assert seqs(await store.page(bob.id, 2, 10, 12)) == [3]
        assert seqs(await store.page(bob.id, 2, 10, 51)) == [3, 4]
        assert seqs(await store.page(bob.id, 0, 10, 0)) == [1]


async def test_a_page_since_anywhere(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(3)))
        assert seqs(await store.page(bob.id, -5, 10, PLENTY)) == [1, 2, 3]
        assert await store.page(bob.id, 3, 10, PLENTY) == Page((), 3)
        assert await store.page(bob.id, 2**64, 2**64, PLENTY) == Page((), 3)
        assert await store.page(99, 0, 10, PLENTY) == Page((), 0)
        with pytest.raises(ValueError, match="at least 1"):
            await store.page(bob.id, 0, 0, PLENTY)
