"""Where users, devices and messages live: one interface, an SQLite and an in-memory implementation.

    async with open_sqlite(folder / "hwangso.db", on_batch_end=flush_sockets) as store:
        alice = await store.create_user("alice", password_hash, at_ms)
        store.append(message, on_done)

Read `interface` for what a store promises; then, for how SQLite keeps it: `sqlite` (the Trio side),
`worker` (a thread that works off batches), `writer` and `reader` (what the two threads do), `schema`
(tables, migrations, opening) and `failures` (what an operator is told).
"""

from hwangso_server.store.interface import (
    APPEND_QUEUE_BYTES,
    APPEND_QUEUE_LIMIT,
    CALL_QUEUE_LIMIT,
    KEY_BYTES,
    MESSAGE_ID_BYTES,
    Appended,
    AppendResult,
    Counters,
    DatabaseCorrupt,
    DatabaseInUse,
    DatabaseUnusable,
    Device,
    DiskFull,
    Entry,
    KeyInUse,
    NewerSchema,
    NewMessage,
    NotADatabase,
    OnDone,
    Page,
    Pruned,
    Revocations,
    Store,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFailed,
    TooManyDevices,
    UnknownUser,
    User,
    UserExists,
    UserSummary,
)
from hwangso_server.store.memory import MemoryStore, open_memory
from hwangso_server.store.sqlite import open_sqlite

__all__ = [
    "APPEND_QUEUE_BYTES",
    "APPEND_QUEUE_LIMIT",
    "CALL_QUEUE_LIMIT",
    "KEY_BYTES",
    "MESSAGE_ID_BYTES",
    "AppendResult",
    "Appended",
    "Counters",
    "DatabaseCorrupt",
    "DatabaseInUse",
    "DatabaseUnusable",
    "Device",
    "DiskFull",
    "Entry",
    "KeyInUse",
    "MemoryStore",
    "NewMessage",
    "NewerSchema",
    "NotADatabase",
    "OnDone",
    "Page",
    "Pruned",
    "Revocations",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreFailed",
    "TooManyDevices",
    "UnknownUser",
    "User",
    "UserExists",
    "UserSummary",
    "open_memory",
    "open_sqlite",
]
