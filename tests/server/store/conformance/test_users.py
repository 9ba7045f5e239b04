"""Users of a store: made once, found by name, listed in order, disabled and enabled."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from hwangso_server.store import (
    AppendResult,
    Device,
    NewMessage,
    Store,
    UnknownUser,
    User,
    UserExists,
)

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]


async def test_a_user_is_found_by_name(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "secret", 1_700_000_000_000)
        assert alice == User(alice.id, "alice", "secret", 1_700_000_000_000, None)
        assert await store.find_user("alice") == alice


async def test_who_does_not_exist_is_none(open_store: OpenStore) -> None:
    async with open_store() as store:
        assert await store.find_user("nobody") is None


async def test_a_name_is_taken_once_and_exactly(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "first", 1)
        with pytest.raises(UserExists, match="alice"):
            await store.create_user("alice", "second", 2)
        assert await store.find_user("alice") == alice
        other = await store.create_user("Alice", "third", 3)
        assert other.id != alice.id


@pytest.mark.parametrize("name", ["김철수", "a\0b", "a\0c", "'; DROP TABLE users", '"\\', "🐂"])
async def test_any_text_is_a_name(open_store: OpenStore, name: str) -> None:
    async with open_store() as store:
        user = await store.create_user(name, "hash", 1)
        await store.create_user("a", "hash", 1)
        assert await store.find_user(name) == user
        assert user in [summary.user for summary in await store.list_users()]


async def test_a_disabled_user_can_be_enabled_again(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.create_user("alice", "hash", 1)
        disabled = await store.set_disabled("alice", 50)
        assert disabled.disabled_at_ms == 50
        assert await store.find_user("alice") == disabled
        assert (await store.set_disabled("alice", None)).disabled_at_ms is None
        with pytest.raises(UnknownUser, match="nobody"):
            await store.set_disabled("nobody", 50)


async def test_users_are_listed_by_name_in_lots(open_store: OpenStore) -> None:
    async with open_store() as store:
        for name in ["나", "b", "Z", "a", "🐂"]:
            await store.create_user(name, "hash", 1)
        assert [s.user.name for s in await store.list_users()] == ["Z", "a", "b", "나", "🐂"]
        assert [s.user.name for s in await store.list_users(limit=2)] == ["Z", "a"]
        assert [s.user.name for s in await store.list_users("a", 2)] == ["b", "나"]
        assert await store.list_users("🐂") == []
        with pytest.raises(ValueError, match="at least 1"):
            await store.list_users(limit=0)


async def test_a_list_counts_devices_and_messages(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Callable[..., NewMessage]
) -> None:
    async with open_store() as store:
        _, phones = await enrol(store, "alice", phones=3)
        bob, _ = await enrol(store, "bob")
        await send(store, message(phones[0], bob, 1), message(phones[0], bob, 2))
        await store.revoke_device(phones[2].id, 9)
        await store.create_user("carol", "hash", 1)
        summaries = await store.list_users()
        assert [(s.user.name, s.devices, s.head) for s in summaries] == [
            ("alice", 2, 2),
            ("bob", 1, 2),
            ("carol", 0, 0),
        ]


async def test_revocations_of_users_since_a_time(open_store: OpenStore) -> None:
    async with open_store() as store:
        users = [await store.create_user(name, "hash", 1) for name in "abc"]
        await store.set_disabled("a", 99)
        await store.set_disabled("b", 100)
        await store.set_disabled("c", 101)
        await store.set_disabled("c", None)
        assert (await store.revoked_since(100)).user_ids == {users[1].id}
        assert (await store.revoked_since(0)).user_ids == {users[0].id, users[1].id}
