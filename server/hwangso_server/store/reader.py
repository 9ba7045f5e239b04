"""What the reader's thread does: a batch of logins is one query, a batch of pages is one query.

Each answers with a single row of JSON, for the reason given in `writer`: `sqlite3` gives up the
interpreter lock for every row it fetches, and taking it back from a busy Trio thread can take 5 ms.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec
from outcome import Error, Value

from hwangso_server.store.failures import explained
from hwangso_server.store.interface import KEY_BYTES, Device, Entry, Page, User
from hwangso_server.store.schema import HEAD
from hwangso_server.store.worker import Call

T_co = TypeVar("T_co", covariant=True)

BATCH_LIMIT: Final = 256
"""Jobs answered at one go. A batch of pages costs up to this many times `max_body_bytes` of
memory."""

_BY_KEY: Final = f"""
SELECT json_group_array(json_array(wanted.value,
    devices.id, devices.user_id, devices.name, devices.created_at_ms, devices.revoked_at_ms,
    devices.cursor, {HEAD},
    users.name, users.password_hash, users.created_at_ms, users.disabled_at_ms))
FROM json_each(?1) AS wanted
JOIN devices ON devices.key = substr(?2, {KEY_BYTES} * wanted.value + 1, {KEY_BYTES})
JOIN users ON users.id = devices.user_id
"""

# Innermost the `limit` next entries (seqs have no gap above `pruned_to`, and SQL takes no LIMIT
# from a column), then their bodies added up, then those that fit (or the first).
_PAGES: Final = f"""
SELECT json_group_array(json_array(wanted.key, {HEAD}, json((
    SELECT json_group_array(json_array(entry.seq, hex(entry.message_id), entry.sender_id,
        entry.recipient_id, sender.name, recipient.name, entry.body, entry.at_ms))
    FROM (
        SELECT *, sum(length(CAST(body AS BLOB))) OVER up_to_here AS total,
            row_number() OVER up_to_here AS number
        FROM (
            SELECT * FROM inbox
            WHERE user_id = users.id AND seq > json_extract(wanted.value, '$[1]')
                AND seq <= max(json_extract(wanted.value, '$[1]'), users.pruned_to)
                    + json_extract(wanted.value, '$[2]')
        )
        WINDOW up_to_here AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)
    ) AS entry
    JOIN users AS sender ON sender.id = entry.sender_id
    JOIN users AS recipient ON recipient.id = entry.recipient_id
    WHERE entry.total <= json_extract(wanted.value, '$[3]') OR entry.number = 1))))
FROM json_each(?1) AS wanted JOIN users ON users.id = json_extract(wanted.value, '$[0]')
"""


class _KeyRow(msgspec.Struct, array_like=True):
    index: int
    device_id: int
    user_id: int
    device_name: str
    device_created_at_ms: int
    revoked_at_ms: int | None
    cursor: int
    head: int
    user_name: str
    password_hash: str
    user_created_at_ms: int
    disabled_at_ms: int | None


class _EntryRow(msgspec.Struct, array_like=True):
    seq: int
    message_id_hex: str
    sender_id: int
    recipient_id: int
    sender: str
    recipient: str
    body: str
    at_ms: int


_by_seq: Final = attrgetter("seq")
_key_rows: Final = msgspec.json.Decoder(list[_KeyRow])
_page_rows: Final = msgspec.json.Decoder(list[tuple[int, int, list[_EntryRow]]])


class KeyLookup(Call[tuple[Device, User, int] | None]):
    """A job: the device with this key, its user, and the head of the user's inbox."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.key = key


class PageLookup(Call[Page]):
    """A job: one page of an inbox. The numbers fit 64 bits."""

    def __init__(self, user_id: int, since: int, limit: int, max_body_bytes: int) -> None:
        super().__init__()
        self.wanted = (user_id, since, limit, max_body_bytes)


class Query(Call[T_co]):
    """A job: any other read. ValueError and OverflowError (bad parameters) go to its caller
    alone."""

    def __init__(self, work: Callable[[sqlite3.Connection], T_co]) -> None:
        super().__init__()
        self._work = work

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.answer = Value(self._work(connection))
        except (ValueError, OverflowError) as error:
            self.answer = Error(error)


ReadJob: TypeAlias = Call[object]
"""A KeyLookup, a PageLookup or a Query."""


class Reader:
    """Lives in the reader's thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection: Final = connection
        self._path: Final = path

    def handle(self, jobs: Sequence[ReadJob]) -> None:
        """Answer all of them. Raises StoreFailed."""
        lookups = [job for job in jobs if isinstance(job, KeyLookup)]
        pages = [job for job in jobs if isinstance(job, PageLookup)]
        with explained(self._path):
            if lookups:
                self._look_up(lookups)
            if pages:
                self._page(pages)
            for job in jobs:
                if isinstance(job, Query):
                    job.run(self._connection)

    def close(self) -> None:
        """Nothing is at stake."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _look_up(self, jobs: Sequence[KeyLookup]) -> None:
        indexes = msgspec.json.encode(list(range(len(jobs)))).decode()
        keys = b"".join([job.key for job in jobs])
        (text,) = self._connection.execute(_BY_KEY, (indexes, keys)).fetchone()
        for job in jobs:
            job.answer = Value(None)
        for row in _key_rows.decode(text):
            job = jobs[row.index]
            device = Device(
                row.device_id,
                row.user_id,
                row.device_name,
                job.key,
                row.device_created_at_ms,
                row.revoked_at_ms,
                row.cursor,
            )
            user = User(
                row.user_id,
                row.user_name,
                row.password_hash,
                row.user_created_at_ms,
                row.disabled_at_ms,
            )
            job.answer = Value((device, user, row.head))

    def _page(self, jobs: Sequence[PageLookup]) -> None:
        wanted = msgspec.json.encode([job.wanted for job in jobs]).decode()
        (text,) = self._connection.execute(_PAGES, (wanted,)).fetchone()
        for job in jobs:
            job.answer = Value(Page((), 0))
        for index, head, rows in _page_rows.decode(text):
            rows.sort(key=_by_seq)  # SQL does not promise the order of a group
            entries = tuple([_entry(row) for row in rows])
            jobs[index].answer = Value(Page(entries, head))


def _entry(row: _EntryRow) -> Entry:
    return Entry(
        row.seq,
        bytes.fromhex(row.message_id_hex),
        row.sender_id,
        row.recipient_id,
        row.sender,
        row.recipient,
        row.body,
        row.at_ms,
    )
