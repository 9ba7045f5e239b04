"""What an operator is told when SQLite raises."""

import sqlite3
from pathlib import Path

import pytest

from hwangso_server.store import DatabaseUnusable, DiskFull, StoreFailed
from hwangso_server.store.failures import another, explain, explained

PATH = Path("data") / "hwangso.db"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, DiskFull),
        (sqlite3.SQLITE_IOERR, DatabaseUnusable),
        (sqlite3.SQLITE_IOERR_FSYNC, DatabaseUnusable),
        (sqlite3.SQLITE_READONLY_DBMOVED, DatabaseUnusable),
        (sqlite3.SQLITE_MISUSE, StoreFailed),
    ],
)
def test_each_result_code_is_explained_in_one_line(code: int, kind: type[StoreFailed]) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    failure = explain(error, PATH)
    assert type(failure) is kind
    assert str(failure).startswith(f"database {PATH}: ")
    assert str(failure).endswith("(SQLite: what SQLite says)")
    assert "\n" not in str(failure)


def test_the_module_itself_raises_without_a_code() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(StoreFailed, match="Cannot operate on a closed database"), explained(PATH):
        connection.execute("SELECT 1")


def test_another_failure_says_the_same() -> None:
    failure = DiskFull("no space")
    failure.__cause__ = OSError()
    copy = another(failure)
    assert copy is not failure
    assert (type(copy), copy.args, copy.__cause__) == (DiskFull, failure.args, failure.__cause__)
