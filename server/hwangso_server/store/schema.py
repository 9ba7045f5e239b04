"""The tables, how old databases become new ones, and how a database is opened and checked.

The file says what it is: `PRAGMA application_id` holds "hwng" and `PRAGMA user_version` the number
of migrations it went through. To change the tables, append a migration; never edit one that was
released.

On opening, the check is cheap. SQLite itself compares the size in the header with the file (a
truncated file), and loads the schema; besides, a file of up to QUICK_CHECK_BYTES gets `PRAGMA
quick_check`, which reads all of it. Damage deep inside a larger file shows as DatabaseCorrupt when
something reads it.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hwangso_server.store.failures import explained
from hwangso_server.store.interface import (
    DatabaseCorrupt,
    DatabaseUnusable,
    NewerSchema,
    NotADatabase,
)

APPLICATION_ID: Final = int.from_bytes(b"hwng", "big")

MINIMUM_SQLITE: Final = (3, 38, 0)
"""JSON functions always built in, STRICT tables, UPDATE FROM (2022-02)."""

QUICK_CHECK_BYTES: Final = 64 * 2**20
"""Checked in about a fifth of a second; a gigabyte would hold up the start for seconds."""

CHECKPOINT_PAGES: Final = 4000
"""The write-ahead log is copied into the database at 16 MB (SQLite's default is 4). Pages written
twice in between are copied once: measured, 48,000 appends/s instead of 39,000 in batches of 200."""

BUSY_TIMEOUT_MS: Final = 2000
"""Nobody else should hold a lock; a backup or `sqlite3` shell may, for a moment."""

FILE_MODE: Final = 0o600
"""Password hashes and messages are nobody else's. SQLite gives its -wal and -shm the same mode."""

# An inbox entry lies in an ordinary table with two indexes. WITHOUT ROWID would save an index, but
# bodies then travel through every split of the tree: measured, 33,000 appends/s instead of 78,000.
_TABLES: Final = (
    """CREATE TABLE users (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL, disabled_at_ms INTEGER, pruned_to INTEGER NOT NULL DEFAULT 0
        -- the highest seq pruned: the head outlives the entries
    ) STRICT""",
    "CREATE INDEX users_disabled ON users (disabled_at_ms) WHERE disabled_at_ms IS NOT NULL",
    """CREATE TABLE devices (
        id INTEGER PRIMARY KEY,
        user_id INTEGER NOT NULL REFERENCES users,
        name TEXT NOT NULL,
        key BLOB NOT NULL UNIQUE,
        created_at_ms INTEGER NOT NULL,
        revoked_at_ms INTEGER,
        cursor INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX devices_of_user ON devices (user_id)",
    "CREATE INDEX devices_revoked ON devices (revoked_at_ms) WHERE revoked_at_ms IS NOT NULL",
    """CREATE TABLE inbox (
        user_id INTEGER NOT NULL REFERENCES users,
        seq INTEGER NOT NULL,
        sender_id INTEGER NOT NULL,
        recipient_id INTEGER NOT NULL,
        message_id BLOB NOT NULL,
        body TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (user_id, seq)
    ) STRICT""",
    "CREATE UNIQUE INDEX inbox_once ON inbox (user_id, sender_id, message_id)",
)

MIGRATIONS: Final[Sequence[Sequence[str]]] = (_TABLES,)
"""Migration n makes version n + 1 out of version n."""

HEAD: Final = """max(users.pruned_to,
    coalesce((SELECT max(seq) FROM inbox WHERE inbox.user_id = users.id), 0))"""
"""SQL for the head of an inbox; appending need not write it anywhere."""


def open_writer(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> sqlite3.Connection:
    """Open, make or migrate a database, check it, and return the one connection that writes.

    Raises a StoreFailed subclass that says what is wrong with the file. Blocks: call it in a
    thread.
    """
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        needed = ".".join(map(str, MINIMUM_SQLITE))
        raise DatabaseUnusable(
            f"this Python has SQLite {sqlite3.sqlite_version}; hwangso needs {needed} or newer"
        )
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    except OSError as error:
        raise DatabaseUnusable(f"database {path}: cannot be opened ({error.strerror})") from error
    with explained(path):
        connection = _connect(path)
        try:
            _identify(connection, path, len(migrations))
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # fsync before a commit returns
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            _migrate(connection, migrations)
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the connection that only reads, after `open_writer` has returned."""
    with explained(path):
        connection = _connect(path)
        connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        isolation_level=None,  # transactions are begun by hand
        check_same_thread=False,  # opened in one thread, then owned by another
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _identify(connection: sqlite3.Connection, path: Path, newest: int) -> None:
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise NotADatabase(
            f"database {path}: it belongs to another program;"
            " move it away or name another data folder"
        )
    if version > newest:
        raise NewerSchema(
            f"database {path}: written by a newer hwangso"
            f" (schema {version}, this one knows {newest});"
            " upgrade, or restore the backup made before the upgrade"
        )


def _migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]]) -> None:
    """Each migration is a transaction, so an interrupted one starts again from where it began."""
    for version in range(_pragma(connection, "user_version"), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        for statement in migrations[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size <= QUICK_CHECK_BYTES:
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            summary = " ".join(str(finding).split())
            raise DatabaseCorrupt(
                f"database {path}: it is damaged; restore it from a backup (SQLite: {summary})"
            )
