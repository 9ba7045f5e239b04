"""Pruning a store: what all devices have had for a while, or what is too much, in bounded steps.
Heads stay."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from hwangso_server.store import Appended, AppendResult, Device, NewMessage, Pruned, Store, User

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]
Message = Callable[..., NewMessage]

ALL = 1_000_000
LATER = 1_000
"""Ms; all messages here are older unless they say otherwise (100)."""


async def seqs(store: Store, user: User, since: int = 0) -> list[int]:
    return [entry.seq for entry in (await store.page(user.id, since, ALL, ALL)).entries]


async def test_what_all_devices_have_received_goes(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone, tablet, lost] = await enrol(store, "bob", phones=3)
        await send(store, *(message(phone, bob, number) for number in range(5)))
        store.advance_cursor(phone.id, 5)
        store.advance_cursor(tablet.id, 3)
        await store.flush_cursors()
        assert await store.prune(ALL, ALL, LATER) == Pruned(0, True)  # one has received nothing
        await store.revoke_device(lost.id, 9)
        assert await store.prune(ALL, ALL, LATER) == Pruned(3, True)
        assert await seqs(store, bob) == [4, 5]
        assert await seqs(store, bob, since=4) == [5]
        page = await store.page(bob.id, 1, 1, ALL)
        assert [entry.seq for entry in page.entries] == [4]


async def test_what_is_too_much_goes_received_or_not(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(5)))
        assert await store.prune(2, ALL, 0) == Pruned(3, True)
        assert await seqs(store, bob) == [4, 5]


async def test_an_inbox_without_devices_is_emptied(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        _, [phone] = await enrol(store, "alice")
        bob = await store.create_user("bob", "hash", 1)
        await send(store, message(phone, bob, 1))
        assert await store.prune(ALL, ALL, LATER) == Pruned(1, True)


async def test_the_head_outlives_the_entries(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(3)))
        await store.prune(0, ALL, LATER)
        page = await store.page(bob.id, 0, 10, ALL)
        assert (list(page.entries), page.head) == ([], 3)
        tablet = await store.add_device(bob.id, "tablet", b"t" * 32, 5, limit=2)
        assert tablet.cursor == 3
        [result] = await send(store, message(phone, bob, 10))
        assert isinstance(result, Appended)
        assert result.seq == 4
        assert store.counters().pruned == 3


async def test_a_pruned_message_is_forgotten(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        new = message(phone, bob, 1)
        await send(store, new)
        await store.prune(0, ALL, LATER)
        assert await send(store, new) == [Appended(new, 2, None, 100, False)]


async def test_what_all_devices_have_received_stays_until_its_time(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, n, at_ms=100 * n) for n in range(1, 6)))
        store.advance_cursor(phone.id, 4)
        await store.flush_cursors()
        assert await store.prune(ALL, ALL, 100) == Pruned(0, True)
        assert await store.prune(ALL, ALL, 400) == Pruned(3, True)
        assert await store.prune(ALL, ALL, 400) == Pruned(0, True)
        assert await seqs(store, bob) == [4, 5]
        assert await store.prune(ALL, ALL, LATER) == Pruned(1, True)
        assert await seqs(store, bob) == [5]  # not received


async def test_a_send_tried_again_is_known_until_its_time(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        first, again = (message(phone, bob, 1, at_ms=at_ms) for at_ms in (100, 200))
        await send(store, first)
        store.advance_cursor(phone.id, 1)
        await store.flush_cursors()
        await store.prune(ALL, ALL, 100)
        assert await send(store, again) == [Appended(again, 1, None, 100, True)]
        await store.prune(ALL, ALL, 101)
        assert await send(store, again) == [Appended(again, 2, None, 200, False)]


async def test_the_first_that_is_too_young_holds_up_those_behind_it(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    """As after the clock was set back."""
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        times = [100, 500, 200, 300, 600, 400]
        await send(store, *(message(phone, bob, n, at_ms=t) for n, t in enumerate(times)))
        store.advance_cursor(phone.id, 6)
        await store.flush_cursors()
        assert await store.prune(ALL, ALL, 450) == Pruned(1, True)
        assert await seqs(store, bob) == [2, 3, 4, 5, 6]
        # What is too much goes first, then what is old enough right behind it.
        assert await store.prune(4, ALL, 450) == Pruned(3, True)
        assert await seqs(store, bob) == [5, 6]


async def test_a_step_is_bounded_within_one_inbox(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, n, at_ms=100 * n) for n in range(1, 8)))
        store.advance_cursor(phone.id, 7)
        await store.flush_cursors()
        assert await store.prune(5, 3, 501) == Pruned(3, False)
        assert await store.prune(5, 3, 501) == Pruned(2, True)
        assert await seqs(store, bob) == [6, 7]


async def test_a_step_is_bounded_and_the_next_goes_on(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        people = [await enrol(store, name) for name in "abc"]
        for user, [phone] in people:
            await send(store, *(message(phone, user, number) for number in range(5)))
        steps: list[Pruned] = []
        while not steps or not steps[-1].round_complete:
            steps.append(await store.prune(1, 3, LATER))
        assert sum(step.deleted for step in steps) == 12
        assert max(step.deleted for step in steps) == 3
        assert [await seqs(store, user) for user, _ in people] == [[5], [5], [5]]
        assert await store.prune(1, ALL, LATER) == Pruned(0, True)
        with pytest.raises(ValueError, match="at least 1"):
            await store.prune(1, 0, LATER)


async def test_each_step_looks_at_few_users(open_store: OpenStore, enrol: Enrol) -> None:
    async with open_store() as store:
        for name in "abc":
            await enrol(store, name)
        assert await store.prune(0, 2, LATER) == Pruned(0, False)
        assert await store.prune(0, 2, LATER) == Pruned(0, True)
        assert await store.prune(0, 2, LATER) == Pruned(0, False)
