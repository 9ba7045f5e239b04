"""The whole server on a system without epoll: a task for each lane and each session."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import Server, running_server
from tests.e2e.strangers import connect, enrol_with, hello, last_words, live_client, refusal

from hwangso_client.profile import MemoryProfile
from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ByeReason


@pytest.fixture
async def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """As e2e's `server`, but nothing in it can make an epoll."""
    monkeypatch.setattr("hwangso_server.run.select", SimpleNamespace())

    def none(*_: object) -> None:
        raise AssertionError("there is no epoll here")

    monkeypatch.setattr("hwangso_server.run.EpollGround", none)
    async with running_server(folder) as running:
        yield running


@within(20)
async def test_a_chat(server: Server) -> None:
    async with phone(server, "alice") as alice, phone(server, "bob") as bob:
        for number in range(20):
            await alice.send("bob", f"ping {number}")
            assert (await bob.next_message()).body == f"ping {number}"
            await bob.send("alice", f"pong {number}")
            assert (await alice.next_message()).body == f"pong {number}"


@within(20)
async def test_offline_then_sync(server: Server) -> None:
    profile, diary = MemoryProfile(), Diary()
    async with phone(server, "bob") as bob:
        async with phone(server, "alice", profile=profile):
            pass
        await bob.send("alice", "안녕")
        async with phone(server, "alice", profile=profile, observer=diary) as alice:
            assert (await alice.next_message()).body == "안녕"
            alice.radio.handover()
            await diary.until(lambda: len(diary.logins) == 2)
    assert diary.logins == [(Kind.RESUME, Intent.FOREGROUND), (Kind.RESUME, Intent.FOREGROUND)]


@pytest.mark.parametrize("lane", Intent)
@within(20)
async def test_a_hello_in_pieces_is_answered_though_nobody_else_calls(
    server: Server, lane: Intent
) -> None:
    said = hello(enrol_with(server, "alice"))
    async with await connect(server, lane) as stream:
        for byte in said[:20]:
            await stream.send_all(bytes([byte]))
        await server.until(lambda stats: stats.get(f"accepted.{lane.tag}", 0) == 1)
        await stream.send_all(said[20:])
        assert (await stream.receive_some())[:1] == b"A"


@within(20)
async def test_strangers_and_hang_ups(server: Server) -> None:
    async with await connect(server) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        assert await last_words(stream) == b""
    async with live_client(server, enrol_with(server, "alice", register=True)) as client:
        await trio.aclose_forcefully(client.stream)
    await server.until(lambda stats: stats["now.sessions"] == 0)
    assert await server.count("fault.bad_magic") == 1
    assert await server.count("ended.lost") == 1


@within(20)
async def test_it_stops_in_order(server: Server) -> None:
    said = hello(enrol_with(server, "bob"))
    early = await connect(server)
    await early.send_all(said[:20])
    await server.until(lambda stats: stats.get("accepted.FG", 0) == 1)
    async with live_client(server, enrol_with(server, "alice", register=True)) as client:
        await server.stop()
        assert await client.end() is ByeReason.SHUTTING_DOWN
    assert refusal(await last_words(early)) is None
    await early.aclose()
    with pytest.raises(OSError, match="connect"):
        await connect(server)


@within(20)
async def test_a_full_server(folder: Path, server: Server) -> None:
    """The limit counts tasks as it counts parked sockets."""
    async with (
        running_server(folder.parent / "full", connections_max=1) as small,
        phone(small, "alice"),
        await connect(small) as stream,
    ):
        await stream.send_all(hello(enrol_with(small, "bob")))
        answer = refusal(await last_words(stream))
        assert answer is not None
        assert answer.reason is RefuseReason.FULL
