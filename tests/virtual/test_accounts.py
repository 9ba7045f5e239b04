"""Phones that enrolled without a packet: the real server takes them for its own."""

import msgspec
import pytest
from tests.e2e.phones import Diary
from tests.virtual.lab import virtually

from hwangso_client.config import LinkState
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ErrorCode
from hwangso_server.store.interface import TooManyDevices
from hwangso_tools.virtual.accounts import Accounts
from hwangso_tools.virtual.world import virtual_world


@virtually
async def test_such_a_phone_resumes() -> None:
    async with virtual_world(seed=1) as world:
        diary = Diary()
        alice = await world.phone("alice", observer=diary)
        assert world.trace.events == 0
        await alice.open_app()
        assert diary.logins == [(Kind.RESUME, Intent.FOREGROUND)]
        assert [device.name for device in await alice.list_devices()] == ["phone"]


@virtually
async def test_its_key_is_good_for_a_login() -> None:
    async with virtual_world(seed=1) as world:
        accounts = Accounts(world.server, world.server.environment.rng)
        profile, diary = await accounts.enrolled("alice", "tablet"), Diary()
        assert profile.state is not None
        profile.state = msgspec.structs.replace(profile.state, resume=None)
        alice = await world.phone("alice", profile=profile, observer=diary)
        await alice.open_app()
        assert diary.logins == [(Kind.LOGIN, Intent.FOREGROUND)]


@virtually
async def test_several_devices_of_a_user_share_an_inbox() -> None:
    async with virtual_world(seed=1) as world:
        first, second = await world.phone("alice"), await world.phone("alice")
        for phone in (first, second):
            await phone.open_app()
        assert len(await first.list_devices()) == 2
        await first.send("alice", "to myself")
        assert (await second.next_message()).body == "to myself"


@virtually
async def test_as_many_devices_as_the_server_allows() -> None:
    async with virtual_world(seed=1, devices_per_user_max=1) as world:
        await world.phone("alice")
        with pytest.raises(TooManyDevices):
            await world.phone("alice")


@virtually
async def test_everybody_has_the_same_password() -> None:
    async with virtual_world(seed=1) as world:
        await world.phone("alice")  # makes the account
        diary = Diary()
        fresh = await world.phone("alice", enrolled=False, observer=diary)
        await fresh.open_app()
        assert diary.logins == [(Kind.ENROL, Intent.FOREGROUND)]
        assert fresh.link_state is LinkState.READY


@virtually
async def test_a_profile_that_the_server_does_not_know() -> None:
    """The negative control: a key of its own choice gets nobody in."""
    async with virtual_world(seed=1) as world:
        accounts = Accounts(world.server, world.server.environment.rng)
        known = (await accounts.enrolled("alice", "phone")).state
        assert known is not None
        forged = msgspec.structs.replace(known, device_key=bytes(32), resume=None)
        phone = await world.phone("alice", profile=MemoryProfile(forged))
        phone.wake()
        await phone.wait_state(LinkState.STOPPED)
        assert phone.last_failure == f"denied: {ErrorCode.DEVICE_UNKNOWN.value}"
