"""The files of a phone: the profile of its device, and beside it its chats and a lock.

alice.phone         the device: key, ticket, inbox, outbox (`hwangso_client.profile`)
alice.phone.chats   what the user has read and written, JSON
alice.phone.lock    held (flock) while a process is this phone
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.phone.chats import Chats

CHATS_MAX_BYTES: Final = 64 * 2**20
"""More than the largest chats; a larger file is none of ours."""


class ChatsFile:
    """The chats on disk: always one whole state, replaced by rename. It is not forced to disk:
    after a power failure the last messages may be missing here, and the server still has them."""

    def __init__(self, profile: Path) -> None:
        self.path = profile.with_name(f"{profile.name}.chats")

    def load(self) -> Chats:
        """The chats last saved. Raises CommandError."""
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(CHATS_MAX_BYTES), type=Chats)
        except FileNotFoundError:
            return Chats()
        except OSError as error:
            raise CommandError(f"cannot read {self.path}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise CommandError(
                f"{self.path} is damaged ({error}); delete it to go on without old messages"
            ) from None

    def save(self, chats: Chats) -> None:
        """Replace them. Raises CommandError with the code STORAGE."""
        beside = self.path.with_name(f".{self.path.name}.new")
        try:
            with os.fdopen(
                os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as f:
                f.write(msgspec.json.encode(chats))
            beside.replace(self.path)
        except OSError as error:
            line = f"cannot write {self.path}: {error.strerror}"
            raise CommandError(line, ExitCode.STORAGE) from None


@contextmanager
def locked(profile: Path) -> Iterator[None]:
    """Be the one process that is this phone: two would fight for its session and for its file.
    Makes the folder. Raises CommandError."""
    path = profile.with_name(f"{profile.name}.lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(f"profile {profile}: cannot make its lock: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"profile {profile} is in use: this phone is in another terminal already; "
                "name another --profile for a second phone of this user"
            ) from None
        yield
    finally:
        os.close(lock)
