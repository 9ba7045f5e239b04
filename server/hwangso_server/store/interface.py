"""What the server asks of a store: users, devices, inboxes. Types, errors, limits and the protocol.

A store belongs to one Trio program and is used on the Trio thread only. Open one with `open_sqlite`
(durable) or `open_memory` (virtual time, tests); both pass the suite in
tests/server/store/conformance.

- A *user* is an account, a *device* an enrolled phone of a user. Neither is ever deleted: a user is
  disabled, a device revoked, so an id means the same thing for ever.
- Each user has an *inbox*: entries numbered by `seq`, 1, 2, 3 and so on without a gap. The *head*
  is the last seq given out (0: none yet); pruning old entries never changes it.
- Each device has a *cursor*: the seq up to which it has received its user's inbox.
- Times are integer milliseconds since the Unix epoch and always come from the caller.

Coroutines raise `StoreBusy` when too many callers wait, `StoreFailed` once the store is broken and
`StoreClosed` once it is closing; text with lone surrogates, which has no UTF-8, is a ValueError.
Cancelling a caller that waits drops its answer, not necessarily its work: a cancelled `create_user`
may or may not have created the user.
"""

from collections.abc import Callable, Sequence
from typing import Final, NoReturn, Protocol, TypeAlias

import msgspec

APPEND_QUEUE_LIMIT: Final = 20_000
"""Appends that may wait for their commit: two seconds of the load one server core is built for.
Beyond it `append` raises `StoreBusy`, so that a slow disk shows as refusals, not as memory."""

APPEND_QUEUE_BYTES: Final = 64 * 2**20
"""UTF-8 bytes of body that may wait for their commit, with the same answer beyond it."""

CALL_QUEUE_LIMIT: Final = 10_000
"""Callers that may wait for one database thread. Beyond it a call raises `StoreBusy`."""

KEY_BYTES: Final = 32
"""A device's static public key (X25519)."""

MESSAGE_ID_BYTES: Final = 16
"""A message id, made by the sending client."""


class StoreError(Exception):
    """What every error of a store derives from; its text is one line fit for an operator."""


class UserExists(StoreError):
    """The name is taken."""


class UnknownUser(StoreError):
    """No user has this name or id."""


class KeyInUse(StoreError):
    """The key belongs to another user's device or a revoked one; the device must make a new one."""


class TooManyDevices(StoreError):
    """The user has as many unrevoked devices as allowed; one must be revoked first."""


class StoreBusy(StoreError):
    """A queue of the store is full and nothing was taken. Shed load, try again later."""


class StoreClosed(StoreError):
    """The store is closing or closed and nothing was taken."""


class StoreFailed(StoreError):
    """The store is broken for good: no append that still waited is acknowledged, stop the server.

    After a failed write or fsync the kernel may have dropped the data it could not write, so trying
    again can report success for what is not on disk ("fsyncgate",
    https://lwn.net/Articles/752063/). Only opening the database anew tells what is there.
    """


class DiskFull(StoreFailed):
    """No room left for the database or its write-ahead log."""


class DatabaseCorrupt(StoreFailed):
    """The file is a database, but damaged."""


class NotADatabase(StoreFailed):
    """The file is something else than an SQLite database of hwangso."""


class NewerSchema(StoreFailed):
    """The database was written by a newer version of hwangso."""


class DatabaseInUse(StoreFailed):
    """Another process holds a lock on the database."""


class DatabaseUnusable(StoreFailed):
    """The file cannot be opened, read or written (permissions, missing folder, I/O error)."""


class User(msgspec.Struct, frozen=True, gc=False):
    """An account. The store does not look into `password_hash`."""

    id: int
    name: str
    password_hash: str
    created_at_ms: int
    disabled_at_ms: int | None = None


class UserSummary(msgspec.Struct, frozen=True):
    """A line of a list of users."""

    user: User
    devices: int
    """Number of unrevoked devices."""
    head: int


class Device(msgspec.Struct, frozen=True, gc=False):
    """An enrolled phone. `key` is its static public key, unique among all devices."""

    id: int
    user_id: int
    name: str
    key: bytes
    created_at_ms: int
    revoked_at_ms: int | None = None
    cursor: int = 0


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A direct message on its way into the store."""

    sender_id: int
    sender_device_id: int
    recipient_id: int
    message_id: bytes
    body: str
    at_ms: int


class Appended(msgspec.Struct, frozen=True, gc=False):
    """A message that is on disk."""

    message: NewMessage
    """As it was handed in; of a duplicate this is the retry."""
    seq: int
    """In the recipient's inbox."""
    own_seq: int | None
    """In the sender's inbox, where the sender's other devices find it; None when it is not there.
    For a message to oneself it is None too: `seq` says it all."""
    at_ms: int
    """The time in the recipient's inbox."""
    duplicate: bool
    """It was there already: nothing was stored, seqs and time are those of the first time."""


AppendResult: TypeAlias = Appended | UnknownUser | StoreFailed
"""`UnknownUser`: the sender or recipient id does not exist, nothing was stored."""

OnDone: TypeAlias = Callable[[AppendResult], None]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of an inbox. Names come along because phones know names, not ids."""

    seq: int
    message_id: bytes
    sender_id: int
    recipient_id: int
    sender: str
    recipient: str
    body: str
    at_ms: int


class Page(msgspec.Struct, frozen=True):
    """Some entries of an inbox."""

    entries: Sequence[Entry]
    """Ascending by seq. The first may lie well above `since + 1` when older entries were pruned."""
    head: int
    """The device has it all when this is the seq of the last entry, or `since` if there is none."""


class Revocations(msgspec.Struct, frozen=True):
    """Whose resume tickets to refuse."""

    device_ids: frozenset[int]
    user_ids: frozenset[int]
    """Disabled users."""


class Pruned(msgspec.Struct, frozen=True):
    """What one step of pruning did."""

    deleted: int
    """Inbox entries deleted by this step."""
    round_complete: bool
    """This step reached the last user; the next one begins again at the first. While it is False
    there may be more to prune right now."""


class Counters(msgspec.Struct, frozen=True):
    """Totals since the store was opened, and `waiting`, the appends that wait now."""

    appended: int = 0
    duplicates: int = 0
    commits: int = 0
    """Transactions that held appends; `appended / commits` is how well group commit groups."""
    refused: int = 0
    """Appends and calls that got `StoreBusy`."""
    pruned: int = 0
    waiting: int = 0


class Store(Protocol):
    """Get one from the `async with` of `open_sqlite` or `open_memory`."""

    # Users

    async def create_user(self, name: str, password_hash: str, at_ms: int) -> User:
        """Names are compared exactly; normalise before. Raises UserExists."""

    async def find_user(self, name: str) -> User | None: ...

    async def list_users(self, after: str = "", limit: int = 1000) -> Sequence[UserSummary]:
        """Those after the name `after`, in order of name (by code point), at most `limit` (>=
        1)."""

    async def set_disabled(self, name: str, at_ms: int | None) -> User:
        """Disable at that time, or enable again with None. Raises UnknownUser."""

    # Devices

    async def add_device(
        self, user_id: int, name: str, key: bytes, at_ms: int, limit: int
    ) -> Device:
        """Register a key. Its cursor starts at the head: history is not for new devices.

        The same key of the same user, unrevoked, is an enrolment retried after a lost answer: the
        existing device is returned unchanged, whatever the limit. Raises UnknownUser, KeyInUse, and
        TooManyDevices when the user has `limit` unrevoked devices already.
        """

    async def device_by_key(self, key: bytes) -> tuple[Device, User] | None:
        """The hot path of a login. Revoked devices and disabled users are returned too: look."""

    async def devices(self, user_id: int) -> Sequence[Device]:
        """All devices of a user, revoked ones too, oldest first; empty for an unknown user."""

    async def revoke_device(self, device_id: int, at_ms: int) -> None:
        """Revoking one twice keeps the first time; an unknown id is ignored."""

    async def revoked_since(self, at_ms: int) -> Revocations:
        """Devices revoked and users disabled at that time or later: whose tickets to refuse."""

    # Inboxes

    async def page(self, user_id: int, since: int, limit: int, max_body_bytes: int) -> Page:
        """Entries with seq > since: at most `limit` (>= 1) and `max_body_bytes` of UTF-8 body.

        One entry comes always if there is any, however long its body. An unknown user has an empty
        inbox.
        """

    def append(self, message: NewMessage, on_done: OnDone) -> None:
        """Append to the recipient's inbox, and to the sender's own if the sender has other devices.

        Returns at once. Raises StoreBusy when APPEND_QUEUE_LIMIT or APPEND_QUEUE_BYTES wait,
        StoreFailed once broken, StoreClosed once closing, and ValueError for a message id of the
        wrong length or a body that is not Unicode text (a lone surrogate): then nothing was taken
        and `on_done` is never called. Otherwise it is called exactly once, on the Trio thread,
        never from within `append`, in the order of the appends, and with `Appended` only after the
        message is durable. A whole committed batch is answered in one go, then `on_batch_end`
        (given on opening) is called once. Both must not raise or block: as with Trio's
        `run_sync_soon`, an exception there ends the program.

        An entry is unique by inbox, sender and message id, until it is pruned: a retry of a message
        that is still in the recipient's inbox stores nothing and is answered as a duplicate, a
        later one is a new message. How long that is at least is for the caller of `prune` to say.
        Clients must not use a message id twice: a second message with it, to another recipient,
        reaches the recipient but not the sender's own inbox.
        """

    def advance_cursor(self, device_id: int, seq: int) -> None:
        """The device has received up to `seq`. Never moves back, nor beyond the head when written.

        Visible at once, durable with the next `flush_cursors`: a crash loses the newest advances,
        and the device then gets those entries again. Unknown devices are ignored. Once the store
        has failed or closes, nothing happens.
        """

    async def flush_cursors(self) -> None:
        """Make all advances durable. Housekeeping calls it each second; closing does, too."""

    async def prune(self, retained: int, limit: int, received_before_ms: int) -> Pruned:
        """One bounded step of deleting what all devices have received, or what is too much.

        Of each inbox goes, whatever its age, all but the newest `retained`; and behind that, what
        all unrevoked devices have received (any entry if there is none) with an `at_ms` before
        `received_before_ms`, up to the first entry that is younger or not received. So a send tried
        again after that time finds its first copy, unless `retained` newer ones have come since.
        After the clock was set back, an entry from the future holds up those behind it until its
        time has come; `retained` bounds that, too.

        A step looks at no more than `limit` (>= 1) users, deletes no more than `limit` entries, and
        reads at most one entry of each user that it does not delete. Only flushed cursors count.
        """

    # Health

    async def wait_failed(self) -> NoReturn:
        """Wait until the store breaks, then raise the StoreFailed that says why.

        Run it in the server's nursery.
        """

    def counters(self) -> Counters: ...
