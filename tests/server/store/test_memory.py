"""What only the memory store does: it breaks when told to."""

from collections.abc import Awaitable, Callable

import pytest

from hwangso_server.store import AppendResult, Device, DiskFull, NewMessage, User, open_memory

Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]


async def test_a_broken_store_acknowledges_nothing(
    enrol: Enrol, message: Callable[..., NewMessage]
) -> None:
    results: list[AppendResult] = []
    async with open_memory() as store:
        bob, [phone] = await enrol(store, "bob")
        store.append(message(phone, bob, 1), results.append)
        store.fail(DiskFull("no space left"))
        with pytest.raises(DiskFull):
            store.append(message(phone, bob, 2), results.append)
        with pytest.raises(DiskFull):
            await store.page(bob.id, 0, 10, 10)
        with pytest.raises(DiskFull, match="no space left"):
            await store.wait_failed()
    assert [type(result) for result in results] == [DiskFull]
