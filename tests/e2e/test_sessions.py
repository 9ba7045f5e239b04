"""Who may be online, and who no longer: takeover, revoking, disabling."""

from pathlib import Path

import pytest
from tests.e2e.phones import Diary, forget_ticket, phone, saved, within
from tests.e2e.servers import Server, running_server
from tests.e2e.strangers import enrol_with, raw_client

from hwangso_client.config import LinkState
from hwangso_client.device import Device
from hwangso_client.errors import DeviceStopped, SendRefused
from hwangso_client.events import SessionEnd
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.events import Refused
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ErrorCode


async def stopped_with(device: Device) -> ErrorCode:
    """Wait until the device has stopped for good, and say why."""
    assert await device.wait_state(LinkState.STOPPED) is LinkState.STOPPED
    with pytest.raises(DeviceStopped) as stopped:
        await device.open_app()
    return stopped.value.code


@within(20)
async def test_takeover(server: Server) -> None:
    """Two phones with the same key, as after a restored backup: the newer has the session, the
    older stays off until its user opens the app, and then it is the other way round."""
    profile, diary = MemoryProfile(), Diary()
    async with phone(server, "alice", profile=profile, observer=diary) as old:
        copy = MemoryProfile(saved(profile))
        async with phone(server, "alice", profile=copy) as new:
            await old.wait_state(LinkState.OFF)
            assert [(ended.end, ended.detail) for ended in diary.ended] == [
                (SessionEnd.BYE, "replaced")
            ]
            await new.send("alice", "hi")
            assert (await new.next_message()).body == "hi"
            assert await server.count("now.sessions") == 1

            await old.open_app()
            await new.wait_state(LinkState.OFF)
            assert (await old.next_message()).body == "hi"
            assert await server.count("now.sessions") == 1
    assert await server.count("ended.replaced") == 2


@within(20)
async def test_a_message_is_not_lost_in_a_takeover(server: Server) -> None:
    """Bob writes all the time, while two phones with alice's key displace each other."""
    original, copy = MemoryProfile(), MemoryProfile()
    bodies = [f"{number}" for number in range(20)]
    async with phone(server, "alice", profile=original):
        pass
    copy.state = original.state
    async with (
        phone(server, "bob") as bob,
        phone(server, "alice", profile=original) as old,
        phone(server, "alice", profile=copy) as new,
    ):
        for number, body in enumerate(bodies):
            bob.post("alice", body)
            await (new if number % 2 else old).open_app()
        await bob.wait_sent()
        for device in (old, new):
            await device.open_app()
            assert [(await device.next_message()).body for _ in bodies] == bodies
            assert device.inbox == ()


@within(20)
async def test_one_device_revokes_another(server: Server) -> None:
    profile = MemoryProfile()
    async with (
        phone(server, "alice") as alice,
        phone(server, "alice", name="lost", profile=profile) as lost,
    ):
        (number,) = [info.device for info in await lost.list_devices() if info.this]
        left = await alice.revoke_device(number)
        assert [info.name for info in left] == ["phone"]
        assert await stopped_with(lost) is ErrorCode.DEVICE_REVOKED
        assert await server.count("now.sessions") == 1


@pytest.mark.parametrize("kind", [Kind.RESUME, Kind.LOGIN], ids=lambda one: one.name)
@within(20)
async def test_a_revoked_device_stays_out(server: Server, kind: Kind) -> None:
    """Its ticket is refused, and its key."""
    profile = MemoryProfile()
    async with phone(server, "alice", profile=profile) as alice:
        (info,) = await alice.list_devices()
    await server.admin.revoke_device("alice", info.device)
    if kind is Kind.LOGIN:
        forget_ticket(profile)
    diary = Diary()
    with pytest.raises(DeviceStopped, match="device_revoked"):
        async with phone(server, "alice", profile=profile, observer=diary):
            pass
    assert [ended.attempt.kind for ended in diary.attempts] == [kind]
    assert await server.count("denied.device_revoked") == 1
    assert await server.count("now.sessions") == 0


@within(20)
async def test_user_disabled_while_online(server: Server) -> None:
    """All sessions of the user end, nobody else's; enabled again, the phones come back."""
    profile = MemoryProfile()
    async with (
        phone(server, "bob") as bob,
        phone(server, "alice", profile=profile) as alice,
        phone(server, "alice", name="tablet") as tablet,
    ):
        await server.admin.disable_user("alice")
        await stopped_with(alice)
        await stopped_with(tablet)
        await bob.send("bob", "still here")
        assert (await bob.next_message()).body == "still here"
        with pytest.raises(DeviceStopped, match="user_disabled"):
            async with phone(server, "alice", profile=MemoryProfile(saved(profile))):
                pass
        with pytest.raises(DeviceStopped, match="user_disabled"):
            async with phone(server, "alice", name="new"):
                pass

        await server.admin.enable_user("alice")
        async with phone(server, "alice", profile=profile) as back:
            await bob.send("alice", "welcome back")
            assert (await back.next_message()).body == "welcome back"


@within(20)
async def test_foreground_and_background_on_a_live_connection(server: Server) -> None:
    """Opening the app on a warm connection needs no connect."""
    diary = Diary()
    async with phone(server, "alice", observer=diary) as alice:
        await alice.leave_app()
        await alice.open_app()
    assert diary.logins == [(Kind.ENROL, Intent.FOREGROUND)]


@within(20)
async def test_a_push_wakes_a_closed_app(server: Server) -> None:
    profile, diary = MemoryProfile(), Diary()
    async with phone(server, "alice", profile=profile, observer=diary) as alice:
        await alice.kill_app()
        await server.until(lambda stats: stats["now.sessions"] == 0)
        diary.events.clear()
        alice.wake()
        await diary.until(lambda: diary.logins)
    assert diary.logins == [(Kind.RESUME, Intent.BACKGROUND)]


@within(20)
async def test_nobody_can_write_to_a_disabled_user(server: Server) -> None:
    """Also where the server has just looked the name up for another message."""
    async with phone(server, "alice"), phone(server, "bob") as bob:
        await bob.send("alice", "hi")
        await server.admin.disable_user("alice")
        with pytest.raises(SendRefused) as refused:
            await bob.send("alice", "are you there?")
        assert refused.value.code is ErrorCode.UNKNOWN_USER
        await server.admin.enable_user("alice")
        await bob.send("alice", "welcome back")


@within(20)
async def test_a_full_server_says_so(folder: Path) -> None:
    """And takes the next one as soon as somebody leaves."""
    async with running_server(folder, connections_max=1) as server:
        async with phone(server, "alice"):
            async with raw_client(server, enrol_with(server, "bob", register=True)) as client:
                refused = await client.next_event()
            assert isinstance(refused, Refused)
            assert refused.reason is RefuseReason.FULL
            assert refused.retry_after_s > 0
            assert await server.count("refused.full") == 1
        await server.until(lambda stats: stats["now.connections"] == 0)
        async with phone(server, "bob"):
            pass
