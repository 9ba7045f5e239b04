"""The data folder: everything a server keeps, owned by one process at a time.

with DataFolder.open(Path("hwangso-data")) as folder:
    ...  # no other process has it

lock         held (flock) while the folder is open; holds the pid of its owner
server.key   the server's static key, see `keys`
server.pub   its public half, for clients
ticket.keys  the keys that seal resume tickets, see `keys`
messages.db  users, devices and inboxes, see `store`
admin.sock   the admin socket while a server runs, see `admin`
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

FOLDER_MODE: Final = 0o700

SOCKET_PATH_MAX_BYTES: Final = 103
"""Length of a Unix socket's path: 108 bytes on Linux, 104 on macOS, each with a closing zero. The
lower limit holds everywhere, so that a folder can move; the path counts as it was given, so a
relative one is short."""

PID_MAX_BYTES: Final = 20


class DataFolderError(Exception):
    """The folder or a file in it cannot be used. The text is one line that says what to do."""


class DataFolderInUse(DataFolderError):
    """Another process has the folder open: a server, or a command that works on its accounts."""


class DataFolder:
    """An open data folder. Use `DataFolder.open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"
        self.server_key = path / "server.key"
        self.server_pub = path / "server.pub"
        self.ticket_keys = path / "ticket.keys"
        self.database = path / "messages.db"
        self.admin_socket = path / "admin.sock"

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Make the folder if it is missing (but not its parents) and own it until the end.

        Raises DataFolderInUse with the owner's pid, and DataFolderError when the path is too long
        for the admin socket, not a folder, out of reach, or writable by other users.
        """
        folder = cls(path)
        _check_socket_path(folder.admin_socket)
        try:
            with suppress(FileExistsError):
                path.mkdir(FOLDER_MODE)
                sync_folder(path.parent)
            _check_mode(path)
            lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise explained(error, path) from None
        try:
            _take_lock(lock, path)
            yield folder
        finally:
            os.close(lock)


def _check_socket_path(path: Path) -> None:
    excess = len(os.fsencode(path)) - SOCKET_PATH_MAX_BYTES
    if excess > 0:
        raise DataFolderError(
            f"data folder {path.parent}: the path is {excess} bytes too long for the admin socket "
            "in it; use a shorter one, or one relative to the working folder"
        )


def _check_mode(path: Path) -> None:
    """Who can write to a folder can put other keys into it."""
    if path.is_dir() and path.stat().st_mode & 0o022:
        raise DataFolderError(
            f"data folder {path}: other users can write to it; run: chmod 700 {path}"
        )


def _take_lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, PID_MAX_BYTES, 0).decode(errors="replace").strip()
        raise DataFolderInUse(
            f"data folder {path}: in use by process {owner or '(just starting)'}; "
            "stop that one or name another data folder"
        ) from None
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        raise explained(error, path) from None


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Put `content` under `path` whole or not at all, whatever happens meanwhile, and on disk.

    The file never exists with more rights than `mode`. Raises DataFolderError. Only the owner of
    the folder may call this: a half-written file of a crash is cleared away.
    """
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise explained(error, path) from None


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: fsync(2) of a file alone does not."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def explained(error: OSError, path: Path) -> DataFolderError:
    """What an operator should read for an error of the operating system."""
    return DataFolderError(f"{path}: {error.strerror or error}")
