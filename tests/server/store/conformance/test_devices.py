"""Devices of a store: a key each, a limit for each user, revoked once and for ever."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio

from hwangso_server.store import (
    AppendResult,
    Device,
    KeyInUse,
    NewMessage,
    Store,
    TooManyDevices,
    UnknownUser,
    User,
)

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))


async def test_a_device_is_found_by_its_key(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "hash", 1)
        device = await store.add_device(alice.id, "Galaxy", KEY, 5, limit=1)
        assert device == Device(device.id, alice.id, "Galaxy", KEY, 5, None, 0)
        assert await store.device_by_key(KEY) == (device, alice)
        assert await store.device_by_key(OTHER_KEY) is None
        assert await store.devices(alice.id) == [device]
        assert list(await store.devices(alice.id + 1)) == []


async def test_an_enrolment_tried_again_returns_the_same_device(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "hash", 1)
        device = await store.add_device(alice.id, "phone", KEY, 5, limit=1)
        assert await store.add_device(alice.id, "phone again", KEY, 6, limit=1) == device
        assert await store.devices(alice.id) == [device]


async def test_a_key_belongs_to_one_device(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "hash", 1)
        bob = await store.create_user("bob", "hash", 1)
        device = await store.add_device(alice.id, "phone", KEY, 5, limit=9)
        with pytest.raises(KeyInUse):
            await store.add_device(bob.id, "phone", KEY, 5, limit=9)
        await store.revoke_device(device.id, 6)
        with pytest.raises(KeyInUse):
            await store.add_device(alice.id, "phone", KEY, 7, limit=9)
        assert list(await store.devices(bob.id)) == []


async def test_only_unrevoked_devices_count_for_the_limit(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "hash", 1)
        first = await store.add_device(alice.id, "phone", KEY, 5, limit=1)
        with pytest.raises(TooManyDevices, match="1 are allowed"):
            await store.add_device(alice.id, "tablet", OTHER_KEY, 6, limit=1)
        await store.revoke_device(first.id, 7)
        second = await store.add_device(alice.id, "tablet", OTHER_KEY, 8, limit=1)
        devices = await store.devices(alice.id)
        assert [(d.id, d.revoked_at_ms) for d in devices] == [(first.id, 7), (second.id, None)]


async def test_a_device_needs_a_user_and_a_whole_key(open_store: OpenStore) -> None:
    async with open_store() as store:
        with pytest.raises(UnknownUser):
            await store.add_device(1, "phone", KEY, 5, limit=1)
        alice = await store.create_user("alice", "hash", 1)
        with pytest.raises(ValueError, match="32 bytes"):
            await store.add_device(alice.id, "phone", KEY[:-1], 5, limit=1)
        with pytest.raises(ValueError, match="32 bytes"):
            await store.device_by_key(KEY + b"!")


async def test_the_first_revocation_stays(open_store: OpenStore) -> None:
    async with open_store() as store:
        alice = await store.create_user("alice", "hash", 1)
        device = await store.add_device(alice.id, "phone", KEY, 5, limit=1)
        await store.revoke_device(device.id, 10)
        await store.revoke_device(device.id, 20)
        await store.revoke_device(device.id + 1, 20)
        found = await store.device_by_key(KEY)
        assert found is not None
        assert found[0].revoked_at_ms == 10


async def test_revocations_of_devices_since_a_time(open_store: OpenStore, enrol: Enrol) -> None:
    async with open_store() as store:
        _, phones = await enrol(store, "alice", phones=3)
        for phone, at_ms in zip(phones, [99, 100, 101], strict=True):
            await store.revoke_device(phone.id, at_ms)
        assert (await store.revoked_since(100)).device_ids == {phones[1].id, phones[2].id}


async def test_a_new_device_starts_at_the_head(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Callable[..., NewMessage]
) -> None:
    async with open_store() as store:
        alice, _ = await enrol(store, "alice")
        _, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, alice, number) for number in range(3)))
        device = await store.add_device(alice.id, "tablet", KEY, 5, limit=2)
        assert device.cursor == 3


async def test_many_lookups_at_once_get_their_own_answers(
    open_store: OpenStore, enrol: Enrol
) -> None:
    async with open_store() as store:
        people = [await enrol(store, f"user {number}") for number in range(20)]
        found: dict[bytes, tuple[Device, User] | None] = {}

        async def look_up(key: bytes) -> None:
            found[key] = await store.device_by_key(key)

        async with trio.open_nursery() as nursery:
            for _, [device] in people:
                nursery.start_soon(look_up, device.key)
            nursery.start_soon(look_up, KEY)
        assert found.pop(KEY) is None
        assert found == {device.key: (device, user) for user, [device] in people}
