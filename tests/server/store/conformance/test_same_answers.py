"""Whatever is asked, in whatever order, SQLite and memory say the same."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from hwangso_server.store import (
    AppendResult,
    NewMessage,
    Store,
    StoreError,
    open_memory,
    open_sqlite,
)

Operation: TypeAlias = Callable[[Store], Awaitable[object]]

# So few of each that they meet often. Of the ids some do not exist.
names = st.sampled_from(["alice", "bob", "철수", "a\0"])
user_ids = st.integers(1, 5)
device_ids = st.integers(1, 7)
keys = st.sampled_from([bytes([number]) * 32 for number in range(6)])
times = st.integers(0, 5)
times_of_first_messages = [1, 3, 2, 4]
seqs = st.integers(-1, 12)
limits = st.integers(1, 4)
messages = st.builds(
    NewMessage,
    sender_id=user_ids,
    sender_device_id=device_ids,
    recipient_id=user_ids,
    message_id=st.sampled_from([bytes([number]) * 16 for number in range(6)]),
    body=st.text(max_size=4),
    at_ms=times,
)


async def append_all(store: Store, batch: list[NewMessage]) -> object:
    results: list[AppendResult] = []
    done = trio.Event()

    def on_done(result: AppendResult) -> None:
        results.append(result)
        if len(results) == len(batch):
            done.set()

    for message in batch:
        store.append(message, on_done)
    await done.wait()
    return [str(result) for result in results]  # exceptions have no equality


async def advance(store: Store, device_id: int, seq: int) -> object:
    store.advance_cursor(device_id, seq)
    return None


operations: st.SearchStrategy[list[Operation]] = st.lists(
    st.one_of(
        st.builds(lambda name, at: lambda store: store.create_user(name, "hash", at), names, times),
        st.builds(lambda name: lambda store: store.find_user(name), names),
        st.builds(lambda name, n: lambda store: store.list_users(name, n), names, limits),
        st.builds(
            lambda name, at: lambda store: store.set_disabled(name, at), names, st.none() | times
        ),
        st.builds(
            lambda user, key, at, n: lambda store: store.add_device(user, "phone", key, at, n),
            user_ids,
            keys,
            times,
            limits,
        ),
        st.builds(lambda key: lambda store: store.device_by_key(key), keys),
        st.builds(
            lambda device, at: lambda store: store.revoke_device(device, at), device_ids, times
        ),
        st.builds(lambda at: lambda store: store.revoked_since(at), times),
        st.builds(
            lambda batch: lambda store: append_all(store, batch),
            st.lists(messages, min_size=1, max_size=8),
        ),
        st.builds(
            lambda user, since, n, size: lambda store: store.page(user, since, n, size),
            user_ids,
            seqs,
            limits,
            seqs,
        ),
        st.builds(lambda device, seq: lambda store: advance(store, device, seq), device_ids, seqs),
        st.just(lambda store: store.flush_cursors()),
        st.builds(
            lambda kept, n, before: lambda store: store.prune(kept, n, before),
            times,
            limits,
            times,
        ),
    ),
    max_size=30,
)


async def everything(store: Store) -> object:
    """All that a store would show, and the totals that do not depend on timing."""
    summaries = await store.list_users()
    people = [
        (
            [*await store.devices(summary.user.id)],
            [*(await store.page(summary.user.id, 0, 1000, 10**6)).entries],
        )
        for summary in summaries
    ]
    counters = store.counters()
    return [*summaries], people, (counters.appended, counters.duplicates, counters.pruned)


async def answer(store: Store, operation: Operation) -> object:
    try:
        answered = await operation(store)
    except StoreError as error:
        return f"{type(error).__name__}: {error}"
    return list(answered) if isinstance(answered, tuple | list) else answered


@settings(max_examples=60)
@given(operations)
def test_sqlite_and_memory_give_the_same_answers(operations: list[Operation]) -> None:
    async def compare(path: Path) -> None:
        async with open_memory() as memory, open_sqlite(path) as sqlite:
            # Some ground to stand on, so that most operations find something.
            for store in (memory, sqlite):
                for name in ["alice", "bob"]:
                    user = await store.create_user(name, "hash", 1)
                    phone = await store.add_device(user.id, "phone", bytes([user.id]) * 32, 1, 3)
                    for at_ms in times_of_first_messages:
                        number = bytes([at_ms]) * 16
                        first = NewMessage(user.id, phone.id, user.id, number, "first", at_ms)
                        await append_all(store, [first])
            for operation in operations:
                assert await answer(sqlite, operation) == await answer(memory, operation)
            assert await everything(sqlite) == await everything(memory)

    with tempfile.TemporaryDirectory() as folder:
        trio.run(compare, Path(folder) / "hwangso.db")
