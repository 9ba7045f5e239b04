"""A user's own devices: the list, and revoking one."""

import pytest
from tests.server.harness import EPOCH_MS, running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Kind
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    DeviceInfo,
    DeviceList,
    Error,
    ErrorCode,
    ListDevices,
    RevokeDevice,
)
from hwangso_server.store import StoreBusy, StoreFailed


async def test_list(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        phone, tablet = await server.enrol("alice"), await server.enrol("alice")
        await server.enrol("bob")
        tablet.say(Bye())
        phone.say(ListDevices())
        await server.settle()
        assert phone.take(DeviceList).devices == (
            DeviceInfo(1, "phone 1", EPOCH_MS, online=True, this=True),
            DeviceInfo(2, "phone 2", EPOCH_MS, online=False, this=False),
        )


async def test_revoking_another_device(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone, tablet = await server.enrol("alice"), await server.enrol("alice")
        phone.say(RevokeDevice(tablet.identity.device))
        await server.settle()
        assert [device.name for device in phone.take(DeviceList).devices] == ["phone 1"]
        assert tablet.goodbye is ByeReason.REVOKED
        assert not tablet.transport.is_open
        assert server.count("ended.revoked") == 1
        for kind in (Kind.LOGIN, Kind.RESUME):
            late = server.connect(kind, tablet.identity)
            await server.settle()
            assert late.denial.code is ErrorCode.DEVICE_REVOKED
        phone.say(ListDevices())
        await server.settle()
        assert len(phone.take(DeviceList).devices) == 1


async def test_revoking_a_device_that_is_away(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone, tablet = await server.enrol("alice"), await server.enrol("alice")
        tablet.lose()
        phone.say(RevokeDevice(tablet.identity.device))
        await server.settle()
        late = server.connect(Kind.RESUME, tablet.identity)
        await server.settle()
        assert late.denial.code is ErrorCode.DEVICE_REVOKED


async def test_revoking_oneself(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.say(RevokeDevice(phone.identity.device))
        await server.settle()
        assert phone.goodbye is ByeReason.REVOKED
        assert phone.messages == []


@pytest.mark.parametrize("whose", ["bob", "nobody", "revoked"])
async def test_only_ones_own_devices(autojump_clock: MockClock, whose: str) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice, bob = await server.enrol("alice"), await server.enrol("bob")
        device = bob.identity.device
        if whose == "nobody":
            device = 99
        elif whose == "revoked":
            device = (await server.enrol("alice")).identity.device
            await server.store.revoke_device(device, 1)
        alice.say(RevokeDevice(device))
        await server.settle()
        assert alice.take(Error).code is ErrorCode.DEVICE_UNKNOWN
        assert bob.is_live
        await server.resume(bob.identity)


@pytest.mark.parametrize("method", ["devices", "revoke_device"])
@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreBusy("busy"), ErrorCode.BUSY), (StoreFailed("broken"), ErrorCode.UNAVAILABLE)],
)
async def test_a_store_in_trouble_revokes_nothing(
    autojump_clock: MockClock, method: str, error: StoreBusy | StoreFailed, code: ErrorCode
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone, tablet = await server.enrol("alice"), await server.enrol("alice")
        server.trouble(method, error)
        phone.say(RevokeDevice(tablet.identity.device))
        await server.settle()
        assert phone.take(Error).code is code
        assert tablet.is_live
        await server.resume(tablet.identity)
