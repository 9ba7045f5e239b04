"""The durable store: group commit, durability, failure, closing."""

import os
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from subprocess import PIPE

import pytest
import trio
import trio.testing

from hwangso_server.store import (
    Appended,
    AppendResult,
    DatabaseCorrupt,
    Device,
    DiskFull,
    NewMessage,
    Store,
    StoreBusy,
    StoreFailed,
    User,
    open_sqlite,
    schema,
)
from hwangso_server.store.reader import Reader
from hwangso_server.store.schema import open_reader, open_writer
from hwangso_server.store.sqlite import SqliteStore
from hwangso_server.store.writer import WriteJob, Writer

Enrol = Callable[..., Awaitable[tuple[User, list[Device]]]]
Send = Callable[..., Awaitable[list[AppendResult]]]
Message = Callable[..., NewMessage]

PLENTY = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hwangso.db"


class HeldWriter(Writer):
    """Holds each batch until `go` is set."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_writer(path), path)
        self.go = threading.Event()
        self.sizes: list[int] = []

    def handle(self, jobs: Sequence[WriteJob]) -> None:
        self.sizes.append(len(jobs))
        self.go.wait()
        super().handle(jobs)


def damage_second_half(path: Path) -> None:
    content = bytearray(path.read_bytes())
    half = len(content) // 2 // 4096 * 4096
    content[half:] = b"\xff" * (len(content) - half)
    path.write_bytes(content)


async def enrolled(path: Path, enrol: Enrol) -> tuple[User, Device]:
    async with open_sqlite(path) as store:
        user, [device] = await enrol(store, "bob")
    return user, device


async def test_what_waits_while_the_disk_is_busy_is_one_commit(
    path: Path, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_sqlite(path) as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(300)))
        assert store.counters().commits == 2  # the first alone, then all that had gathered
        assert store.counters().appended == 300


async def test_a_batch_is_bounded(path: Path, enrol: Enrol, message: Message) -> None:
    bob, phone = await enrolled(path, enrol)
    writer = HeldWriter(path)
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    results: list[AppendResult] = []
    for number in range(2500):
        store.append(message(phone, bob, number), results.append)
    writer.go.set()
    await store.close(10)
    assert writer.sizes == [1, 1024, 1024, 451]
    assert [r.seq for r in results if isinstance(r, Appended)] == list(range(1, 2501))


async def test_all_is_there_after_opening_again(
    path: Path, enrol: Enrol, send: Send, message: Message
) -> None:
    async with open_sqlite(path) as store:
        bob, [phone, lost] = await enrol(store, "bob", phones=2)
        await send(store, *(message(phone, bob, number, "안녕") for number in range(3)))
        await store.revoke_device(lost.id, 7)
        await store.set_disabled("bob", 8)
        await store.prune(1, 100, 0)
        store.advance_cursor(phone.id, 3)  # closing flushes
        before = (await store.list_users(), await store.devices(bob.id))
        page = await store.page(bob.id, 0, 10, PLENTY)
    async with open_sqlite(path) as store:
        assert (await store.list_users(), await store.devices(bob.id)) == before
        assert [device.cursor for device in before[1]] == [3, 0]
        assert await store.page(bob.id, 0, 10, PLENTY) == page
        [again, new] = await send(store, message(phone, bob, 2), message(phone, bob, 3))
        assert isinstance(again, Appended)
        assert isinstance(new, Appended)
        assert (again.seq, again.duplicate, new.seq, new.duplicate) == (3, True, 4, False)


async def test_nothing_is_left_beside_the_database(path: Path, enrol: Enrol) -> None:
    await enrolled(path, enrol)
    assert list(path.parent.iterdir()) == [path]


async def test_an_answer_is_a_commit_that_others_can_see(
    path: Path, enrol: Enrol, message: Message
) -> None:
    seen: list[int] = []
    answered = trio.Event()
    async with open_sqlite(path) as store:
        bob, [phone] = await enrol(store, "bob")

        def on_done(_: AppendResult) -> None:
            connection = sqlite3.connect(path)
            seen.extend(seq for (seq,) in connection.execute("SELECT seq FROM inbox"))
            connection.close()
            answered.set()

        store.append(message(phone, bob, 1), on_done)
        await answered.wait()
    assert seen == [1]


async def test_every_commit_is_synced(path: Path) -> None:
    connection = open_writer(path)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    connection.close()


async def test_acknowledged_messages_survive_kill_9(path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_me.py")), str(path)]
    output = b""
    async with trio.open_nursery() as nursery:
        child: trio.Process = await nursery.start(
            partial(trio.run_process, command, stdout=PIPE, check=False)
        )
        assert child.stdout is not None
        async for chunk in child.stdout:
            output += chunk
            if len(output) > 100_000:  # some 3,000 acknowledged messages
                child.kill()
    whole_lines = output[: output.rindex(b"\n")].decode().split()
    async with open_sqlite(path) as store:
        user = await store.find_user("alice")
        assert user is not None
        page = await store.page(user.id, 0, PLENTY, PLENTY * 100)
        stored = [entry.message_id.hex() for entry in page.entries]
    assert len(set(stored)) == len(stored)
    assert set(whole_lines) <= set(stored)
    assert [entry.seq for entry in page.entries] == list(range(1, len(stored) + 1))


async def test_a_full_disk_breaks_the_store(path: Path, enrol: Enrol, message: Message) -> None:
    bob, phone = await enrolled(path, enrol)
    writer = HeldWriter(path)
    writer.connection.execute("PRAGMA max_page_count = 40")
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    results: list[AppendResult] = []
    for number in range(3):
        store.append(message(phone, bob, number, "x" * 100_000), results.append)
    writer.go.set()
    with pytest.raises(DiskFull, match=r"hwangso.db: no space left for it; free some"):
        await store.wait_failed()
    # The first fitted; the others shared a transaction.
    assert [type(result) for result in results] == [Appended, DiskFull, DiskFull]
    with pytest.raises(DiskFull):
        store.append(message(phone, bob, 9), results.append)
    with pytest.raises(DiskFull):
        await store.page(bob.id, 0, 10, PLENTY)
    with pytest.raises(DiskFull):
        await store.flush_cursors()
    await store.close(10)
    assert len(results) == 3
    async with open_sqlite(path) as again:
        page = await again.page(bob.id, 0, 10, PLENTY)
        assert [entry.seq for entry in page.entries] == [1]


async def test_a_failing_change_reaches_its_caller(path: Path, enrol: Enrol) -> None:
    await enrolled(path, enrol)
    writer = Writer(open_writer(path), path)
    writer.connection.execute("PRAGMA max_page_count = 1")
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    with pytest.raises(DiskFull):
        await store.create_user("x" * 100_000, "hash", 1)
    await store.close(10)


async def test_failing_only_while_closing_is_told(
    path: Path, enrol: Enrol, message: Message
) -> None:
    bob, phone = await enrolled(path, enrol)
    writer = HeldWriter(path)
    writer.connection.execute("PRAGMA max_page_count = 1")
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    results: list[AppendResult] = []
    store.append(message(phone, bob, 1, "x" * 100_000), results.append)
    writer.go.set()
    with pytest.raises(DiskFull):
        await store.close(10)
    assert [type(result) for result in results] == [DiskFull]


async def test_a_page_that_is_damaged_breaks_the_store(
    path: Path, enrol: Enrol, send: Send, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_sqlite(path) as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number, "x" * 3000) for number in range(50)))
    damage_second_half(path)
    with pytest.raises(DatabaseCorrupt, match=r"hwangso.db: it is damaged; restore it"):
        async with open_sqlite(path):
            pass
    monkeypatch.setattr(schema, "QUICK_CHECK_BYTES", 0)  # as a large file is opened
    async with open_sqlite(path) as store:
        with pytest.raises(DatabaseCorrupt, match="damaged"):
            await store.page(bob.id, 0, 100, PLENTY)
        with pytest.raises(DatabaseCorrupt):
            await store.wait_failed()


async def test_a_bug_in_a_thread_breaks_the_store(
    path: Path, enrol: Enrol, message: Message
) -> None:
    class BrokenWriter(Writer):
        def handle(self, jobs: Sequence[WriteJob]) -> None:
            raise ZeroDivisionError("oops")

    bob, phone = await enrolled(path, enrol)
    writer = BrokenWriter(open_writer(path), path)
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    results: list[AppendResult] = []
    store.append(message(phone, bob, 1), results.append)
    with pytest.raises(StoreFailed, match="oops") as caught:
        await store.wait_failed()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [type(result) for result in results] == [StoreFailed]
    await store.close(10)


async def test_a_cancelled_caller_is_let_go_and_its_work_is_done(path: Path, enrol: Enrol) -> None:
    await enrolled(path, enrol)
    writer = HeldWriter(path)
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.create_user("alice", "hash", 1)
    assert scope.cancelled_caught
    writer.go.set()
    await store.create_user("carol", "hash", 1)
    assert await store.find_user("alice") is not None
    await store.close(10)


async def test_callers_that_wait_are_bounded(
    path: Path, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwangso_server.store.sqlite.CALL_QUEUE_LIMIT", 3)
    await enrolled(path, enrol)
    writer = HeldWriter(path)
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(store.create_user, name, "hash", 1)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StoreBusy, match="3 calls wait"):
            await store.create_user("d", "hash", 1)
        assert store.counters().refused == 1
        writer.go.set()
    await store.create_user("d", "hash", 1)
    await store.close(10)


async def test_closing_gives_up_at_its_deadline(path: Path, enrol: Enrol, message: Message) -> None:
    bob, phone = await enrolled(path, enrol)
    writer = HeldWriter(path)
    store = SqliteStore(path, writer, Reader(open_reader(path), path), None)
    results: list[AppendResult] = []
    store.append(message(phone, bob, 1), results.append)
    with pytest.raises(StoreFailed, match="closing took longer than 0 s"):
        await store.close(0)
    assert [type(result) for result in results] == [StoreFailed]
    writer.go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("hwangso store"):
            thread.join()  # each ends by itself once its disk answers


async def test_a_cursor_shown_once_never_seems_to_move_back(
    path: Path, enrol: Enrol, send: Send, message: Message
) -> None:
    """A lookup that read the old cursor may be answered after the new one was written."""
    async with open_sqlite(path) as store:
        bob, [phone] = await enrol(store, "bob")
        await send(store, *(message(phone, bob, number) for number in range(20)))
        shown: list[int] = []

        async def look(store: Store) -> None:
            found = await store.device_by_key(phone.key)
            assert found is not None
            shown.append(found[0].cursor)

        for seq in range(1, 21):
            store.advance_cursor(phone.id, seq)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(look, store)
                nursery.start_soon(store.flush_cursors)
            assert shown[-3:] == [seq] * 3


def test_the_file_is_private(path: Path) -> None:
    old = os.umask(0)
    try:
        open_writer(path).close()
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
