"""What every transport of sockets does, over real loopback TCP: parked ones and those with tasks.

No test sleeps: each waits, with a bound, for what it expects to happen.
"""

import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Protocol

import pytest
import trio
import trio.testing

from hwangso_protocol.hello import Intent
from hwangso_server.limits import READ_BATCH, READ_BYTES, TURN_BUDGET_S
from hwangso_server.parking import Parking
from hwangso_server.processor import RealProcessor
from hwangso_server.streaming import StreamReader
from hwangso_server.transport import Transport, WatchedTransport

WITHIN_S = 20
"""Far more than anything here takes."""
MEGABYTES = 16 * 2**20
"""More than the kernel keeps for one connection."""


class Reader(Protocol):
    """Takes sockets and feeds their receivers while it runs."""

    def __len__(self) -> int: ...

    def take(self, sock: socket.socket) -> WatchedTransport | None: ...

    async def wait_empty(self) -> None: ...

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None: ...


class ParkingReader:
    """A parking, and around it what is left of a server's loop without lanes and handshakes.
    A turn ends when it has taken `turn_s`, or one socket has been served."""

    def __init__(self, after_turn: Callable[[], None], turn_s: float = TURN_BUDGET_S) -> None:
        self.parking = Parking()
        self._after_turn = after_turn
        self._turn_s = turn_s

    def __len__(self) -> int:
        return len(self.parking)

    def take(self, sock: socket.socket) -> WatchedTransport | None:
        return self.parking.take(sock)

    async def wait_empty(self) -> None:
        await self.parking.wait_empty()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        processor = RealProcessor()
        with self.parking as parking:
            task_status.started()
            while True:
                if parking.has_left_over:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(parking.fileno())
                processor.begin()
                parking.serve(processor, self._turn_s)
                parking.clean_up(processor, processor.spent_s() + self._turn_s)
                self._after_turn()


MakeReader = Callable[[Callable[[], None]], Reader]
READERS: list[MakeReader] = [StreamReader]
if hasattr(select, "epoll"):
    READERS.append(ParkingReader)


class Peer:
    """One end of a connection: the receiver on the server's side, the socket on the other."""

    def __init__(self, transport: Transport, lane: Intent | None = None) -> None:
        self.transport = transport
        self.lane = lane
        self.received = bytearray()
        self.lost = 0
        self.on_data: Callable[[bytes], None] = self.received.extend
        self._changed = trio.Event()

    def data_received(self, data: bytes) -> None:
        assert data
        assert len(data) <= READ_BYTES
        self.on_data(data)
        self._tell()

    def connection_lost(self) -> None:
        self.lost += 1
        self._tell()

    def has_received(self, data: bytes) -> bool:
        return self.received == data

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(WITHIN_S):
            while not condition():
                await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()


class Bench:
    """A reader, and sockets connected to it."""

    def __init__(self, make_reader: MakeReader) -> None:
        self.peers: list[Peer] = []
        self.turns = 0
        self.reader = make_reader(self._after_turn)

    async def connect(self) -> tuple[trio.SocketStream, Peer]:
        theirs, ours = await tcp_pair()
        transport = self.reader.take(ours)
        assert transport is not None
        peer = Peer(transport)
        transport.attach(peer)
        self.peers.append(peer)
        return theirs, peer

    def _after_turn(self) -> None:
        self.turns += 1


async def tcp_pair() -> tuple[trio.SocketStream, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = await trio.open_tcp_stream(*listener.getsockname())
        ours, _ = listener.accept()
        ours.setblocking(False)
    return theirs, ours


@asynccontextmanager
async def bench(make_reader: MakeReader) -> AsyncIterator[Bench]:
    made = Bench(make_reader)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.reader.run)
        yield made
        nursery.cancel_scope.cancel()


async def receive_all(stream: trio.SocketStream) -> bytes:
    """Until the end of the stream, or its reset."""
    received = bytearray()
    with trio.fail_after(WITHIN_S), suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            received += data
    return bytes(received)


@pytest.fixture(params=READERS, ids=lambda reader: reader.__name__)
def make_reader(request: pytest.FixtureRequest) -> MakeReader:
    made: MakeReader = request.param
    return made


# Reading


async def test_both_ways(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        await stream.send_all(b"hello")
        await peer.until(lambda: peer.received == b"hello")
        peer.transport.write(b"wel")
        peer.transport.write(b"")
        peer.transport.write(b"come")
        peer.transport.close()
        assert await receive_all(stream) == b"welcome"
        assert peer.lost == 0
        await stream.aclose()


async def test_a_turn_ends_after_each_data(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        turns = at.turns
        await stream.send_all(b"x")
        await peer.until(lambda: bool(peer.received))
        with trio.fail_after(WITHIN_S):
            while at.turns == turns:
                await trio.lowlevel.checkpoint()
        await stream.aclose()


async def test_the_whole_of_much_data_in_order(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        data = bytes(range(256)) * 4_000
        await stream.send_all(data)
        await peer.until(lambda: len(peer.received) == len(data))
        assert peer.received == data
        await stream.aclose()


async def test_more_sockets_than_one_turn_serves(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        pairs = [await at.connect() for _ in range(2 * READ_BATCH + 3)]
        for number, (stream, _) in enumerate(pairs):
            await stream.send_all(b"%d" % number)
        for number, (_, peer) in enumerate(pairs):
            await peer.until(partial(peer.has_received, b"%d" % number))
        for stream, _ in pairs:
            await stream.aclose()
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()
        assert [peer.lost for _, peer in pairs] == [1] * len(pairs)


async def test_one_that_talks_a_lot_does_not_keep_others_waiting(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        loud, loud_peer = await at.connect()
        quiet, quiet_peer = await at.connect()
        loud_peer.on_data = lambda _: None

        async def talk() -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await loud.send_all(bytes(2**20))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            for _ in range(10):
                quiet_peer.received.clear()
                await quiet.send_all(b"?")
                await quiet_peer.until(lambda: quiet_peer.received == b"?")
            nursery.cancel_scope.cancel()
        await loud.aclose()
        await quiet.aclose()


# Ends


async def test_the_peers_end(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        await stream.send_all(b"last words")
        await stream.aclose()
        await peer.until(lambda: peer.lost == 1)
        assert peer.received == b"last words"
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()
        assert len(at.reader) == 0
        peer.transport.write(b"too late")
        peer.transport.close()
        peer.transport.abort()
        assert peer.lost == 1


async def test_the_peer_sends_no_more_but_could_read(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        await stream.send_eof()
        await peer.until(lambda: peer.lost == 1)
        assert await receive_all(stream) == b""
        await stream.aclose()


async def test_a_reset(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        await reset(stream)
        await peer.until(lambda: peer.lost == 1)
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()


async def reset(stream: trio.SocketStream) -> None:
    """Close with RST instead of FIN."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    await stream.aclose()


async def test_a_write_to_a_reset_connection(make_reader: MakeReader) -> None:
    """Before the reset was read: the write itself may be what finds it."""
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        await reset(stream)
        for _ in range(3):
            peer.transport.write(b"anybody there?")
        await peer.until(lambda: peer.lost == 1)
        peer.transport.write(b"anybody there?")
        assert peer.lost == 1


async def test_a_receiver_that_closes_while_it_hears(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()

        def answer_and_close(_: bytes) -> None:
            peer.transport.write(b"bye")
            peer.transport.close()

        peer.on_data = answer_and_close
        await stream.send_all(b"hello")
        assert await receive_all(stream) == b"bye"
        assert peer.lost == 0
        await stream.aclose()


async def test_a_receiver_that_aborts_while_it_hears(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        peer.on_data = lambda _: peer.transport.abort()
        await stream.send_all(b"hello")
        assert await receive_all(stream) == b""
        assert peer.lost == 0
        await stream.aclose()


async def test_a_receiver_that_closes_another(make_reader: MakeReader) -> None:
    """As a takeover does; both may be in the same turn."""
    async with bench(make_reader) as at:
        pairs = [await at.connect() for _ in range(8)]
        heard: list[Peer] = []

        def close_others(_: bytes) -> None:
            heard.append(pairs[0][1])
            for pair in pairs[1:]:
                pair[1].transport.abort()

        for _, peer in pairs:
            peer.on_data = close_others
        for stream, _ in pairs:
            await stream.send_all(b"x")
        for other, _ in pairs[1:]:
            await receive_all(other)
            await other.aclose()
        assert heard
        assert all(peer.lost == 0 for _, peer in pairs[1:])
        await pairs[0][0].aclose()


async def test_abort_drops_what_was_not_sent(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        peer.transport.write(bytes(MEGABYTES))
        peer.transport.abort()
        assert len(await receive_all(stream)) < MEGABYTES
        assert peer.lost == 0
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()
        await stream.aclose()


# A peer that does not read


async def test_the_backlog_is_what_the_network_has_not_taken(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        assert peer.transport.backlog_bytes == 0
        data = bytes(range(256)) * (MEGABYTES // 256)
        peer.transport.write(data)
        peer.transport.write(b"end")
        assert 3 < peer.transport.backlog_bytes <= len(data) + 3
        received = bytearray()
        with trio.fail_after(WITHIN_S):
            while len(received) < len(data) + 3:
                received += await stream.receive_some()
            while peer.transport.backlog_bytes:
                await trio.lowlevel.checkpoint()
        assert received == data + b"end"
        peer.transport.write(b"!")
        assert await stream.receive_some() == b"!"
        with trio.fail_after(WITHIN_S):
            await trio.testing.wait_all_tasks_blocked()  # nothing turns round and round
        await stream.aclose()


async def test_closing_with_a_backlog_sends_it_all(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        data = bytes(range(256)) * (MEGABYTES // 256)
        peer.transport.write(data)
        peer.transport.close()
        assert len(at.reader) == 1
        assert await receive_all(stream) == data
        assert peer.lost == 0
        await stream.aclose()
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()


async def test_nothing_is_heard_while_closing(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        peer.transport.write(bytes(MEGABYTES))
        peer.transport.close()
        await stream.send_all(b"are you there?")
        received = 0
        with trio.fail_after(WITHIN_S):
            while received < MEGABYTES:
                received += len(await stream.receive_some())
        assert peer.received == b""
        assert peer.lost == 0
        await stream.aclose()


async def test_a_peer_that_goes_while_closing(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        peer.transport.write(bytes(MEGABYTES))
        peer.transport.close()
        await reset(stream)
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()
        assert peer.lost == 0


async def test_a_peer_that_goes_with_a_backlog(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        peer.transport.write(bytes(MEGABYTES))
        await reset(stream)
        await peer.until(lambda: peer.lost == 1)


async def test_aborting_ends_a_closing_that_hangs(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        stream, peer = await at.connect()
        peer.transport.write(bytes(MEGABYTES))
        peer.transport.close()
        peer.transport.abort()
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()
        assert len(await receive_all(stream)) < MEGABYTES
        await stream.aclose()


# The reader as a whole


async def test_open_sockets_are_counted_from_the_first_moment(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        theirs, _ = await at.connect()
        assert len(at.reader) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.reader.wait_empty)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            await theirs.aclose()
            with trio.fail_after(WITHIN_S):
                while nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
        assert len(at.reader) == 0


async def test_waiting_for_an_empty_reader(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        with trio.fail_after(WITHIN_S):
            await at.reader.wait_empty()


async def test_leaving_closes_all_sockets(make_reader: MakeReader) -> None:
    async with bench(make_reader) as at:
        pairs = [await at.connect() for _ in range(3)]
        pairs[0][1].transport.write(b"x")
    for theirs, _ in pairs:
        assert await receive_all(theirs) in {b"", b"x"}
        await theirs.aclose()
