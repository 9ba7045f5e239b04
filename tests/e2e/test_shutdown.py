"""A server that stops tells its phones; they come back by themselves to the next one."""

from pathlib import Path

import trio
from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import running_child, running_server

from hwangso_client.events import SessionEnd
from hwangso_protocol.hello import Intent, Kind


@within(30)
async def test_bye_and_back(folder: Path) -> None:
    diary = Diary()
    async with (
        running_server(folder) as first,
        phone(first, "alice", observer=diary) as alice,
        phone(first, "bob") as bob,
    ):
        await first.stop()
        await diary.until(lambda: diary.ended)
        (ended,) = diary.ended
        assert (ended.end, ended.detail) == (SessionEnd.BYE, "shutting_down")
        bob.post("alice", "written while there was no server")

        async with running_server(folder, network=first.network):
            assert (await alice.next_message()).body == "written while there was no server"
            await bob.wait_sent()
    assert diary.logins == [(Kind.ENROL, Intent.FOREGROUND), (Kind.RESUME, Intent.FOREGROUND)]


@within(30)
async def test_nothing_is_lost_while_phones_send(folder: Path) -> None:
    """Messages on their way are acknowledged or put off; each arrives once."""
    total = 200
    async with (
        running_server(folder) as first,
        phone(first, "alice") as alice,
        phone(first, "bob") as bob,
    ):
        for number in range(total):
            alice.post("bob", f"{number}")
        await bob.next_message()
        await first.stop()
        async with running_server(folder, network=first.network):
            await alice.wait_sent()
            rest = {(await bob.next_message()).body for _ in range(total - 1)}
            assert len(rest) == total - 1
            assert bob.inbox == ()


@within(30)
async def test_a_phone_that_takes_nothing_does_not_hold_up_the_end(folder: Path) -> None:
    """Half a hello, and a connection that says nothing: both are closed at once, long before the
    deadline."""
    async with running_server(folder, shutdown_deadline_s=600.0) as server:
        address = server.address
        silent = await trio.open_tcp_stream(address.host, address.foreground_port)
        half = await trio.open_tcp_stream(address.host, address.background_port)
        async with silent, half:
            await half.send_all(b"HWNG")
            await server.until(lambda stats: stats["now.connections"] >= 1)
            await server.stop()
            assert await half.receive_some() == b""


@within(60)
async def test_sigterm(folder: Path) -> None:
    """What an operator's service manager does."""
    diary = Diary()
    async with running_child(folder) as child, phone(child, "alice", observer=diary) as alice:
        await alice.send("alice", "hi")
        assert await child.process.stop() == 0
        await diary.until(lambda: diary.ended)
        assert diary.ended[0].detail == "shutting_down"
        assert not [line for line in child.process.log if "Traceback" in line]
