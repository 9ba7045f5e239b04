"""A data folder with accounts and enrolled devices in it, made without a server.

Enrolment costs an Argon2id hash by design and is no part of any measurement here, so devices are
written straight into the store. Their users' password hashes fit no password.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_server.folder import DataFolder
from hwangso_server.keys import Keys
from hwangso_server.store import open_sqlite
from hwangso_server.store.interface import Store

AT_ONCE: Final = 500
"""Store calls under way at the same time, so that they share commits."""

NO_PASSWORD: Final = "none"
MADE_AT_MS: Final = 1_767_225_600_000
"""2026-01-01; what it is does not matter."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the store knows a device as."""

    user_id: int
    user_name: str
    device_id: int


@dataclass(frozen=True, slots=True)
class Fixture:
    """A prepared data folder. Device `n` belongs to `user_name(n)`, has `device_keys[n]` and is
    `identities[n]`."""

    folder: Path
    server_key: bytes
    device_keys: tuple[X25519PrivateKey, ...]
    identities: tuple[Identity, ...]


def user_name(number: int) -> str:
    """The user of the device with this number."""
    return f"u{number}"


async def make_fixture(folder: Path, devices: int) -> Fixture:
    """Make a data folder with `devices` users of one device each."""
    with DataFolder.open(folder) as data:
        keys = Keys.open(data, os.urandom, MADE_AT_MS)
        device_keys = tuple(
            X25519PrivateKey.from_private_bytes(os.urandom(32)) for _ in range(devices)
        )
        made: dict[int, Identity] = {}
        async with open_sqlite(data.database) as store:
            for start in range(0, devices, AT_ONCE):
                async with trio.open_nursery() as nursery:
                    for number in range(start, min(start + AT_ONCE, devices)):
                        nursery.start_soon(_add, store, number, device_keys[number], made)
        identities = tuple(made[number] for number in range(devices))
        return Fixture(folder, keys.public, device_keys, identities)


async def _add(store: Store, number: int, key: X25519PrivateKey, made: dict[int, Identity]) -> None:
    user = await store.create_user(user_name(number), NO_PASSWORD, MADE_AT_MS)
    public = key.public_key().public_bytes_raw()
    device = await store.add_device(user.id, "bench", public, MADE_AT_MS, limit=1)
    made[number] = Identity(user.id, user.name, device.id)
