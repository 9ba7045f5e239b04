"""What the writer's thread does: one statement a batch of appends, a transaction for the rest.

Why so few statements. The Trio thread is busy and shares the interpreter lock with this one.
`sqlite3` gives the lock up for each step of a statement and must take it back; that can take a
whole switch interval (5 ms). Measured with a busy Trio thread and batches of 50: 3,100 to 11,000
appends/s with BEGIN, INSERT, COMMIT, and 17,000 to 18,000 with a single INSERT that is its own
transaction. So a batch travels as three parameters: numbers as JSON, message ids and bodies each as
one run of bytes that SQL cuts up, whatever the size of the batch (as fast as a multi-row VALUES,
which needs a statement per size). Bodies do not travel as JSON because SQLite ends a JSON string at
a NUL. (A part of no bytes is NULL, hence the coalesce.)
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec
from outcome import Error, Value

from hwangso_server.store.failures import explained
from hwangso_server.store.interface import (
    MESSAGE_ID_BYTES,
    Appended,
    AppendResult,
    NewMessage,
    OnDone,
    StoreError,
    StoreFailed,
)
from hwangso_server.store.planning import EntryKey, Inbox, PlannedEntry, Stored, plan
from hwangso_server.store.schema import HEAD
from hwangso_server.store.worker import Call

T_co = TypeVar("T_co", covariant=True)

BATCH_LIMIT: Final = 1024
"""Jobs of one commit. Larger batches gain little throughput and make the first one wait for the
last."""

INBOX_CACHE_LIMIT: Final = 100_000
"""Users whose head and devices are kept in memory, about 300 bytes each. The longest known go
first."""

_INSERT: Final = f"""
INSERT INTO inbox (user_id, seq, sender_id, recipient_id, at_ms, message_id, body)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'),
    substr(?2, {MESSAGE_ID_BYTES} * key + 1, {MESSAGE_ID_BYTES}),
    coalesce(CAST(substr(?3, json_extract(value, '$[5]'), json_extract(value, '$[6]')) AS TEXT), '')
FROM json_each(?1)
"""

_LOAD: Final = f"""
SELECT json_group_array(json_array(users.id, {HEAD}, json((
    SELECT json_group_array(id) FROM devices WHERE user_id = users.id AND revoked_at_ms IS NULL))))
FROM json_each(?) AS wanted JOIN users ON users.id = wanted.value
"""

_FIND: Final = f"""
SELECT json_group_array(json_array(wanted.key, inbox.seq, inbox.at_ms))
FROM json_each(?1) AS wanted
JOIN inbox ON inbox.user_id = json_extract(wanted.value, '$[0]')
    AND inbox.sender_id = json_extract(wanted.value, '$[1]')
    AND inbox.message_id = substr(?2, {MESSAGE_ID_BYTES} * wanted.key + 1, {MESSAGE_ID_BYTES})
"""

_loaded: Final = msgspec.json.Decoder(list[tuple[int, int, frozenset[int]]])
_found: Final = msgspec.json.Decoder(list[tuple[int, int, int]])


class Backlog:
    """The appends that wait, counted on the Trio thread."""

    def __init__(self) -> None:
        self.messages = 0
        self.body_bytes = 0
        self.answered = 0
        """Since the owner last reset it."""


class Append:
    """A job: one message, and whom to tell."""

    __slots__ = ("_backlog", "_on_done", "body", "message", "result")

    def __init__(self, message: NewMessage, body: bytes, on_done: OnDone, backlog: Backlog) -> None:
        self.message = message
        self.body = body
        self.result: AppendResult | None = None
        self._on_done = on_done
        self._backlog = backlog
        backlog.messages += 1
        backlog.body_bytes += len(body)

    def settle(self) -> None:
        if self.result is not None:
            self._tell(self.result)

    def fail(self, error: StoreFailed) -> None:
        self._tell(error)

    def _tell(self, result: AppendResult) -> None:
        backlog = self._backlog
        backlog.messages -= 1
        backlog.body_bytes -= len(self.body)
        backlog.answered += 1
        self._on_done(result)


class Change(Call[T_co]):
    """A job: any other write, as a function that checks first and writes last.

    What it raises before it has written (StoreError, ValueError for text that is none,
    OverflowError for a number that does not fit) goes to its caller alone.
    """

    def __init__(self, work: Callable[["Writer"], T_co]) -> None:
        super().__init__()
        self._work = work

    def run(self, writer: "Writer") -> None:
        try:
            self.answer = Value(self._work(writer))
        except (StoreError, ValueError, OverflowError) as error:
            self.answer = Error(error)


WriteJob: TypeAlias = Append | Change[object]


class Totals:
    """Since the store was opened; see `Counters`."""

    def __init__(self) -> None:
        self.appended = 0
        self.duplicates = 0
        self.commits = 0


class Writer:
    """Lives in the writer's thread; only `connection` and `forget` are for the work of a Change."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection: Final = connection
        self._path: Final = path
        self._inboxes: dict[int, Inbox] = {}
        self.totals: Final = Totals()

    def handle(self, jobs: Sequence[WriteJob]) -> None:
        """Make all of them durable, appends first. Raises StoreFailed; then nothing is certain."""
        appends = [job for job in jobs if isinstance(job, Append)]
        with explained(self._path):
            if appends:
                self._append(appends)
            if len(appends) < len(jobs):
                self._change([job for job in jobs if isinstance(job, Change)])

    def forget(self, user_id: int) -> None:
        """The devices of this user are about to change."""
        self._inboxes.pop(user_id, None)

    def close(self) -> None:
        """The last connection to close copies the write-ahead log into the database.

        If it cannot, nothing is lost: the log stays, and the next opening reads it.
        """
        with suppress(sqlite3.Error):
            self.connection.close()

    def _append(self, jobs: Sequence[Append]) -> None:
        messages = [job.message for job in jobs]
        users = {m.recipient_id for m in messages} | {m.sender_id for m in messages}
        self._load(users)
        entries, results = plan(messages, self._inboxes, {})
        try:
            self._insert(entries, jobs)
        except sqlite3.IntegrityError:  # the statement left nothing behind; some were there already
            for user in users:
                self.forget(user)
            self._load(users)
            entries, results = plan(messages, self._inboxes, self._find(messages))
            self._insert(entries, jobs)
        for job, result in zip(jobs, results, strict=True):
            job.result = result
        duplicates = sum(isinstance(r, Appended) and r.duplicate for r in results)
        stored = sum(isinstance(r, Appended) for r in results) - duplicates
        self.totals.duplicates += duplicates
        self.totals.appended += stored
        self.totals.commits += stored > 0

    def _insert(self, entries: Sequence[PlannedEntry], jobs: Sequence[Append]) -> None:
        if not entries:
            return
        rows = []
        ids = []
        bodies = []
        offset = 1  # SQL counts from 1
        for user_id, seq, index in entries:
            job = jobs[index]
            message = job.message
            size = len(job.body)
            rows.append(
                (user_id, seq, message.sender_id, message.recipient_id, message.at_ms, offset, size)
            )
            ids.append(message.message_id)
            bodies.append(job.body)
            offset += size
        self.connection.execute(_INSERT, (_json(rows), b"".join(ids), b"".join(bodies)))

    def _load(self, users: set[int]) -> None:
        missing = users - self._inboxes.keys()
        if not missing:
            return
        room = INBOX_CACHE_LIMIT - len(missing)
        if len(self._inboxes) > room:
            self._evict(len(self._inboxes) - room, keep=users)
        (text,) = self.connection.execute(_LOAD, (_json(list(missing)),)).fetchone()
        for user_id, head, devices in _loaded.decode(text):
            self._inboxes[user_id] = Inbox(head, devices)

    def _evict(self, count: int, keep: set[int]) -> None:
        oldest = [user for user in self._inboxes if user not in keep][:count]
        for user in oldest:
            del self._inboxes[user]

    def _find(self, messages: Iterable[NewMessage]) -> dict[EntryKey, Stored]:
        keys = list(
            {
                (inbox, m.sender_id, m.message_id)
                for m in messages
                for inbox in (m.recipient_id, m.sender_id)
            }
        )
        ids = b"".join([message_id for _, _, message_id in keys])
        wanted = _json([(inbox, sender) for inbox, sender, _ in keys])
        (text,) = self.connection.execute(_FIND, (wanted, ids)).fetchone()
        return {keys[index]: Stored(seq, at_ms) for index, seq, at_ms in _found.decode(text)}

    def _change(self, jobs: Sequence[Change[object]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            job.run(self)
        self.connection.execute("COMMIT")


def _json(rows: Sequence[object]) -> str:
    return msgspec.json.encode(rows).decode()
