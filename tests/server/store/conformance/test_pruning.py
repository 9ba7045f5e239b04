"""Pruning a store: what all devices have, or what is too old, in bounded steps; heads stay."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from hwangso_server.store import Appended, AppendResult, Device, NewMessage, Pruned, Store, User

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]
Message = Callable[..., NewMessage]

ALL = 1_000_000


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
        assert await store.prune(ALL, ALL) == Pruned(0, True)  # one has received nothing
        await store.revoke_device(lost.id, 9)
        assert await store.prune(ALL, ALL) == Pruned(3, True)
        assert await seqs(store, bob) == [4, 5]
        assert await seqs(store, bob, since=4) == [5]
        page = await store.page(bob.id, 1, 1, ALL)
        assert [entry.seq for entry in page.entries] == [4]


async def test_what_is_too_old_goes_received_or_not(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(5)))
        assert await store.prune(2, ALL) == Pruned(3, True)
        assert await seqs(store, bob) == [4, 5]


async def test_an_inbox_without_devices_is_emptied(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        _, [phone] = await enrol(store, "alice")
        bob = await store.create_user("bob", "hash", 1)
        await send(store, message(phone, bob, 1))
        assert await store.prune(ALL, ALL) == Pruned(1, True)


async def test_the_head_outlives_the_entries(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(3)))
        await store.prune(0, ALL)
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
        await store.prune(0, ALL)
        assert await send(store, new) == [Appended(new, 2, None, False)]


async def test_a_step_is_bounded_and_the_next_goes_on(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        people = [await enrol(store, name) for name in "abc"]
        for user, [phone] in people:
            await send(store, *(message(phone, user, number) for number in range(5)))
        steps: list[Pruned] = []
        while not steps or not steps[-1].round_complete:
            steps.append(await store.prune(1, 3))
        assert sum(step.deleted for step in steps) == 12
        assert max(step.deleted for step in steps) == 3
        assert [await seqs(store, user) for user, _ in people] == [[5], [5], [5]]
        assert await store.prune(1, ALL) == Pruned(0, True)
        with pytest.raises(ValueError, match="at least 1"):
            await store.prune(1, 0)


async def test_each_step_looks_at_few_users(open_store: OpenStore, enrol: Enrol) -> None:
    async with open_store() as store:
        for name in "abc":
            await enrol(store, name)
        assert await store.prune(0, 2) == Pruned(0, False)
        assert await store.prune(0, 2) == Pruned(0, True)
        assert await store.prune(0, 2) == Pruned(0, False)
