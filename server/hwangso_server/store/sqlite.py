"""The durable store: the Trio side of an SQLite database with a writer's and a reader's thread.

Everything here runs on the Trio thread. Appends and changes go to the writer, lookups to the
reader, each as jobs of a `Worker`; SQLite's write-ahead log lets both work at the same time.

Closing, in this order: refuse new work, make the cursors durable, let both threads finish what
waits, close the reader's connection, close the writer's. That is shielded from cancellation, so
that what was accepted is committed, but bounded: after `close_within_s` the rest fails and the
threads are left to the end of the process.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import trio

from hwangso_server.store import changes, queries
from hwangso_server.store.checks import check_key, check_limit, check_message, check_text
from hwangso_server.store.cursors import Cursors
from hwangso_server.store.failures import another
from hwangso_server.store.interface import (
    APPEND_QUEUE_BYTES,
    APPEND_QUEUE_LIMIT,
    CALL_QUEUE_LIMIT,
    Counters,
    Device,
    NewMessage,
    OnDone,
    Page,
    Pruned,
    Revocations,
    Store,
    StoreBusy,
    StoreClosed,
    StoreFailed,
    User,
    UserSummary,
)
from hwangso_server.store.reader import BATCH_LIMIT as READ_BATCH_LIMIT
from hwangso_server.store.reader import KeyLookup, PageLookup, Query, Reader, ReadJob
from hwangso_server.store.schema import open_reader, open_writer
from hwangso_server.store.worker import Call, Worker
from hwangso_server.store.writer import BATCH_LIMIT as WRITE_BATCH_LIMIT
from hwangso_server.store.writer import Append, Backlog, Change, WriteJob, Writer

T = TypeVar("T")

CURSOR_CHUNK: Final = 2000
"""Cursors written in one transaction, a few milliseconds, so that appends do not wait for all of
them."""

_MAX_INT: Final = 2**63 - 1


@asynccontextmanager
async def open_sqlite(
    path: Path, *, on_batch_end: Callable[[], None] | None = None, close_within_s: float = 10.0
) -> AsyncIterator[Store]:
    """Open or make the database at `path`, whose folder exists and is locked by the caller.

    `on_batch_end` is called after each batch of `on_done`. Raises a StoreFailed subclass with one
    clear line if the file is unusable; and on leaving, if the store breaks only then, or cannot
    finish within `close_within_s`: some of what still waited got StoreFailed.
    """
    writer, reader = await trio.to_thread.run_sync(_open, path)
    store = SqliteStore(path, writer, reader, on_batch_end)
    try:
        yield store
    finally:
        await store.close(close_within_s)


def _open(path: Path) -> tuple[Writer, Reader]:
    writer = Writer(open_writer(path), path)
    try:
        return writer, Reader(open_reader(path), path)
    except BaseException:
        writer.close()
        raise


class SqliteStore(Store):
    """See `Store`. Made by `open_sqlite`."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        reader: Reader,
        on_batch_end: Callable[[], None] | None,
    ) -> None:
        self._path: Final = path
        self._on_batch_end: Final = on_batch_end
        self._totals: Final = writer.totals
        self._backlog: Final = Backlog()
        self._cursors: Final = Cursors()
        self._failure: StoreFailed | None = None
        self._failed: Final = trio.Event()
        self._closing = False
        self._refused = 0
        self._pruned = 0
        self._prune_after = 0
        self._writer: Final = Worker[WriteJob](
            "hwangso store writer",
            writer.handle,
            batch_limit=WRITE_BATCH_LIMIT,
            on_failed=self._fail,
            on_settled=self._end_batch,
            close=writer.close,
        )
        self._reader: Final = Worker[ReadJob](
            "hwangso store reader",
            reader.handle,
            batch_limit=READ_BATCH_LIMIT,
            on_failed=self._fail,
            close=reader.close,
        )

    # Users

    async def create_user(self, name: str, password_hash: str, at_ms: int) -> User:
        check_text(name, password_hash)
        return await self._change(
            partial(changes.create_user, name=name, password_hash=password_hash, at_ms=at_ms)
        )

    async def find_user(self, name: str) -> User | None:
        check_text(name)
        return await self._query(partial(queries.find_user, name=name))

    async def list_users(self, after: str = "", limit: int = 1000) -> Sequence[UserSummary]:
        check_text(after)
        check_limit(limit)
        return await self._query(partial(queries.list_users, after=after, limit=limit))

    async def set_disabled(self, name: str, at_ms: int | None) -> User:
        check_text(name)
        return await self._change(partial(changes.set_disabled, name=name, at_ms=at_ms))

    # Devices

    async def add_device(
        self, user_id: int, name: str, key: bytes, at_ms: int, limit: int
    ) -> Device:
        check_key(key)
        check_text(name)
        device, head = await self._change(
            partial(
                changes.add_device, user_id=user_id, name=name, key=key, at_ms=at_ms, limit=limit
            )
        )
        return self._cursors.current(device, head)

    async def device_by_key(self, key: bytes) -> tuple[Device, User] | None:
        check_key(key)
        found = await self._read(KeyLookup(key))
        if found is None:
            return None
        device, user, head = found
        return self._cursors.current(device, head), user

    async def devices(self, user_id: int) -> Sequence[Device]:
        devices, head = await self._query(partial(queries.devices, user_id=user_id))
        return [self._cursors.current(device, head) for device in devices]

    async def revoke_device(self, device_id: int, at_ms: int) -> None:
        await self._change(partial(changes.revoke_device, device_id=device_id, at_ms=at_ms))

    async def revoked_since(self, at_ms: int) -> Revocations:
        return await self._query(partial(queries.revoked_since, at_ms=at_ms))

    # Inboxes

    async def page(self, user_id: int, since: int, limit: int, max_body_bytes: int) -> Page:
        check_limit(limit)
        return await self._read(
            PageLookup(user_id, min(since, _MAX_INT), min(limit, _MAX_INT), max_body_bytes)
        )

    def append(self, message: NewMessage, on_done: OnDone) -> None:
        body = check_message(message)
        self._check_open()
        backlog = self._backlog
        if (
            backlog.messages >= APPEND_QUEUE_LIMIT
            or backlog.body_bytes + len(body) > APPEND_QUEUE_BYTES
        ):
            self._refused += 1
            raise StoreBusy(f"{backlog.messages} messages wait for the disk already")
        self._writer.submit(Append(message, body, on_done, backlog))

    def advance_cursor(self, device_id: int, seq: int) -> None:
        if self._failure is None and not self._closing:
            self._cursors.advance(device_id, min(seq, _MAX_INT))

    async def flush_cursors(self) -> None:
        self._check_open()
        await self._flush_cursors()

    async def prune(self, retained: int, limit: int, received_before_ms: int) -> Pruned:
        check_limit(limit)
        step = partial(
            changes.prune,
            after_user_id=self._prune_after,
            retained=retained,
            limit=limit,
            received_before_ms=received_before_ms,
        )
        pruned, self._prune_after = await self._change(step)
        self._pruned += pruned.deleted
        return pruned

    # Health

    async def wait_failed(self) -> NoReturn:
        await self._failed.wait()
        if self._failure is None:
            raise AssertionError("the event is set after the failure")
        raise another(self._failure)

    def counters(self) -> Counters:
        return Counters(
            appended=self._totals.appended,
            duplicates=self._totals.duplicates,
            commits=self._totals.commits,
            refused=self._refused,
            pruned=self._pruned,
            waiting=self._backlog.messages,
        )

    async def close(self, within_s: float) -> None:
        """The last part of `open_sqlite`; see the top of this module."""
        self._closing = True
        failed_before = self._failure is not None
        with trio.move_on_after(within_s, shield=True) as deadline:
            with suppress(StoreFailed):
                await self._flush_cursors()
            await self._reader.drained()
            await self._writer.drained()
            await self._reader.stop()
            await self._writer.stop()
        if deadline.cancelled_caught:
            self._reader.let_go()
            self._writer.let_go()
            self._fail(
                StoreFailed(
                    f"database {self._path}: closing took longer than {within_s:g} s; messages that"
                    " waited were not acknowledged"
                )
            )
        if self._failure is not None and not failed_before:
            raise another(self._failure)

    # Within

    def _check_open(self) -> None:
        if self._failure is not None:
            raise another(self._failure)
        if self._closing:
            raise StoreClosed("the store is closing")

    async def _change(self, work: Callable[[Writer], T]) -> T:
        self._check_open()
        self._check_room(self._writer.waiting - self._backlog.messages)
        change = Change(work)
        self._writer.submit(change)
        return await change.wait()

    async def _query(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._read(Query(work))

    async def _read(self, job: Call[T]) -> T:
        self._check_open()
        self._check_room(self._reader.waiting)
        self._reader.submit(job)
        return await job.wait()

    async def _flush_cursors(self) -> None:
        advanced = self._cursors.advanced()
        for start in range(0, len(advanced), CURSOR_CHUNK):
            if self._failure is not None:
                raise another(self._failure)
            chunk = advanced[start : start + CURSOR_CHUNK]
            change = Change(partial(changes.advance_cursors, advances=chunk))
            self._writer.submit(change)
            self._cursors.written(chunk, await change.wait())

    def _check_room(self, waiting: int) -> None:
        if waiting >= CALL_QUEUE_LIMIT:
            self._refused += 1
            raise StoreBusy(f"{waiting} calls wait for the database already")

    def _end_batch(self) -> None:
        if self._backlog.answered and self._on_batch_end is not None:
            self._backlog.answered = 0
            self._on_batch_end()

    def _fail(self, error: StoreFailed) -> None:
        """Broken for good: nobody is told of a success any more."""
        if self._failure is None:
            self._failure = error
            self._failed.set()
        self._writer.fail(self._failure)
        self._reader.fail(self._failure)
