"""Tickets come and go; a phone that cannot resume logs in by itself."""

from pathlib import Path

from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import Server, running_server

from hwangso_client.events import Outcome
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.folder import DataFolder


@within(30)
async def test_restart_with_a_changed_ticket_key(folder: Path) -> None:
    """The app stays on the screen: the phone is refused once, and logs in as FOREGROUND."""
    diary = Diary()
    async with running_server(folder) as first, phone(first, "alice", observer=diary) as alice:
        await first.stop()
        DataFolder(folder).ticket_keys.unlink()
        diary.events.clear()
        async with running_server(folder, network=first.network) as second:
            await diary.until(lambda: diary.logins)
            await alice.send("alice", "back again")
            assert (await alice.next_message()).body == "back again"
            assert await second.count("refused.ticket_invalid") == 1
            assert await second.count("session.login.FG") == 1
    refused, welcomed = [
        ended for ended in diary.attempts if ended.outcome is not Outcome.CONNECT_FAILED
    ]
    assert (refused.attempt.kind, refused.outcome) == (Kind.RESUME, Outcome.REFUSED)
    assert (welcomed.attempt.kind, welcomed.attempt.intent) == (Kind.LOGIN, Intent.FOREGROUND)


@within(30)
async def test_a_user_who_waits_need_not_wait_for_that(folder: Path) -> None:
    profile, diary = MemoryProfile(), Diary()
    async with running_server(folder) as first, phone(first, "alice", profile=profile):
        pass
    DataFolder(folder).ticket_keys.unlink()
    async with (
        running_server(folder) as second,
        phone(second, "alice", profile=profile, observer=diary),
    ):
        pass
    assert diary.logins == [(Kind.LOGIN, Intent.FOREGROUND)]
    assert [ended.outcome for ended in diary.attempts] == [Outcome.REFUSED, Outcome.WELCOMED]


@within(30)
async def test_rotation_keeps_the_tickets_that_are_about(server: Server) -> None:
    """Twice: the ticket of before, and the one sealed with the new key."""
    profile, diary = MemoryProfile(), Diary()
    async with phone(server, "alice", profile=profile):
        await server.admin.rotate_ticket_key()
    for _ in range(2):
        async with phone(server, "alice", profile=profile, observer=diary):
            pass
    assert diary.logins == [(Kind.RESUME, Intent.FOREGROUND)] * 2


@within(30)
async def test_rotation_survives_a_restart(folder: Path) -> None:
    profile, diary = MemoryProfile(), Diary()
    async with running_server(folder) as first, phone(first, "alice", profile=profile):
        await first.admin.rotate_ticket_key()
    async with (
        running_server(folder) as second,
        phone(second, "alice", profile=profile, observer=diary),
    ):
        pass
    assert diary.logins == [(Kind.RESUME, Intent.FOREGROUND)]
