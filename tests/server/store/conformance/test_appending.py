"""How a store answers appends: later, in order, in batches, exactly once, whatever happens."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio

from hwangso_server.store import (
    APPEND_QUEUE_LIMIT,
    Appended,
    AppendResult,
    Device,
    NewMessage,
    Store,
    StoreBusy,
    StoreClosed,
    User,
)

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]
Message = Callable[..., NewMessage]


async def test_nobody_is_told_from_within_append(
    open_store: OpenStore, enrol: Enrol, message: Message
) -> None:
    results: list[AppendResult] = []
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        store.append(message(phone, bob, 1), results.append)
        assert results == []
        assert store.counters().waiting == 1
    assert len(results) == 1


async def test_a_batch_ends_once_after_all_its_answers(
    open_store: OpenStore, enrol: Enrol, send: Send, message: Message
) -> None:
    log: list[str] = []
    ends = 0
    all_answered = trio.Event()

    def on_batch_end() -> None:
        nonlocal ends
        log.append("end")
        ends += 1
        if log.count("answer") == 100:
            all_answered.set()

    async with open_store(on_batch_end=on_batch_end) as store:
        bob, [phone] = await enrol(store, "bob")
        assert log == []  # users and devices are no batch
        for number in range(100):
            store.append(message(phone, bob, number), lambda _: log.append("answer"))
        await all_answered.wait()
        await store.create_user("carol", "hash", 1)  # a batch without answers has no end
    assert log[-1] == "end"
    assert ends <= 2  # the first may go ahead alone while the others gather
    assert "end end" not in " ".join(log)


async def test_answers_may_append_again(
    open_store: OpenStore, enrol: Enrol, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        done = trio.Event()
        seqs: list[int] = []

        def on_done(result: AppendResult) -> None:
            assert isinstance(result, Appended)
            seqs.append(result.seq)
            if len(seqs) < 5:
                store.append(message(phone, bob, len(seqs)), on_done)
            else:
                done.set()

        store.append(message(phone, bob, 0), on_done)
        await done.wait()
        assert seqs == [1, 2, 3, 4, 5]


async def test_a_full_queue_takes_nothing(
    open_store: OpenStore, enrol: Enrol, message: Message
) -> None:
    answered = 0

    def on_done(_: AppendResult) -> None:
        nonlocal answered
        answered += 1

    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        for number in range(APPEND_QUEUE_LIMIT):
            store.append(message(phone, bob, number), on_done)
        with pytest.raises(StoreBusy):
            store.append(message(phone, bob, APPEND_QUEUE_LIMIT), on_done)
        counters = store.counters()
        assert (counters.waiting, counters.refused) == (APPEND_QUEUE_LIMIT, 1)
    assert answered == APPEND_QUEUE_LIMIT


async def test_long_bodies_fill_the_queue_too(
    open_store: OpenStore,
    enrol: Enrol,
    send: Send,
    message: Message,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("sqlite", "memory"):
        monkeypatch.setattr(f"hwangso_server.store.{module}.APPEND_QUEUE_BYTES", 1000)
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        results: list[AppendResult] = []
        store.append(message(phone, bob, 1, "황" * 300), results.append)
        with pytest.raises(StoreBusy):
            store.append(message(phone, bob, 2, "x" * 101), results.append)
        await send(store, message(phone, bob, 3, "x" * 100))
        await send(store, message(phone, bob, 4, "x" * 1000))  # there is room again
        assert len(results) == 1


async def test_what_cannot_be_stored_is_refused_at_once(
    open_store: OpenStore, enrol: Enrol, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
        unexpected: list[AppendResult] = []
        with pytest.raises(ValueError, match="16 bytes"):
            store.append(NewMessage(bob.id, phone.id, bob.id, b"short", "hi", 1), unexpected.append)
        with pytest.raises(UnicodeEncodeError):
            store.append(message(phone, bob, 1, "\ud800"), unexpected.append)
        with pytest.raises(UnicodeEncodeError):
            await store.create_user("\ud800", "hash", 1)
        with pytest.raises(UnicodeEncodeError):
            await store.find_user("\ud800")
        with pytest.raises(UnicodeEncodeError):
            await store.add_device(bob.id, "\ud800", b"k" * 32, 1, limit=2)
        assert store.counters().waiting == 0
    assert unexpected == []


async def test_closing_commits_what_waits_even_when_cancelled(
    open_store: OpenStore, enrol: Enrol, message: Message
) -> None:
    results: list[AppendResult] = []
    with trio.CancelScope() as scope:
        async with open_store() as store:
            bob, [phone] = await enrol(store, "bob")
            for number in range(500):
                store.append(message(phone, bob, number), results.append)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert [r.seq for r in results if isinstance(r, Appended)] == list(range(1, 501))


async def test_a_closed_store_takes_nothing(
    open_store: OpenStore, enrol: Enrol, message: Message
) -> None:
    async with open_store() as store:
        bob, [phone] = await enrol(store, "bob")
    unexpected: list[AppendResult] = []
    with pytest.raises(StoreClosed):
        store.append(message(phone, bob, 1), unexpected.append)
    with pytest.raises(StoreClosed):
        await store.find_user("bob")
    with pytest.raises(StoreClosed):
        await store.create_user("carol", "hash", 1)
    with pytest.raises(StoreClosed):
        await store.flush_cursors()
    store.advance_cursor(phone.id, 1)
    assert unexpected == []
