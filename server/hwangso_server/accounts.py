"""What an operator does with accounts, directly on a store: add, list, disable, enable, revoke.

The running server uses this behind its admin socket and then ends the sessions concerned; the
command uses it by itself when no server runs (`administration`).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from hwangso_protocol.limits import PASSWORD_MAX_CHARS, USER_NAME_MAX_CHARS
from hwangso_protocol.messages import Password, UserName
from hwangso_server.limits import DEVICES_LISTED_MAX, USERS_LISTED_MAX
from hwangso_server.passwords import Passwords
from hwangso_server.store.interface import Device, Store, User, UserExists

SHOWN_MAX_CHARS: Final = 60
"""How much of a wrong name an error repeats."""


class AdministrationError(Exception):
    """The operation was refused or did not get through. The text is one line for the operator."""


class ListedUser(msgspec.Struct, frozen=True):
    """One user of a list. `devices`: unrevoked ones. `head`: entries its inbox ever had."""

    name: str
    created_at_ms: int
    disabled_at_ms: int | None
    devices: int
    head: int


class ListedDevice(msgspec.Struct, frozen=True):
    """One device of a list. `cursor`: the seq up to which it has received the inbox."""

    id: int
    name: str
    created_at_ms: int
    revoked_at_ms: int | None
    cursor: int


class UserListing(msgspec.Struct, frozen=True, tag_field="answer", tag="users"):
    """Users in order of name; with `more`, others follow after the last one."""

    users: tuple[ListedUser, ...]
    more: bool


class DeviceListing(msgspec.Struct, frozen=True, tag_field="answer", tag="devices"):
    """Devices of one user; `omitted` is how many revoked ones are not shown."""

    devices: tuple[ListedDevice, ...]
    omitted: int


class Accounts:
    """Operations on the accounts of a store. Each may raise AdministrationError or a StoreError."""

    def __init__(self, store: Store, passwords: Passwords, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._passwords = passwords
        self._now_ms = now_ms

    async def add_user(self, name: str, password: str) -> User:
        """Make an account. Raises UserExists, and TooManyWaiting of `passwords`, besides."""
        _check_user_name(name)
        _check_password(password)
        if await self._store.find_user(name) is not None:
            raise UserExists(f"user {name!r} exists already")
        password_hash = await self._passwords.hash(password)
        return await self._store.create_user(name, password_hash, self._now_ms())

    async def list_users(self, after: str, limit: int) -> UserListing:
        """Users whose name comes after `after` (empty: all), at most USERS_LISTED_MAX."""
        limit = min(max(limit, 1), USERS_LISTED_MAX)
        found = await self._store.list_users(after, limit + 1)
        users = tuple(
            ListedUser(
                name=summary.user.name,
                created_at_ms=summary.user.created_at_ms,
                disabled_at_ms=summary.user.disabled_at_ms,
                devices=summary.devices,
                head=summary.head,
            )
            for summary in found[:limit]
        )
        return UserListing(users, more=len(found) > limit)

    async def disable_user(self, name: str) -> User:
        """Let none of the user's devices in any more. The caller ends sessions and tickets."""
        return await self._store.set_disabled((await self._user(name)).name, self._now_ms())

    async def enable_user(self, name: str) -> User:
        """Undo `disable_user`."""
        return await self._store.set_disabled((await self._user(name)).name, None)

    async def list_devices(self, user: str) -> DeviceListing:
        """The user's devices, revoked ones last."""
        devices = await self._store.devices((await self._user(user)).id)
        devices = sorted(devices, key=lambda device: -(device.revoked_at_ms or 2**63))
        listed = tuple(
            ListedDevice(
                id=device.id,
                name=device.name,
                created_at_ms=device.created_at_ms,
                revoked_at_ms=device.revoked_at_ms,
                cursor=device.cursor,
            )
            for device in devices[:DEVICES_LISTED_MAX]
        )
        return DeviceListing(listed, omitted=len(devices) - len(listed))

    async def revoke_device(self, user: str, device: int) -> Device:
        """Shut a device out for good. The caller ends its session and its tickets.

        Both are named, because a device is a bare number and a wrong digit would hit a stranger.
        """
        for found in await self._store.devices((await self._user(user)).id):
            if found.id == device:
                await self._store.revoke_device(device, self._now_ms())
                return found
        raise AdministrationError(f"user {user!r} has no device {device}")

    async def _user(self, name: str) -> User:
        _check_user_name(name)
        user = await self._store.find_user(name)
        if user is None:
            raise AdministrationError(f"there is no user {name!r}")
        return user


def _check_user_name(name: str) -> None:
    try:
        msgspec.convert(name, UserName)
    except msgspec.ValidationError:
        raise AdministrationError(
            f"user name {name!r:.{SHOWN_MAX_CHARS}} is not allowed: 1 to {USER_NAME_MAX_CHARS} of "
            "a-z, 0-9, dot, hyphen and underscore, beginning with a letter or digit"
        ) from None


def _check_password(password: str) -> None:
    try:
        msgspec.convert(password, Password)
        password.encode()
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise AdministrationError(
            f"this password is not allowed: 1 to {PASSWORD_MAX_CHARS} characters of Unicode text"
        ) from None
