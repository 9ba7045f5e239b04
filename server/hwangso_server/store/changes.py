"""The rare writes, as functions for a `Change`: users, devices, cursors, pruning.

Each checks first and writes last, so one that raises has changed nothing (see `writer.Change`).
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from hwangso_server.store.interface import (
    Device,
    KeyInUse,
    Pruned,
    TooManyDevices,
    UnknownUser,
    User,
    UserExists,
)
from hwangso_server.store.queries import device_by_key, find_user, user, user_head
from hwangso_server.store.schema import HEAD
from hwangso_server.store.writer import Writer

# Of each user: what goes whatever its age, and what may go up to the first young entry. Only the
# next entry is looked at here (seqs have no gap above `pruned_to`): mostly it is too young.
_PRUNABLE: Final = f"""
SELECT json_group_array(json_array(owner, pruned_to, surplus, iif(
    (SELECT at_ms FROM inbox WHERE user_id = owner AND seq = surplus + 1) < ?4,
    max(surplus, received), surplus)))
FROM (
    SELECT owner, pruned_to, max(pruned_to, head - ?3) AS surplus, coalesce(
        (SELECT min(cursor) FROM devices WHERE user_id = owner AND revoked_at_ms IS NULL), head
    ) AS received
    FROM (
        SELECT users.id AS owner, users.pruned_to, {HEAD} AS head
        FROM users WHERE users.id > ?1 ORDER BY users.id LIMIT ?2
    )
)
"""

_PRUNE: Final = """
DELETE FROM inbox WHERE user_id = ?1 AND seq <= coalesce((
    SELECT seq - 1 FROM inbox WHERE user_id = ?1 AND seq > ?2 AND seq <= ?3 AND at_ms >= ?4
    ORDER BY seq LIMIT 1), ?3)
"""

_ADVANCE: Final = f"""
UPDATE devices SET cursor = max(devices.cursor, min(json_extract(advance.value, '$[1]'),
    (SELECT {HEAD} FROM users WHERE users.id = devices.user_id)))
FROM json_each(?) AS advance WHERE devices.id = json_extract(advance.value, '$[0]')
"""

_CURSORS: Final = """
SELECT json_group_array(json_array(devices.id, devices.cursor))
FROM json_each(?) AS advance JOIN devices ON devices.id = json_extract(advance.value, '$[0]')
"""

_cursors: Final = msgspec.json.Decoder(list[tuple[int, int]])
_prunable: Final = msgspec.json.Decoder(list[tuple[int, int, int, int]])


def create_user(writer: Writer, name: str, password_hash: str, at_ms: int) -> User:
    """See `Store.create_user`; the other changes carry their names from there, too."""
    if find_user(writer.connection, name) is not None:
        raise UserExists(f"there is a user {name!r} already")
    cursor = writer.connection.execute(
        "INSERT INTO users (name, password_hash, created_at_ms) VALUES (?, ?, ?)",
        (name, password_hash, at_ms),
    )
    return User(_new_id(cursor), name, password_hash, at_ms)


def set_disabled(writer: Writer, name: str, at_ms: int | None) -> User:
    """Also enables again, with None."""
    found = find_user(writer.connection, name)
    if found is None:
        raise UnknownUser(f"there is no user {name!r}")
    writer.connection.execute("UPDATE users SET disabled_at_ms = ? WHERE id = ?", (at_ms, found.id))
    return msgspec.structs.replace(found, disabled_at_ms=at_ms)


def add_device(
    writer: Writer, user_id: int, name: str, key: bytes, at_ms: int, limit: int
) -> tuple[Device, int]:
    """The device, and the head of its user's inbox."""
    connection = writer.connection
    if user(connection, user_id) is None:
        raise UnknownUser(f"there is no user with id {user_id}")
    device = device_by_key(connection, key)
    if device is not None:
        if device.user_id == user_id and device.revoked_at_ms is None:
            return device, user_head(connection, user_id)
        raise KeyInUse("the device's key is in use or was revoked; it must make a new one")
    (unrevoked,) = connection.execute(
        "SELECT count(*) FROM devices WHERE user_id = ? AND revoked_at_ms IS NULL", (user_id,)
    ).fetchone()
    if unrevoked >= limit:
        raise TooManyDevices(f"the user has {unrevoked} devices, {limit} are allowed; revoke one")
    head = user_head(connection, user_id)
    writer.forget(user_id)
    cursor = connection.execute(
        "INSERT INTO devices (user_id, name, key, created_at_ms, cursor) VALUES (?, ?, ?, ?, ?)",
        (user_id, name, key, at_ms, head),
    )
    return Device(_new_id(cursor), user_id, name, key, at_ms, None, head), head


def revoke_device(writer: Writer, device_id: int, at_ms: int) -> None:
    """The first time stays."""
    row = writer.connection.execute(
        "SELECT user_id FROM devices WHERE id = ? AND revoked_at_ms IS NULL", (device_id,)
    ).fetchone()
    if row is None:
        return
    writer.forget(row[0])
    writer.connection.execute(
        "UPDATE devices SET revoked_at_ms = ? WHERE id = ?", (at_ms, device_id)
    )


def advance_cursors(
    writer: Writer, advances: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, int]]:
    """From device ids and seqs, each device at most once, to device ids and the cursors stored."""
    wanted = msgspec.json.encode(advances).decode()
    writer.connection.execute(_ADVANCE, (wanted,))
    (text,) = writer.connection.execute(_CURSORS, (wanted,)).fetchone()
    return _cursors.decode(text)


def prune(
    writer: Writer, after_user_id: int, retained: int, limit: int, received_before_ms: int
) -> tuple[Pruned, int]:
    """One step over the users after this id; also says after which user the next step begins."""
    connection = writer.connection
    (text,) = connection.execute(
        _PRUNABLE, (after_user_id, limit, retained, received_before_ms)
    ).fetchone()
    users = sorted(_prunable.decode(text))
    deleted = 0
    for user_id, pruned_to, surplus, received in users:
        if received > pruned_to:
            most = pruned_to + limit - deleted
            gone = connection.execute(
                _PRUNE, (user_id, min(surplus, most), min(received, most), received_before_ms)
            ).rowcount
            connection.execute(
                "UPDATE users SET pruned_to = ? WHERE id = ?", (pruned_to + gone, user_id)
            )
            deleted += gone
            if deleted == limit:  # perhaps this user has more
                return Pruned(deleted, False), after_user_id
        after_user_id = user_id
    complete = len(users) < limit
    return Pruned(deleted, complete), 0 if complete else after_user_id


def _new_id(cursor: sqlite3.Cursor) -> int:
    if cursor.lastrowid is None:
        raise AssertionError("an INSERT has a row id")
    return cursor.lastrowid
