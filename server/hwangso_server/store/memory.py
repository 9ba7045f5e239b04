"""The store that forgets: for virtual time and for tests. Says exactly what the SQLite one says.

It is written the plain way and shares only `Cursors` with the SQLite store, so that comparing the
two (tests/server/store/conformance) means something. There are no threads and no waiting: appends
are "committed" and answered together at Trio's next turn.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NoReturn

import msgspec
import trio

from hwangso_server.store.checks import check_key, check_limit, check_message, check_text
from hwangso_server.store.cursors import Cursors
from hwangso_server.store.failures import another
from hwangso_server.store.interface import (
    APPEND_QUEUE_BYTES,
    APPEND_QUEUE_LIMIT,
    Appended,
    AppendResult,
    Counters,
    Device,
    Entry,
    KeyInUse,
    NewMessage,
    OnDone,
    Page,
    Pruned,
    Revocations,
    Store,
    StoreBusy,
    StoreClosed,
    StoreFailed,
    TooManyDevices,
    UnknownUser,
    User,
    UserExists,
    UserSummary,
)


@asynccontextmanager
async def open_memory(
    *, on_batch_end: Callable[[], None] | None = None
) -> AsyncIterator["MemoryStore"]:
    """An empty store. `on_batch_end` is called after each batch of `on_done`."""
    store = MemoryStore(on_batch_end)
    await trio.lowlevel.checkpoint()
    try:
        yield store
    finally:
        store.close()


class _Account(msgspec.Struct):
    user: User
    devices: list[int] = []
    entries: list[Entry] = []
    head: int = 0
    stored: dict[tuple[int, bytes], Entry] = {}
    """The entries by sender and message id."""


class MemoryStore(Store):
    """See `Store`. Made by `open_memory`."""

    def __init__(self, on_batch_end: Callable[[], None] | None) -> None:
        self._on_batch_end: Final = on_batch_end
        self._accounts: Final[dict[int, _Account]] = {}
        self._user_ids: Final[dict[str, int]] = {}
        self._devices: Final[dict[int, Device]] = {}
        self._device_ids: Final[dict[bytes, int]] = {}
        self._cursors: Final = Cursors()
        self._waiting: list[tuple[NewMessage, OnDone]] = []
        self._waiting_bytes = 0
        self._prune_after = 0
        self._failure: StoreFailed | None = None
        self._failed: Final = trio.Event()
        self._closing = False
        self._counters = Counters()
        self._token: Final = trio.lowlevel.current_trio_token()

    # Users

    async def create_user(self, name: str, password_hash: str, at_ms: int) -> User:
        check_text(name, password_hash)
        await self._turn()
        if name in self._user_ids:
            raise UserExists(f"there is a user {name!r} already")
        user = User(len(self._accounts) + 1, name, password_hash, at_ms)
        self._accounts[user.id] = _Account(user)
        self._user_ids[name] = user.id
        return user

    async def find_user(self, name: str) -> User | None:
        check_text(name)
        await self._turn()
        user_id = self._user_ids.get(name)
        return None if user_id is None else self._accounts[user_id].user

    async def list_users(self, after: str = "", limit: int = 1000) -> Sequence[UserSummary]:
        check_text(after)
        check_limit(limit)
        await self._turn()
        names = sorted(name for name in self._user_ids if name > after)[:limit]
        accounts = [self._accounts[self._user_ids[name]] for name in names]
        return [UserSummary(a.user, len(self._unrevoked(a)), a.head) for a in accounts]

    async def set_disabled(self, name: str, at_ms: int | None) -> User:
        check_text(name)
        await self._turn()
        if name not in self._user_ids:
            raise UnknownUser(f"there is no user {name!r}")
        account = self._accounts[self._user_ids[name]]
        account.user = msgspec.structs.replace(account.user, disabled_at_ms=at_ms)
        return account.user

    # Devices

    async def add_device(
        self, user_id: int, name: str, key: bytes, at_ms: int, limit: int
    ) -> Device:
        check_key(key)
        check_text(name)
        await self._turn()
        account = self._accounts.get(user_id)
        if account is None:
            raise UnknownUser(f"there is no user with id {user_id}")
        if key in self._device_ids:
            device = self._device(self._device_ids[key])
            if device.user_id == user_id and device.revoked_at_ms is None:
                return device
            raise KeyInUse("the device's key is in use or was revoked; it must make a new one")
        unrevoked = len(self._unrevoked(account))
        if unrevoked >= limit:
            raise TooManyDevices(
                f"the user has {unrevoked} devices, {limit} are allowed; revoke one"
            )
        device = Device(len(self._devices) + 1, user_id, name, key, at_ms, None, account.head)
        self._devices[device.id] = device
        self._device_ids[key] = device.id
        account.devices.append(device.id)
        return device

    async def device_by_key(self, key: bytes) -> tuple[Device, User] | None:
        check_key(key)
        await self._turn()
        device_id = self._device_ids.get(key)
        if device_id is None:
            return None
        device = self._device(device_id)
        return device, self._accounts[device.user_id].user

    async def devices(self, user_id: int) -> Sequence[Device]:
        await self._turn()
        account = self._accounts.get(user_id)
        return [] if account is None else [self._device(id_) for id_ in account.devices]

    async def revoke_device(self, device_id: int, at_ms: int) -> None:
        await self._turn()
        device = self._devices.get(device_id)
        if device is not None and device.revoked_at_ms is None:
            self._devices[device_id] = msgspec.structs.replace(device, revoked_at_ms=at_ms)

    async def revoked_since(self, at_ms: int) -> Revocations:
        await self._turn()
        users = [account.user for account in self._accounts.values()]
        return Revocations(
            frozenset(
                d.id
                for d in self._devices.values()
                if d.revoked_at_ms is not None and d.revoked_at_ms >= at_ms
            ),
            frozenset(
                u.id for u in users if u.disabled_at_ms is not None and u.disabled_at_ms >= at_ms
            ),
        )

    # Inboxes

    async def page(self, user_id: int, since: int, limit: int, max_body_bytes: int) -> Page:
        check_limit(limit)
        await self._turn()
        account = self._accounts.get(user_id)
        if account is None:
            return Page((), 0)
        entries: list[Entry] = []
        body_bytes = 0
        for entry in account.entries:
            if entry.seq <= since:
                continue
            body_bytes += len(entry.body.encode())
            if len(entries) == limit or (entries and body_bytes > max_body_bytes):
                break
            entries.append(entry)
        return Page(tuple(entries), account.head)

    def append(self, message: NewMessage, on_done: OnDone) -> None:
        size = len(check_message(message))
        self._check_open()
        waiting = len(self._waiting)
        if waiting >= APPEND_QUEUE_LIMIT or self._waiting_bytes + size > APPEND_QUEUE_BYTES:
            self._count(refused=1)
            raise StoreBusy(f"{waiting} messages wait for the disk already")
        if not self._waiting:
            self._token.run_sync_soon(self._commit)
        self._waiting.append((message, on_done))
        self._waiting_bytes += size

    def advance_cursor(self, device_id: int, seq: int) -> None:
        if self._failure is None and not self._closing:
            self._cursors.advance(device_id, seq)

    async def flush_cursors(self) -> None:
        await self._turn()
        advanced = self._cursors.advanced()
        stored = []
        for device_id, _ in advanced:
            if device_id in self._devices:
                self._devices[device_id] = self._device(device_id)
                stored.append((device_id, self._devices[device_id].cursor))
        self._cursors.written(advanced, stored)

    async def prune(self, retained: int, limit: int, received_before_ms: int) -> Pruned:
        check_limit(limit)
        await self._turn()
        user_ids = [id_ for id_ in self._accounts if id_ > self._prune_after][:limit]
        deleted = 0
        complete = False
        for user_id in user_ids:
            deleted += self._prune_inbox(
                self._accounts[user_id], retained, limit - deleted, received_before_ms
            )
            if deleted == limit:  # perhaps this user has more
                break
            self._prune_after = user_id
        else:
            complete = len(user_ids) < limit
        if complete:
            self._prune_after = 0
        self._count(pruned=deleted)
        return Pruned(deleted, complete)

    # Health

    async def wait_failed(self) -> NoReturn:
        await self._failed.wait()
        if self._failure is None:
            raise AssertionError("the event is set after the failure")
        raise another(self._failure)

    def counters(self) -> Counters:
        return msgspec.structs.replace(self._counters, waiting=len(self._waiting))

    def fail(self, error: StoreFailed) -> None:
        """Break the store, as a disk would: for tests of what a server does then."""
        if self._failure is None:
            self._failure = error
            self._failed.set()

    def close(self) -> None:
        """The last part of `open_memory`: answer what waits."""
        self._closing = True
        self._commit()

    # Within

    async def _turn(self) -> None:
        self._check_open()
        await trio.lowlevel.checkpoint()

    def _check_open(self) -> None:
        if self._failure is not None:
            raise another(self._failure)
        if self._closing:
            raise StoreClosed("the store is closing")

    def _device(self, device_id: int) -> Device:
        device = self._devices[device_id]
        return self._cursors.current(device, self._accounts[device.user_id].head)

    def _unrevoked(self, account: _Account) -> list[int]:
        return [id_ for id_ in account.devices if self._devices[id_].revoked_at_ms is None]

    def _prune_inbox(
        self, account: _Account, retained: int, limit: int, received_before_ms: int
    ) -> int:
        if not account.entries:  # nearly everybody, once a second of virtual time
            return 0
        cursors = [self._devices[id_].cursor for id_ in self._unrevoked(account)]
        received = min(cursors, default=account.head)
        gone = 0
        for entry in account.entries[:limit]:
            surplus = entry.seq <= account.head - retained
            if not surplus and (entry.seq > received or entry.at_ms >= received_before_ms):
                break
            del account.stored[entry.sender_id, entry.message_id]
            gone += 1
        del account.entries[:gone]
        return gone

    def _commit(self) -> None:
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        appended = self._counters.appended
        results = [self._failure or self._store(message) for message, _ in batch]
        if self._counters.appended > appended:
            self._count(commits=1)
        for (_, on_done), result in zip(batch, results, strict=True):
            on_done(result)
        if batch and self._on_batch_end is not None:
            self._on_batch_end()

    def _store(self, message: NewMessage) -> AppendResult:
        sender = self._accounts.get(message.sender_id)
        recipient = self._accounts.get(message.recipient_id)
        if sender is None or recipient is None:
            unknown = message.recipient_id if recipient is None else message.sender_id
            return UnknownUser(f"there is no user with id {unknown}")
        once = (message.sender_id, message.message_id)
        to_self = sender is recipient
        own = None if to_self else sender.stored.get(once)
        if once in recipient.stored:
            self._count(duplicates=1)
            first = recipient.stored[once]
            return Appended(message, first.seq, None if own is None else own.seq, first.at_ms, True)
        entry = Entry(
            0,
            message.message_id,
            message.sender_id,
            message.recipient_id,
            sender.user.name,
            recipient.user.name,
            message.body,
            message.at_ms,
        )
        seq = self._add(recipient, entry)
        own_seq = None
        others = [id_ for id_ in self._unrevoked(sender) if id_ != message.sender_device_id]
        if others and not to_self:
            own_seq = self._add(sender, entry) if own is None else own.seq
        self._count(appended=1)
        return Appended(message, seq, own_seq, message.at_ms, False)

    def _add(self, account: _Account, entry: Entry) -> int:
        account.head += 1
        entry = msgspec.structs.replace(entry, seq=account.head)
        account.entries.append(entry)
        account.stored[entry.sender_id, entry.message_id] = entry
        return account.head

    def _count(
        self,
        *,
        appended: int = 0,
        duplicates: int = 0,
        commits: int = 0,
        refused: int = 0,
        pruned: int = 0,
    ) -> None:
        now = self._counters
        self._counters = Counters(
            now.appended + appended,
            now.duplicates + duplicates,
            now.commits + commits,
            now.refused + refused,
            now.pruned + pruned,
        )
