"""What only the epoll reader does. What every reader does is in test_transport."""

import errno
import socket
from functools import partial

import pytest
import trio
from tests.server.test_transport import WITHIN_S, Bench, bench, receive_all, tcp_pair

from hwangso_server import parking as parking_module
from hwangso_server.limits import READ_BATCH, READ_BYTES
from hwangso_server.parking import ParkedTransport, Parking


async def test_one_turn_serves_so_many_sockets_at_most() -> None:
    async with bench(Parking) as at:
        pairs = [await at.connect() for _ in range(2 * READ_BATCH + 3)]
        heard: list[int] = []  # the turn in which each was served
        for stream, peer in pairs:
            peer.on_data = lambda _: heard.append(at.turns)
            await stream.send_all(b"x")
        with trio.fail_after(WITHIN_S):
            while len(heard) < len(pairs):
                await trio.lowlevel.checkpoint()
        served = [heard.count(turn) for turn in set(heard)]
        assert max(served) <= READ_BATCH
        for stream, _ in pairs:
            await stream.aclose()


async def test_many_that_are_ready_at_once_get_their_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody reads before all have written: a full batch, and more behind it."""
    monkeypatch.setattr(parking_module, "TURN_BUDGET_S", 60.0)
    made = Bench(Parking)
    streams = []
    with made.reader as reader:
        for _ in range(2 * READ_BATCH + 3):
            theirs, ours = await tcp_pair()
            await theirs.send_all(b"x")
            reader.take(ours, None)
            streams.append(theirs)
        served: list[int] = []
        for peer in made.peers:
            peer.on_data = lambda _: served.append(made.turns)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            with trio.fail_after(WITHIN_S):
                while len(served) < len(streams):
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert [served.count(turn) for turn in sorted(set(served))] == [READ_BATCH, READ_BATCH, 3]
    for stream in streams:
        await stream.aclose()


async def test_who_always_has_more_to_say_starves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends after the first socket; each has its turn before any has its second."""
    monkeypatch.setattr(parking_module, "TURN_BUDGET_S", 0.0)
    made = Bench(Parking)
    streams = []
    with made.reader as reader:
        for _ in range(6):
            theirs, ours = await tcp_pair()
            await theirs.send_all(bytes(5 * READ_BYTES))
            reader.take(ours, None)
            streams.append(theirs)
        served: list[int] = []
        for number, peer in enumerate(made.peers):
            peer.on_data = partial(lambda number, _: served.append(number), number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            with trio.fail_after(WITHIN_S):
                while len(served) < 18:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    for start in (0, 6, 12):
        assert sorted(served[start : start + 6]) == list(range(6))
    assert made.turns >= 18
    for stream in streams:
        await stream.aclose()


async def test_a_socket_closed_earlier_in_the_turn_is_not_served() -> None:
    made = Bench(Parking)
    with made.reader as reader:
        streams = []
        for _ in range(8):
            theirs, ours = await tcp_pair()
            await theirs.send_all(b"x")
            reader.take(ours, None)
            streams.append(theirs)
        served: list[int] = []

        def serve(number: int, _: bytes) -> None:
            served.append(number)
            for other in made.peers[:number] + made.peers[number + 1 :]:
                other.transport.abort()

        for number, peer in enumerate(made.peers):
            peer.on_data = partial(serve, number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader.run)
            with trio.fail_after(WITHIN_S):
                while not made.turns:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert len(served) == 1
        assert len(reader) == 1
    for stream in streams:
        await stream.aclose()


async def test_what_the_kernel_takes_is_sent_within_the_call() -> None:
    """A small answer needs no second system call and no turn."""
    made = Bench(Parking)
    with made.reader as reader:
        theirs, ours = await tcp_pair()
        reader.take(ours, None)
        made.peers[0].transport.write(b"welcome")
        assert made.peers[0].transport.backlog_bytes == 0
        assert await theirs.receive_some() == b"welcome"
    await theirs.aclose()


async def test_a_socket_that_epoll_does_not_take_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """fs.epoll.max_user_watches is reached."""

    class FullEpoll:
        def register(self, descriptor: int, events: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr("select.epoll", FullEpoll)
    made = Bench(Parking)
    theirs, ours = await tcp_pair()
    with made.reader as reader:
        reader.take(ours, None)
        assert ours.fileno() == -1
        assert len(reader) == 0
        assert made.peers == []
    assert await receive_all(theirs) == b""
    await theirs.aclose()


async def test_false_alarms_change_nothing() -> None:
    """Readable and writable are hints: another reader of the event may find nothing there."""
    async with bench(Parking) as at:
        stream, peer = await at.connect()
        transport = peer.transport
        assert isinstance(transport, ParkedTransport)
        buffer = bytearray(10)
        transport.readable(buffer, memoryview(buffer))
        assert peer.lost == 0
        # A backlog, and a writable event while the kernel takes nothing.
        transport.write(bytes(16 * 2**20))
        before = transport.backlog_bytes
        assert before
        transport.writable()
        assert transport.backlog_bytes <= before
        assert peer.lost == 0
        await stream.aclose()


async def test_sockets_need_no_settings_of_their_callers() -> None:
    theirs, ours = await tcp_pair()
    ours.setblocking(True)
    made = Bench(Parking)
    with made.reader as reader:
        reader.take(ours, None)
        assert not ours.getblocking()
    assert ours.fileno() == -1
    await theirs.aclose()


def test_a_socket_is_closed_once() -> None:
    made = Bench(Parking)
    first, second = socket.socketpair()
    with made.reader as reader:
        reader.take(first, None)
        transport = made.peers[0].transport
        for _ in range(2):
            transport.abort()
            transport.close()
            transport.write(b"x")
        assert len(reader) == 0
        assert made.peers[0].lost == 0
    second.close()
