"""The rare reads, as functions of a connection: users, devices, revocations."""

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

from hwangso_server.store.interface import Device, Revocations, User, UserSummary
from hwangso_server.store.schema import HEAD

_USER: Final = "users.id, users.name, password_hash, users.created_at_ms, disabled_at_ms"
_DEVICE: Final = "id, user_id, name, key, created_at_ms, revoked_at_ms, cursor"

_UserRow: TypeAlias = tuple[int, str, str, int, int | None]
_DeviceRow: TypeAlias = tuple[int, int, str, bytes, int, int | None, int]


def find_user(connection: sqlite3.Connection, name: str) -> User | None:
    """By exact name."""
    row: _UserRow | None = connection.execute(
        f"SELECT {_USER} FROM users WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else User(*row)


def user(connection: sqlite3.Connection, user_id: int) -> User | None:
    """By id."""
    row: _UserRow | None = connection.execute(
        f"SELECT {_USER} FROM users WHERE id = ?", (user_id,)
    ).fetchone()
    return None if row is None else User(*row)


def user_head(connection: sqlite3.Connection, user_id: int) -> int:
    """Of an existing user, or 0."""
    row: tuple[int] | None = connection.execute(
        f"SELECT {HEAD} FROM users WHERE id = ?", (user_id,)
    ).fetchone()
    return 0 if row is None else row[0]


def list_users(connection: sqlite3.Connection, after: str, limit: int) -> Sequence[UserSummary]:
    """After the name `after`, in the order of SQLite's BINARY collation: by code point."""
    rows = connection.execute(
        f"""SELECT {_USER},
            (SELECT count(*) FROM devices WHERE user_id = users.id AND revoked_at_ms IS NULL),
            {HEAD}
        FROM users WHERE name > ? ORDER BY name LIMIT ?""",
        (after, limit),
    )
    return [UserSummary(User(*row[:5]), row[5], row[6]) for row in rows]


def device_by_key(connection: sqlite3.Connection, key: bytes) -> Device | None:
    """Revoked or not."""
    row: _DeviceRow | None = connection.execute(
        f"SELECT {_DEVICE} FROM devices WHERE key = ?", (key,)
    ).fetchone()
    return None if row is None else Device(*row)


def devices(connection: sqlite3.Connection, user_id: int) -> tuple[Sequence[Device], int]:
    """Oldest first, and the head of their inbox."""
    rows = connection.execute(
        f"SELECT {_DEVICE} FROM devices WHERE user_id = ? ORDER BY id", (user_id,)
    ).fetchall()
    return [Device(*row) for row in rows], user_head(connection, user_id)


def revoked_since(connection: sqlite3.Connection, at_ms: int) -> Revocations:
    """At that time or later."""
    devices = connection.execute("SELECT id FROM devices WHERE revoked_at_ms >= ?", (at_ms,))
    users = connection.execute("SELECT id FROM users WHERE disabled_at_ms >= ?", (at_ms,))
    return Revocations(frozenset(id_ for (id_,) in devices), frozenset(id_ for (id_,) in users))
