"""Cursors of a store: only forwards, never beyond the head, visible before they are durable."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from hwangso_server.store import AppendResult, Device, NewMessage, Store, User

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]
Message = Callable[..., NewMessage]


async def cursor(store: Store, device: Device) -> int:
    """As all three ways to get a device say."""
    found = await store.device_by_key(device.key)
    assert found is not None
    [listed] = [d for d in await store.devices(device.user_id) if d.id == device.id]
    again = await store.add_device(device.user_id, "again", device.key, 1, limit=1)
    assert found[0].cursor == listed.cursor == again.cursor
    return listed.cursor


async def test_a_cursor_only_moves_forwards(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(5)))
        for seq, expected in [(3, 3), (2, 3), (-1, 3), (4, 4)]:
            store.advance_cursor(phone.id, seq)
            assert await cursor(store, phone) == expected
            await store.flush_cursors()
            assert await cursor(store, phone) == expected
        store.advance_cursor(phone.id, 1)
        await store.flush_cursors()
        assert await cursor(store, phone) == 4


async def test_a_cursor_stays_within_the_inbox(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, message(phone, bob, 1))
        store.advance_cursor(phone.id, 2**64)
        assert await cursor(store, phone) == 1
        await store.flush_cursors()
        await send(store, message(phone, bob, 2))
        assert await cursor(store, phone) == 1  # what it claimed to have was not there yet


async def test_unknown_devices_are_ignored(open_store: OpenStore, enrol: Enrol) -> None:
    async with open_store() as store:
        _, [phone] = await enrol(store, "bob")
        store.advance_cursor(phone.id + 1, 5)
        await store.flush_cursors()
        assert await cursor(store, phone) == 0


async def test_devices_have_cursors_of_their_own(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone, tablet] = await enrol(store, "bob", phones=2)
        await send(store, *(message(phone, bob, number) for number in range(5)))
        store.advance_cursor(phone.id, 2)
        store.advance_cursor(tablet.id, 4)
        await store.flush_cursors()
        assert [d.cursor for d in await store.devices(bob.id)] == [2, 4]
