"""What tests of a store need: people with phones, and sending that waits for the answer."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from hwangso_server.store import AppendResult, Device, NewMessage, Store, User


@pytest.fixture
def enrol() -> Callable[..., Awaitable[tuple[User, list[Device]]]]:
    """`await enrol(store, "alice", phones=2)` makes a user and devices with keys of their own."""

    async def enrol(store: Store, name: str, phones: int = 1) -> tuple[User, list[Device]]:
        user = await store.create_user(name, f"hash of {name}", 1)
        keys = [f"{name} {number}".encode().ljust(32, b".") for number in range(phones)]
        return user, [
            await store.add_device(user.id, "phone", key, at_ms=2, limit=phones) for key in keys
        ]

    return enrol


@pytest.fixture
def message() -> Callable[..., NewMessage]:
    """`message(device, user, 7, "text")`: the number becomes the message id."""

    def message(
        device: Device, recipient: User, number: int, body: str = "hi", at_ms: int = 100
    ) -> NewMessage:
        return NewMessage(
            device.user_id, device.id, recipient.id, number.to_bytes(16, "big"), body, at_ms
        )

    return message


@pytest.fixture
def send() -> Callable[..., Awaitable[list[AppendResult]]]:
    """`await send(store, message, ...)` appends all in one turn and waits for all results."""

    async def send(store: Store, *messages: NewMessage) -> list[AppendResult]:
        results: list[AppendResult] = []
        all_done = trio.Event()

        def on_done(result: AppendResult) -> None:
            results.append(result)
            if len(results) == len(messages):
                all_done.set()

        for message in messages:
            store.append(message, on_done)
        await all_done.wait()
        return results

    return send
