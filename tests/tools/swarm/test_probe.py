import pytest
import trio
from tests.client.fakeserver import (
    DeferFor,
    HangUp,
    RefuseWith,
    Silence,
    open_server,
)
from trio.testing import MockClock

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent
from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.swarm.probe import probe


async def test_a_server_with_the_key(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        await probe(server, server.key)
        assert server.messages == []  # the password was never sent


async def test_another_key(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        with pytest.raises(CommandError, match="has not the key that was given") as caught:
            await probe(server, bytes(range(1, 33)))
        assert caught.value.code is ExitCode.UNREACHABLE


async def test_no_server(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.reachable = False
        with pytest.raises(CommandError, match="cannot connect to the server"):
            await probe(server, server.key)


async def test_a_server_that_says_nothing(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.answers.append(Silence())
        with pytest.raises(CommandError, match="no answer from the server within 10 s"):
            await probe(server, server.key)


async def test_a_server_that_hangs_up(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.answers.append(HangUp())
        with pytest.raises(CommandError, match="is it a hwangso server"):
            await probe(server, server.key)


async def test_a_full_server(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.answers.append(RefuseWith(RefuseReason.FULL, 1.0))
        with pytest.raises(CommandError, match="the server refused: full"):
            await probe(server, server.key)


async def test_a_deferral_is_an_answer(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.answers.append(DeferFor(1.0))
        await probe(server, server.key)


class Stranger:
    """A server of another protocol."""

    async def connect(self, _lane: Intent) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(b"220 mail.example.org ESMTP\r\n")
        return ours


async def test_a_stranger() -> None:
    with pytest.raises(CommandError, match="not a hwangso server"):
        await probe(Stranger(), bytes(range(32)))
