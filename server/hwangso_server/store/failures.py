"""What SQLite's errors mean to an operator: one line that names the file and says what to do.

Result codes: https://sqlite.org/rescode.html. The extended codes carry the primary one in their low
byte, which is what decides here.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hwangso_server.store.interface import (
    DatabaseCorrupt,
    DatabaseInUse,
    DatabaseUnusable,
    DiskFull,
    NotADatabase,
    StoreFailed,
)

_ADVICE: Final[dict[int, tuple[type[StoreFailed], str]]] = {
    sqlite3.SQLITE_FULL: (DiskFull, "no space left for it; free some, then start the server again"),
    sqlite3.SQLITE_CORRUPT: (DatabaseCorrupt, "it is damaged; restore it from a backup"),
    sqlite3.SQLITE_NOTADB: (
        NotADatabase,
        "it is not an SQLite database; move it away or name another data folder",
    ),
    sqlite3.SQLITE_BUSY: (DatabaseInUse, "another process uses it; stop that one first"),
    sqlite3.SQLITE_LOCKED: (DatabaseInUse, "another process uses it; stop that one first"),
    sqlite3.SQLITE_CANTOPEN: (
        DatabaseUnusable,
        "it cannot be opened; check folder and permissions",
    ),
    sqlite3.SQLITE_READONLY: (DatabaseUnusable, "it cannot be written; check its permissions"),
    sqlite3.SQLITE_PERM: (DatabaseUnusable, "access is denied; check its permissions"),
    sqlite3.SQLITE_IOERR: (
        DatabaseUnusable,
        "reading or writing it failed; check the disk and the system's log, then start again",
    ),
}


def explain(error: sqlite3.Error, path: Path) -> StoreFailed:
    """The StoreFailed an operator should see for what SQLite raised on this file."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    kind, advice = _ADVICE.get(code & 0xFF, (StoreFailed, "unexpected; please report it"))
    return kind(f"database {path}: {advice} (SQLite: {error})")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into a StoreFailed."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


def another(failure: StoreFailed) -> StoreFailed:
    """A copy to raise: one exception raised in many tasks would collect all their tracebacks."""
    copy = type(failure)(*failure.args)
    copy.__cause__ = failure.__cause__
    return copy
