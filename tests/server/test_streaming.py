"""One connection over any Trio stream: with the core in virtual time, and with streams that fail.

What every reader of sockets does is in test_transport.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from tests.server.harness import Identity, Server, running_server
from tests.server.test_transport import Peer
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
)

from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith, ResumeWith
from hwangso_protocol.events import Answered, Event, MessageReceived, PeerClosed
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import (
    ByeReason,
    Deliver,
    Enrol,
    Login,
    Ping,
    Pong,
    Ready,
    Send,
    Sent,
    Welcome,
)
from hwangso_server.limits import CLOSE_LINGER_S, HELLO_TIMEOUT_S
from hwangso_server.streaming import serve_stream
from hwangso_server.transport import Transport

MemoryStream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


class StreamPhone:
    """A client's state machine on a stream, moved by hand."""

    def __init__(self, stream: trio.abc.Stream, connection: ClientConnection) -> None:
        self.stream = stream
        self.connection = connection
        self.events: list[Event] = []

    async def flush(self) -> None:
        await self.stream.send_all(self.connection.data_to_send())

    async def until(self, kind: type[Event] | type[object]) -> object:
        """The first event, or message, of this kind; takes all before it."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, MessageReceived) and isinstance(event.message, kind):
                    return event.message
                if isinstance(event, kind):
                    return event
            await self.flush()
            data = await self.stream.receive_some()
            assert data, f"the stream ended without {kind.__name__}"
            self.events += self.connection.receive_data(bytes(data))


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[MemoryStream]:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            serve_stream, theirs, Intent.FOREGROUND, server.core.greet, server.core.flush_touched
        )
        yield ours


def enrolling(server: Server, identity: Identity) -> ClientConnection:
    enrol = Enrol(identity.user, "secret", "phone", identity.public_key, register=True)
    return ClientConnection(
        EnrolWith(server.public_key, enrol), Attempt(Intent.FOREGROUND), os.urandom
    )


# The whole way, in virtual time


async def test_two_phones_chat_over_streams(autojump_clock: MockClock) -> None:
    async with (
        running_server() as server,
        connected(server) as alices_stream,
        connected(server) as bobs_stream,
    ):
        alice = StreamPhone(alices_stream, enrolling(server, server.new_identity("alice")))
        bob = StreamPhone(bobs_stream, enrolling(server, server.new_identity("bob")))
        for phone in (alice, bob):
            await phone.until(Welcome)
        alice.connection.send(Send(bytes(16), "bob", "안녕"))
        await alice.until(Sent)
        deliver = await bob.until(Deliver)
        assert isinstance(deliver, Deliver)
        assert [entry.body for entry in deliver.entries] == ["안녕"]
        for phone in (alice, bob):
            await phone.stream.aclose()


async def test_a_resume_byte_by_byte(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        async with connected(server) as stream:
            connection = ClientConnection(
                ResumeWith(identity.ticket, identity.psk, Login(0)),
                Attempt(Intent.BACKGROUND),
                os.urandom,
            )
            phone = StreamPhone(stream, connection)
            for byte in connection.data_to_send():
                await stream.send_all(bytes([byte]))
            await phone.until(Answered)
            connection.send(Ready())
            connection.send(Ping(7))
            for byte in connection.data_to_send():
                await stream.send_all(bytes([byte]))
            assert await phone.until(Pong) == Pong(7)
            assert server.count("session.resume.BG") == 1
            await stream.aclose()


async def test_silence_is_closed(autojump_clock: MockClock) -> None:
    async with running_server() as server, connected(server) as stream:
        assert await stream.receive_some() == b""
        assert HELLO_TIMEOUT_S <= trio.current_time() <= HELLO_TIMEOUT_S + 1
        assert not server.core.sessions


async def test_a_lost_connection_ends_the_session(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        async with connected(server) as stream:
            phone = StreamPhone(stream, enrolling(server, server.new_identity("alice")))
            await phone.until(Welcome)
            assert len(server.core.presence) == 1
            await stream.aclose()
        assert not server.core.sessions
        assert server.count("ended.lost") == 1


async def test_cancelling_ends_the_session(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        ours, theirs = memory_stream_pair()
        with trio.move_on_after(1):
            await serve_stream(theirs, None, server.core.greet, server.core.flush_touched)
        assert not server.core.sessions
        assert await ours.receive_some() == b""


async def test_a_bye_is_read_before_the_end(autojump_clock: MockClock) -> None:
    async with running_server() as server, connected(server) as stream:
        phone = StreamPhone(stream, enrolling(server, server.new_identity("alice")))
        await phone.until(Welcome)
        await server.core.say_goodbye()
        assert await phone.until(PeerClosed) == PeerClosed(ByeReason.SHUTTING_DOWN)
        assert await stream.receive_some() == b""


async def test_a_bye_that_nobody_reads_is_cut_after_a_while(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        ours, theirs = lockstep_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                serve_stream, theirs, None, server.core.greet, server.core.flush_touched
            )
            phone = StreamPhone(ours, enrolling(server, server.new_identity("alice")))
            await phone.until(Welcome)
            await server.core.say_goodbye()
            started_s = trio.current_time()
        waited_s = trio.current_time() - started_s
        assert CLOSE_LINGER_S <= waited_s <= CLOSE_LINGER_S + 1


# Streams that fail


class FailingStream(trio.abc.Stream):
    """Fails where it is told to; otherwise silent, and takes everything."""

    def __init__(self, *, send: bool = False, receive: bool = False) -> None:
        self._fails = {"send": send, "receive": receive}
        self.closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._fails["receive"]:
            raise trio.BrokenResourceError
        await trio.Event().wait()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        if self._fails["send"]:
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("broken", ["send", "receive"])
async def test_a_stream_that_breaks_is_a_lost_connection(
    autojump_clock: MockClock, broken: str
) -> None:
    peers: list[Peer] = []

    def greet(transport: Transport, lane: Intent | None) -> Peer:
        peer = Peer(transport, lane)
        peers.append(peer)
        transport.write(b"welcome")
        return peer

    stream = FailingStream(send=broken == "send", receive=broken == "receive")
    with trio.fail_after(1):
        await serve_stream(stream, None, greet, lambda: None)
    assert stream.closed
    assert peers[0].lost == 1


class SlowStream(FailingStream):
    """Its peer has nothing more to say, and reads slowly."""

    sent = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep(1)
        self.sent += data


async def test_closing_sends_the_rest_to_a_peer_that_says_no_more(
    autojump_clock: MockClock,
) -> None:
    def greet(transport: Transport, lane: Intent | None) -> Peer:
        peer = Peer(transport, lane)
        transport.write(b"last words")
        transport.close()
        return peer

    stream = SlowStream()
    await serve_stream(stream, None, greet, lambda: None)
    assert stream.sent == b"last words"
    assert stream.closed


async def test_closed_before_it_was_served(autojump_clock: MockClock) -> None:
    def greet(transport: Transport, lane: Intent | None) -> Peer:
        transport.write(b"no")
        return Peer(transport, lane)

    ours, theirs = memory_stream_pair()
    with trio.fail_after(1):
        await ours.send_eof()
        await serve_stream(theirs, None, greet, lambda: None)
    assert bytes(await ours.receive_some()) in {b"", b"no"}
