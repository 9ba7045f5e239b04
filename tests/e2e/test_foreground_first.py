"""People come in while a crowd does what crowds do: hangs up, reconnects, is put off."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import trio
from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import Server, running_server
from tests.e2e.strangers import (
    RawClient,
    connect,
    enrol_with,
    hello,
    last_words,
    live_client,
    login_with,
    raw_client,
    refusal,
    resume_with,
)

from hwangso_client.events import Outcome
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.answer import Refuse, RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Welcome
from hwangso_server.admission import Stage
from hwangso_server.config import Control

CROWD = 60
STRANGERS = 300


async def crowd_of(open_things: AsyncExitStack, server: Server) -> Sequence[RawClient]:
    """So many phones that are online."""
    clients = []
    for number in range(CROWD):
        credentials = enrol_with(server, f"crowd{number}", register=True)
        clients.append(await open_things.enter_async_context(live_client(server, credentials)))
    await server.until(lambda stats: stats["now.sessions"] == CROWD)
    return clients


@pytest.mark.parametrize("control", Control)
@within(60)
async def test_a_person_comes_in_while_many_hang_up(folder: Path, control: Control) -> None:
    """All at once: phones that were online, and strangers with half a hello. Nobody is left."""
    async with running_server(folder, control=control) as server, AsyncExitStack() as open_things:
        clients = await crowd_of(open_things, server)
        strangers = [await connect(server, Intent.BACKGROUND) for _ in range(STRANGERS)]
        for stranger in strangers:
            await stranger.send_all(b"HWN")
        await server.until(lambda stats: stats.get("accepted.BG", 0) == STRANGERS)
        async with trio.open_nursery() as nursery:
            for stream in [*strangers, *(client.stream for client in clients)]:
                nursery.start_soon(trio.aclose_forcefully, stream)
            diary = Diary()
            async with phone(server, "alice", observer=diary) as alice:
                await alice.send("alice", "I am in")
                assert (await alice.next_message()).body == "I am in"
        assert [ended.outcome for ended in diary.attempts] == [Outcome.WELCOMED]
        stats = await server.until(lambda stats: stats["now.sessions"] == 0)
        await server.until(lambda stats: stats["now.connections"] == 0)
        assert stats["ended.lost"] == CROWD


@within(60)
async def test_all_come_back_at_once_and_nobody_is_left_over(server: Server) -> None:
    """With their tickets, while the server still has their old connections to clean up."""
    diaries = [Diary() for _ in range(20)]
    async with AsyncExitStack() as open_things:
        phones = [
            await open_things.enter_async_context(phone(server, f"user{number}", observer=diary))
            for number, diary in enumerate(diaries)
        ]
        for device in phones:
            device.radio.handover()
        for diary in diaries:
            await diary.until(partial(has_logged_in_twice, diary))
        for number, device in enumerate(phones):
            await device.send(f"user{(number + 1) % 20}", "are you back?")
        for device in phones:
            assert (await device.next_message()).body == "are you back?"
        stats = await server.until(lambda stats: stats["now.connections"] == 20)
        assert stats["now.sessions"] == 20


def has_logged_in_twice(diary: Diary) -> bool:
    return len(diary.logins) == 2


@within(60)
async def test_people_and_machines_on_one_port(folder: Path) -> None:
    """No lane tells them apart, but hellos do; and a hello in pieces is nobody's problem."""
    profiles = [MemoryProfile() for _ in range(10)]
    async with running_server(folder, port=0) as server:
        for number, profile in enumerate(profiles):
            async with phone(server, f"user{number}", profile=profile):
                pass
        assert profiles[0].state is not None
        slow = await connect(server)
        said = hello(login_with(server, profiles[0].state))
        await slow.send_all(said[:50])
        diaries = [Diary() for _ in profiles]
        async with AsyncExitStack() as open_things:
            for number, (profile, diary) in enumerate(zip(profiles, diaries, strict=True)):
                device = await open_things.enter_async_context(
                    phone(server, f"user{number}", profile=profile, observer=diary)
                )
                if number % 2:
                    await device.leave_app()
                    device.radio.handover()
                    await diary.until(partial(has_logged_in_twice, diary))
            await slow.send_all(said[50:])
            assert (await slow.receive_some())[:1] == b"A"
        await slow.aclose()
        logins = [diary.logins for diary in diaries]
        assert logins[0::2] == [[(Kind.RESUME, Intent.FOREGROUND)]] * 5
        assert (
            logins[1::2]
            == [[(Kind.RESUME, Intent.FOREGROUND), (Kind.RESUME, Intent.BACKGROUND)]] * 5
        )
        assert await server.count("accepted.FG") == 0
        assert await server.count("session.resume.BG") == 5


@within(60)
async def test_in_shield_machines_wait_for_their_slots_and_people_do_not(server: Server) -> None:
    """The operator has pinned it. The phone is deferred, comes back in time, and is let in."""
    profile, diary, person = MemoryProfile(), Diary(), Diary()
    async with phone(server, "machine", profile=profile, observer=diary) as machine:
        await machine.leave_app()
        await server.admin.set_stage(Stage.SHIELD, 60)
        machine.radio.handover()
        await diary.until(lambda: len(diary.attempts) >= 2)
        assert diary.attempts[1].outcome is Outcome.DEFERRED
        async with phone(server, "person", observer=person):
            assert [ended.outcome for ended in person.attempts] == [Outcome.WELCOMED]
        await diary.until(lambda: len(diary.logins) == 2)
        assert diary.logins[1] == (Kind.RESUME, Intent.BACKGROUND)
        assert await server.count("deferred.FG") == 0
        assert await server.count("deferred.BG") == len(diary.attempts) - 2


@within(60)
async def test_opening_the_app_ends_the_wait_for_a_slot(server: Server) -> None:
    diary = Diary()
    async with phone(server, "machine", observer=diary) as machine:
        await machine.leave_app()
        await server.admin.set_stage(Stage.SHIELD, 60)
        machine.radio.handover()
        await diary.until(lambda: len(diary.attempts) >= 2)
        await machine.open_app()
        assert diary.logins[-1] == (Kind.RESUME, Intent.FOREGROUND)


@within(30)
async def test_a_session_of_an_emergency_keeps_its_longer_keepalive(server: Server) -> None:
    profile = MemoryProfile()
    async with phone(server, "alice", profile=profile):
        pass
    assert profile.state is not None
    await server.admin.set_stage(Stage.EMERGENCY, 60)
    async with raw_client(server, resume_with(profile.state)) as client:
        welcome = await client.next_message(Welcome)
        assert welcome.policy.keepalive_ms == 240_000
        assert not welcome.policy.background_sync


@within(30)
async def test_a_server_that_is_full_of_sessions_says_so(folder: Path) -> None:
    async with (
        running_server(folder, connections_max=2) as server,
        phone(server, "alice"),
        phone(server, "bob"),
    ):
        async with await connect(server, Intent.BACKGROUND) as stream:
            await stream.send_all(hello(enrol_with(server, "carol")))
            answer = refusal(await last_words(stream))
        assert isinstance(answer, Refuse)
        assert answer.reason is RefuseReason.FULL
        assert answer.retry_after_ms > 0
