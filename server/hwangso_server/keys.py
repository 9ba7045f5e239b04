"""The server's keys and their files: the static key and the keys that seal resume tickets.

    keys = Keys.open(folder, os.urandom, now_ms)
    keys.static, keys.ticket_ring

`server.key` holds the static private key (X25519) as 64 hex digits, `server.pub` its public half in
the same form: clients pin that. `ticket.keys` holds one key a line, newest first:

    <id: 8 hex digits> <made at: ms since the epoch> <secret: 64 hex digits>

Private files have mode 0600. They are made on the first start; later a file that others can read,
or that is damaged, is refused and never replaced by itself: a new static key locks every client
out, a new ticket key makes every device log in.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.noise import KEY_BYTES, RandomBytes
from hwangso_protocol.ticket import TICKET_KEY_BYTES, TicketKey, TicketRing
from hwangso_server.folder import DataFolder, DataFolderError, explained, replace_file
from hwangso_server.limits import TICKET_KEYS_MAX

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644

FILE_MAX_BYTES: Final = 4_096
"""The longest key file, `ticket.keys`, has 88 bytes a line and TICKET_KEYS_MAX lines."""

_KEY_LINE: Final = re.compile(rf"([0-9a-f]{{{2 * KEY_BYTES}}})\n")
_TICKET_KEY_LINE: Final = re.compile(
    rf"([0-9a-f]{{8}}) ([0-9]{{1,15}}) ([0-9a-f]{{{2 * TICKET_KEY_BYTES}}})\n"
)


class KeyFileError(DataFolderError):
    """A key file is damaged, missing, or open to other users. The text is one line."""


@dataclass(frozen=True, slots=True)
class DatedTicketKey:
    """A ticket key and when it became the newest."""

    key: TicketKey
    created_at_ms: int


class Keys:
    """The keys of an open data folder, in memory and on disk. Use `Keys.open`.

    Look `ticket_ring` up for each use: rotation replaces it.
    """

    def __init__(
        self,
        folder: DataFolder,
        random_bytes: RandomBytes,
        static: X25519PrivateKey,
        ticket_keys: Sequence[DatedTicketKey],
    ) -> None:
        self._folder = folder
        self._random_bytes = random_bytes
        self.static = static
        self.ticket_keys = tuple(ticket_keys)
        self.ticket_ring = _ring(ticket_keys)

    @classmethod
    def open(cls, folder: DataFolder, random_bytes: RandomBytes, now_ms: int) -> "Keys":
        """Read the keys, or make those that do not exist yet.

        Raises KeyFileError for a file that cannot be trusted, DataFolderError for a failing disk.
        """
        static = _read_static(folder)
        if static is None:
            static = _make_static(folder, random_bytes)
        elif _read(folder.server_pub) != _public_line(static):
            _write_public(folder, static)  # a crash came between the two files
        ticket_keys = _read_ticket_keys(folder)
        if ticket_keys is None:
            ticket_keys = (_new_ticket_key(random_bytes, now_ms, ()),)
            _write_ticket_keys(folder, ticket_keys)
        return cls(folder, random_bytes, static, ticket_keys)

    @property
    def public(self) -> bytes:
        """The static public key, 32 bytes."""
        return self.static.public_key().public_bytes_raw()

    def rotate_static(self) -> None:
        """Make a new static key. Every client must be told; running sessions are not affected."""
        self.static = _make_static(self._folder, self._random_bytes)

    def rotate_ticket_key(self, now_ms: int, lifetime_ms: int) -> None:
        """Seal with a new key from now on; keep each older one while tickets of it may live.

        `lifetime_ms` is the longest life of a ticket. When this raises, the keys are as before.
        """
        newest = _new_ticket_key(self._random_bytes, now_ms, self.ticket_keys)
        ticket_keys = _still_needed((newest, *self.ticket_keys), now_ms, lifetime_ms)
        _write_ticket_keys(self._folder, ticket_keys)
        self.ticket_keys = ticket_keys
        self.ticket_ring = _ring(ticket_keys)


def read_public_key(path: Path) -> bytes:
    """The 32 bytes in a `server.pub`. Needs no open folder. Raises KeyFileError."""
    content = _read(path)
    if content is None:
        raise KeyFileError(f"{path}: not found; the server makes it on its first start")
    return _parse_key(path, content)


# The static key


def _read_static(folder: DataFolder) -> X25519PrivateKey | None:
    path = folder.server_key
    content = _read(path, private=True)
    if content is not None:
        return X25519PrivateKey.from_private_bytes(_parse_key(path, content))
    if folder.server_pub.exists():
        raise KeyFileError(
            f"{path}: missing, but clients know {folder.server_pub}; restore it from a backup, or "
            "delete server.pub too and give clients the new one"
        )
    return None


def _make_static(folder: DataFolder, random_bytes: RandomBytes) -> X25519PrivateKey:
    secret = random_bytes(KEY_BYTES)
    replace_file(folder.server_key, f"{secret.hex()}\n".encode(), PRIVATE_MODE)
    static = X25519PrivateKey.from_private_bytes(secret)
    _write_public(folder, static)
    return static


def _write_public(folder: DataFolder, static: X25519PrivateKey) -> None:
    replace_file(folder.server_pub, _public_line(static).encode(), PUBLIC_MODE)


def _public_line(static: X25519PrivateKey) -> str:
    return f"{static.public_key().public_bytes_raw().hex()}\n"


def _parse_key(path: Path, content: str) -> bytes:
    match = _KEY_LINE.fullmatch(content)
    if match is None:
        raise KeyFileError(f"{path}: damaged (64 hex digits expected); restore it from a backup")
    return bytes.fromhex(match[1])


# Ticket keys


def _read_ticket_keys(folder: DataFolder) -> tuple[DatedTicketKey, ...] | None:
    path = folder.ticket_keys
    content = _read(path, private=True)
    if content is None:
        return None
    matches = [_TICKET_KEY_LINE.fullmatch(line) for line in content.splitlines(keepends=True)]
    ticket_keys = tuple(
        DatedTicketKey(TicketKey(int(match[1], 16), bytes.fromhex(match[3])), int(match[2]))
        for match in matches
        if match is not None
    )
    ids = {dated.key.id for dated in ticket_keys}
    if not 0 < len(ids) == len(matches) <= TICKET_KEYS_MAX:
        raise KeyFileError(
            f"{path}: damaged; restore it from a backup, or delete it: devices then log in anew"
        )
    return ticket_keys


def _write_ticket_keys(folder: DataFolder, ticket_keys: Sequence[DatedTicketKey]) -> None:
    lines = (
        f"{dated.key.id:08x} {dated.created_at_ms} {dated.key.secret.hex()}\n"
        for dated in ticket_keys
    )
    replace_file(folder.ticket_keys, "".join(lines).encode(), PRIVATE_MODE)


def _new_ticket_key(
    random_bytes: RandomBytes, now_ms: int, others: Sequence[DatedTicketKey]
) -> DatedTicketKey:
    taken = {dated.key.id for dated in others}
    while (key_id := int.from_bytes(random_bytes(4), "big")) in taken:
        pass  # once in 2^28 times, with as many keys as we keep
    return DatedTicketKey(TicketKey(key_id, random_bytes(TICKET_KEY_BYTES)), now_ms)


def _still_needed(
    ticket_keys: Sequence[DatedTicketKey], now_ms: int, lifetime_ms: int
) -> tuple[DatedTicketKey, ...]:
    """The newest, and each that sealed within the last `lifetime_ms`: until its successor came."""
    older = (
        dated
        for successor, dated in pairwise(ticket_keys)
        if successor.created_at_ms + lifetime_ms > now_ms
    )
    return (ticket_keys[0], *older)[:TICKET_KEYS_MAX]


def _ring(ticket_keys: Sequence[DatedTicketKey]) -> TicketRing:
    return TicketRing([dated.key for dated in ticket_keys])


# Files


def _read(path: Path, *, private: bool = False) -> str | None:
    """The text of a key file, None if there is no such file."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explained(error, path) from None
    if private and mode & 0o077:
        raise KeyFileError(f"{path}: other users have access to it; run: chmod 600 {path}")
    return content.decode("ascii", errors="replace")
