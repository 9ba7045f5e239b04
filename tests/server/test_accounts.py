from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hwangso_server import accounts as accounts_module
from hwangso_server.accounts import (
    Accounts,
    AdministrationError,
    DeviceListing,
    ListedDevice,
    ListedUser,
    UserListing,
)
from hwangso_server.limits import DEVICES_LISTED_MAX
from hwangso_server.passwords import Passwords, run_inline
from hwangso_server.store import Store, UserExists, open_memory


class Setting:
    """Accounts on a memory store, with a clock that the test sets."""

    def __init__(self, store: Store) -> None:
        self.now_ms = 1_000
        self.store = store
        self.passwords = Passwords(memory_kib=8, iterations=1, at_once=1, run_sync=run_inline)
        self.accounts = Accounts(store, self.passwords, lambda: self.now_ms)

    async def add_device(self, user_id: int, number: int) -> int:
        device = await self.store.add_device(
            user_id, f"phone {number}", number.to_bytes(32, "big"), self.now_ms, limit=1_000
        )
        return device.id


@asynccontextmanager
async def setting() -> AsyncIterator[Setting]:
    async with open_memory() as store:
        yield Setting(store)


async def test_an_added_user_can_be_verified() -> None:
    async with setting() as s:
        user = await s.accounts.add_user("alice", "secret")
        assert (user.name, user.created_at_ms, user.disabled_at_ms) == ("alice", 1_000, None)
        found = await s.store.find_user("alice")
        assert found == user
        assert await s.passwords.verify("secret", user.password_hash)
        assert not await s.passwords.verify("Secret", user.password_hash)


async def test_a_name_is_given_once() -> None:
    async with setting() as s:
        await s.accounts.add_user("alice", "secret")
        with pytest.raises(UserExists, match=r"^user 'alice' exists already$"):
            await s.accounts.add_user("alice", "other")


@pytest.mark.parametrize("name", ["", "Alice", "-a", "a b", "a" * 33, "황소", "a\n", "a\ud800"])
async def test_names_that_are_not_allowed(name: str) -> None:
    async with setting() as s:
        with pytest.raises(AdministrationError, match=r"^user name .* is not allowed") as caught:
            await s.accounts.add_user(name, "secret")
        assert "\n" not in str(caught.value)
        with pytest.raises(AdministrationError, match="is not allowed"):
            await s.accounts.disable_user(name)
        assert (await s.accounts.list_users("", 10)).users == ()


@pytest.mark.parametrize("password", ["", "p" * 257, "\ud800"])
async def test_passwords_that_are_not_allowed_are_not_shown(password: str) -> None:
    async with setting() as s:
        with pytest.raises(AdministrationError) as caught:
            await s.accounts.add_user("alice", password)
        assert str(caught.value) == (
            "this password is not allowed: 1 to 256 characters of Unicode text"
        )
        assert await s.store.find_user("alice") is None


async def test_disable_and_enable() -> None:
    async with setting() as s:
        await s.accounts.add_user("alice", "secret")
        s.now_ms = 2_000
        assert (await s.accounts.disable_user("alice")).disabled_at_ms == 2_000
        assert (await s.accounts.enable_user("alice")).disabled_at_ms is None


async def test_unknown_users() -> None:
    async with setting() as s:
        for operation in (
            s.accounts.disable_user,
            s.accounts.enable_user,
            s.accounts.list_devices,
        ):
            with pytest.raises(AdministrationError, match=r"^there is no user 'bob'$"):
                await operation("bob")
        with pytest.raises(AdministrationError, match=r"^there is no user 'bob'$"):
            await s.accounts.revoke_device("bob", 1)


async def test_list_users_in_pages() -> None:
    async with setting() as s:
        for name in ("carol", "alice", "bob"):
            await s.accounts.add_user(name, "secret")
        await s.accounts.disable_user("bob")
        await s.add_device(1, 1)
        first = await s.accounts.list_users("", 2)
        assert first == UserListing(
            (ListedUser("alice", 1_000, None, 0, 0), ListedUser("bob", 1_000, 1_000, 0, 0)),
            more=True,
        )
        second = await s.accounts.list_users("bob", 2)
        assert second == UserListing((ListedUser("carol", 1_000, None, 1, 0),), more=False)


@pytest.mark.parametrize("limit", [-1, 0, 10**9])
async def test_any_limit_will_do(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "USERS_LISTED_MAX", 3)
    async with setting() as s:
        for number in range(4):
            await s.accounts.add_user(f"user{number}", "secret")
        listing = await s.accounts.list_users("", limit)
        assert len(listing.users) == (3 if limit > 0 else 1)
        assert listing.more


async def test_revoke_device() -> None:
    async with setting() as s:
        alice = await s.accounts.add_user("alice", "secret")
        bob = await s.accounts.add_user("bob", "secret")
        phone, tablet = await s.add_device(alice.id, 1), await s.add_device(alice.id, 2)
        await s.add_device(bob.id, 3)
        s.now_ms = 2_000
        revoked = await s.accounts.revoke_device("alice", phone)
        assert (revoked.id, revoked.user_id) == (phone, alice.id)
        assert await s.accounts.list_devices("alice") == DeviceListing(
            (
                ListedDevice(tablet, "phone 2", 1_000, None, 0),
                ListedDevice(phone, "phone 1", 1_000, 2_000, 0),
            ),
            omitted=0,
        )


async def test_a_device_of_somebody_else_is_not_revoked() -> None:
    async with setting() as s:
        await s.accounts.add_user("alice", "secret")
        bob = await s.accounts.add_user("bob", "secret")
        bobs = await s.add_device(bob.id, 1)
        with pytest.raises(AdministrationError, match=rf"^user 'alice' has no device {bobs}$"):
            await s.accounts.revoke_device("alice", bobs)
        assert (await s.store.devices(bob.id))[0].revoked_at_ms is None


async def test_of_too_many_devices_the_oldest_revoked_are_omitted() -> None:
    async with setting() as s:
        alice = await s.accounts.add_user("alice", "secret")
        for number in range(DEVICES_LISTED_MAX + 2):
            device = await s.add_device(alice.id, number)
            if number:
                s.now_ms += 1
                await s.accounts.revoke_device("alice", device)
        listing = await s.accounts.list_devices("alice")
        assert listing.omitted == 2
        assert len(listing.devices) == DEVICES_LISTED_MAX
        assert [device.name for device in listing.devices[:2]] == [
            "phone 0",
            f"phone {DEVICES_LISTED_MAX + 1}",
        ]
        assert listing.devices[-1].name == "phone 3"
