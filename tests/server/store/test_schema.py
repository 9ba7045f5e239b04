"""Opening a database: making it, migrating it, and refusing what is not ours or not whole."""

import sqlite3
from pathlib import Path

import pytest

from hwangso_server.store import (
    DatabaseCorrupt,
    DatabaseInUse,
    DatabaseUnusable,
    NewerSchema,
    NotADatabase,
    StoreFailed,
    schema,
)
from hwangso_server.store.schema import MIGRATIONS, open_reader, open_writer

OLD = ("CREATE TABLE cattle (name TEXT)", "INSERT INTO cattle VALUES ('hwangso')")
NEWER = ("ALTER TABLE cattle ADD COLUMN speed TEXT", "UPDATE cattle SET speed = 'fast'")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hwangso.db"


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(number)


def test_a_new_database_has_the_newest_version(path: Path) -> None:
    open_writer(path).close()
    assert version(path) == len(MIGRATIONS)
    open_writer(path).close()  # and opens again
    assert version(path) == len(MIGRATIONS)


def test_an_older_database_is_migrated_step_by_step(path: Path) -> None:
    open_writer(path, [OLD]).close()
    assert version(path) == 1
    connection = open_writer(path, [OLD, NEWER])
    assert connection.execute("SELECT * FROM cattle").fetchall() == [("hwangso", "fast")]
    connection.close()
    assert version(path) == 2


def test_a_migration_that_fails_leaves_the_old_version(path: Path) -> None:
    open_writer(path, [OLD]).close()
    with pytest.raises(StoreFailed, match="no such table"):
        open_writer(path, [OLD, (*NEWER, "DROP TABLE horses")])
    assert version(path) == 1
    connection = open_writer(path, [OLD])
    assert connection.execute("SELECT * FROM cattle").fetchall() == [("hwangso",)]
    connection.close()


def test_a_newer_database_is_left_alone(path: Path) -> None:
    open_writer(path, [OLD, NEWER]).close()
    before = path.read_bytes()
    with pytest.raises(NewerSchema, match=r"hwangso.db: written by a newer hwangso \(schema 2,"):
        open_writer(path, [OLD])
    assert path.read_bytes() == before


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("황소는 빠르다\n" * 1000, encoding="utf-8")
    with pytest.raises(NotADatabase, match=r"hwangso.db: it is not an SQLite database; move it"):
        open_writer(path)


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE contacts (name)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NotADatabase, match="belongs to another program"):
        open_writer(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("quick_check_bytes", [schema.QUICK_CHECK_BYTES, 0])
def test_a_truncated_file(
    path: Path, quick_check_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_writer(path).close()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 4096 * 4096])
    monkeypatch.setattr(schema, "QUICK_CHECK_BYTES", quick_check_bytes)
    with pytest.raises(DatabaseCorrupt, match=r"hwangso.db: it is damaged; restore it"):
        open_writer(path)


def test_an_index_that_misses_a_row(path: Path) -> None:
    connection = open_writer(path)
    connection.execute("INSERT INTO users VALUES (1, 'alice', 'hash', 1, NULL, 0)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema"
        " WHERE name = 'devices_of_user') WHERE name = 'inbox_once'"
    )
    connection.close()
    with pytest.raises(DatabaseCorrupt, match="damaged"):
        open_writer(path)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match=r"cannot be opened \(No such file or directory\)"):
        open_writer(tmp_path / "missing" / "hwangso.db")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match=r"cannot be opened \(Is a directory\)"):
        open_writer(tmp_path)


def test_a_database_that_another_program_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 0)
    open_writer(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseInUse, match="another process uses it; stop that one first"):
        open_writer(path)
    other.close()


def test_an_sqlite_that_is_too_old(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MINIMUM_SQLITE", (99, 0, 0))
    with pytest.raises(DatabaseUnusable, match=r"hwangso needs 99\.0\.0 or newer"):
        open_writer(path)
    assert not path.exists()


def test_the_reader_cannot_write(path: Path) -> None:
    open_writer(path).close()
    reader = open_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM users")
    reader.close()
