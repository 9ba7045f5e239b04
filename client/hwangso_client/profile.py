"""What a device keeps when its process ends: its key, its ticket, its place in the inbox, its mail.

`FileProfile` is a small file of two lines, mode 0600, for it holds private keys:

    hwangso-profile 1 <SHA-256 of the second line, hexadecimal>
    {"server_key": "<base64>", "device_key": "<base64>", ...}

The second line is the JSON of `ProfileState`; bytes are base64. A new state is written to a file
beside it, forced to disk, and renamed over the old one, so there is always one whole state. Saving
blocks the Trio thread for an fsync: good for a handful of phones, use `MemoryProfile` for swarms.
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from hwangso_client.errors import ProfileError
from hwangso_protocol.limits import RESUME_TICKET_MAX_BYTES
from hwangso_protocol.messages import (
    Body,
    DurationMs,
    Entry,
    Key,
    MessageId,
    Policy,
    Seq,
    TimeMs,
    UserName,
)

PROFILE_MAX_BYTES: Final = 64 * 2**20
"""More than the largest inbox and outbox at their default limits; a larger file is none of ours."""
_MAGIC: Final = b"hwangso-profile 1 "

DEFAULT_POLICY: Final = Policy(keepalive_ms=60_000, backoff_base_ms=1_000, backoff_cap_ms=60_000)
"""Until the first Welcome brings the server's own."""


class ResumeCredentials(Struct, frozen=True, gc=False):
    """From the last Welcome. `expires_at_ms` is wall-clock time, ms since 1970."""

    ticket: Annotated[bytes, Meta(min_length=1, max_length=RESUME_TICKET_MAX_BYTES)]
    psk: Key
    expires_at_ms: TimeMs


class Deferral(Struct, frozen=True, gc=False):
    """When to come back, and the proof of it. `slot_at_ms` is wall-clock time, ms since 1970;
    `wait_ms` is how far away it was, so that a clock set back cannot make the wait longer."""

    ticket: bytes
    slot_at_ms: TimeMs
    wait_ms: DurationMs


class Unsent(Struct, frozen=True, gc=False):
    """A message that the server has not acknowledged yet."""

    id: MessageId
    to: UserName
    body: Body


class ProfileState(Struct, frozen=True):
    """One consistent state of a device.

    `device_key` is private. `enrolled` tells whether the server is known to have its public half.
    `phase` is 0 to 1, drawn once: it sets this device's pings apart from those of others. `policy`
    is that of the last Welcome. `unread` are entries up to `since` that the app has not taken.
    """

    server_key: Key
    user: UserName
    device_key: Key
    phase: Annotated[float, Meta(ge=0, le=1)]
    enrolled: bool = False
    resume: ResumeCredentials | None = None
    deferral: Deferral | None = None
    policy: Policy = DEFAULT_POLICY
    since: Seq = 0
    unread: tuple[Entry, ...] = ()
    outbox: tuple[Unsent, ...] = ()


class Profile(Protocol):
    """Where a device keeps its state. One device at a time uses it."""

    def load(self) -> ProfileState | None:
        """The state last saved, None if there is none yet. Raises ProfileError."""

    def save(self, state: ProfileState) -> None:
        """Replace it, all or nothing, durable on return. Raises ProfileError: the old state then
        stands."""


class MemoryProfile:
    """Outlives its device, not its process: for swarms and virtual time."""

    __slots__ = ("state",)

    def __init__(self, state: ProfileState | None = None) -> None:
        self.state = state

    def load(self) -> ProfileState | None:
        return self.state

    def save(self, state: ProfileState) -> None:
        self.state = state


class FileProfile:
    """The format is in the module's docstring. The folder is made when the first state is saved."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> ProfileState | None:
        try:
            with self.path.open("rb") as file:
                data = file.read(PROFILE_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ProfileError(f"cannot read profile {self.path}: {error.strerror}") from None
        if not data.startswith(_MAGIC) or len(data) > PROFILE_MAX_BYTES:
            raise ProfileError(f"{self.path} is not a profile of this version of hwangso")
        checksum, _, content = data.removeprefix(_MAGIC).partition(b"\n")
        if checksum != _checksum(content):
            raise self._damaged("its checksum is wrong")
        try:
            return msgspec.json.decode(content, type=ProfileState)
        except msgspec.DecodeError as error:
            raise self._damaged(str(error)) from None

    def save(self, state: ProfileState) -> None:
        content = msgspec.json.encode(state) + b"\n"
        beside = self.path.with_name(f".{self.path.name}.new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
                file.write(_MAGIC + _checksum(content) + b"\n" + content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise ProfileError(f"cannot write profile {self.path}: {error.strerror}") from None

    def _damaged(self, why: str) -> ProfileError:
        return ProfileError(
            f"profile {self.path} is damaged ({why}); restore it, or delete it and enrol again"
        )


def _checksum(content: bytes) -> bytes:
    return sha256(content).hexdigest().encode()


def _sync_folder(folder: Path) -> None:
    """A rename is durable only when its folder is (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
