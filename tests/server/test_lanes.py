"""Listening sockets and their accept loops, over real loopback TCP."""

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hwangso_protocol.answer import Refuse, RefuseReason, parse_answer
from hwangso_protocol.hello import Intent
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS
from hwangso_server.counts import Counts
from hwangso_server.lanes import Lane, ListenError, accept_forever, open_lane, turn_away
from hwangso_server.limits import ACCEPT_BATCH, EMFILE_PAUSE_S

WITHIN_S = 20


@contextmanager
def lane_open(intent: Intent | None = Intent.FOREGROUND) -> Iterator[Lane]:
    lane = open_lane("127.0.0.1", 0, intent)
    with closing(lane.listener):
        yield lane


@dataclass
class Taken:
    """What an accept loop did."""

    connections: list[tuple[socket.socket, Intent | None]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    """Connections taken so far, at the end of each turn."""
    counts: Counts = field(default_factory=Counts)

    def take(self, connection: socket.socket, intent: Intent | None) -> None:
        self.connections.append((connection, intent))

    def after_turn(self) -> None:
        self.turns.append(len(self.connections))

    async def run(self, lane: Lane) -> None:
        await accept_forever(lane, self.take, self.after_turn, self.counts)

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(WITHIN_S):
            while not condition():
                await trio.lowlevel.checkpoint()

    def close(self) -> None:
        for connection, _ in self.connections:
            connection.close()


# Listening


def test_any_free_port() -> None:
    with lane_open() as first, lane_open(None) as second:
        assert first.port != second.port != 0
        assert first.intent is Intent.FOREGROUND
        assert second.intent is None
        assert not first.listener.getblocking()


def test_small_answers_are_sent_at_once() -> None:
    with lane_open() as lane:
        assert lane.listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use() -> None:
    with lane_open() as lane:
        with pytest.raises(ListenError) as caught:
            open_lane("127.0.0.1", lane.port, None)
        assert str(caught.value) == (
            f"cannot listen on 127.0.0.1 port {lane.port}: Address already in use; "
            "choose another port"
        )


def test_a_port_is_free_again_at_once() -> None:
    with lane_open() as lane:
        port = lane.port
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"x")
            server_side: socket.socket | None = None
            while server_side is None:
                try:
                    server_side, _ = lane.listener.accept()
                except BlockingIOError:
                    continue
            server_side.close()  # first, so that this side has the TIME_WAIT
    with closing(open_lane("127.0.0.1", port, None).listener):
        pass


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        ("203.0.113.7", r"^cannot listen on 203\.0\.113\.7 port 0: Cannot assign requested"),
        ("a..b", r"^cannot listen on 'a\.\.b': not a host name or address$"),
        ("x" * 300, "not a host name or address$"),
        ("\ud800", "not a host name or address$"),
    ],
)
def test_a_host_that_is_not_ours(host: str, complaint: str) -> None:
    with pytest.raises(ListenError, match=complaint) as caught:
        open_lane(host, 0, None)
    assert "\n" not in str(caught.value)


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        ListenError, match=r"^cannot listen on no\.such: Name or service not known$"
    ):
        open_lane("no.such", 0, None)


# Accepting


async def test_connections_come_with_their_lanes_intent() -> None:
    taken = Taken()
    with lane_open(Intent.BACKGROUND) as lane:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taken.run, lane)
            stream = await trio.open_tcp_stream("127.0.0.1", lane.port)
            await stream.send_all(b"hello")
            await taken.until(lambda: bool(taken.connections))
            connection, intent = taken.connections[0]
            assert intent is Intent.BACKGROUND
            assert connection.recv(10) == b"hello"
            await stream.aclose()
            nursery.cancel_scope.cancel()
    taken.close()


async def test_a_turn_takes_so_many_at_most() -> None:
    taken = Taken()
    wanted = 2 * ACCEPT_BATCH + 3
    with lane_open() as lane:
        streams = []
        for _ in range(wanted):
            stream = await trio.open_tcp_stream("127.0.0.1", lane.port)
            await stream.send_all(b"x")
            streams.append(stream)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taken.run, lane)
            await taken.until(lambda: len(taken.connections) == wanted and bool(taken.turns))
            await taken.until(lambda: taken.turns[-1] == wanted)
            nursery.cancel_scope.cancel()
    sizes = [b - a for a, b in zip([0, *taken.turns], taken.turns, strict=False)]
    assert max(sizes) == ACCEPT_BATCH
    for stream in streams:
        await stream.aclose()
    taken.close()


class FakeListener(socket.socket):
    """Accepts what it is told, then nothing more. Readable for ever: the other end has written."""

    def __init__(self, *results: socket.socket | OSError) -> None:
        readable, self._other = socket.socketpair()
        super().__init__(fileno=readable.detach())
        self._other.send(b"x")
        self._results = list(results)

    def accept(self) -> tuple[socket.socket, None]:
        if not self._results:
            raise BlockingIOError
        result = self._results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result, None

    def close(self) -> None:
        super().close()
        self._other.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_descriptors_it_pauses(autojump_clock: MockClock, number: int) -> None:
    taken = Taken()
    first, second = socket.socketpair()
    listener = FakeListener(first, OSError(number, "out of it"), second)
    with closing(listener):
        lane = Lane(Intent.FOREGROUND, listener)
        before_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taken.run, lane)
            await taken.until(lambda: len(taken.connections) == 1)
            await wait_all_tasks_blocked()
            assert len(taken.connections) == 1
            await trio.sleep(EMFILE_PAUSE_S)
            await taken.until(lambda: len(taken.connections) == 2)
            nursery.cancel_scope.cancel()
        assert trio.current_time() == before_s + EMFILE_PAUSE_S
    assert taken.counts.snapshot() == {"no_descriptors": 1}
    taken.close()


async def test_a_peer_that_hung_up_in_the_queue_is_passed_over(autojump_clock: MockClock) -> None:
    taken = Taken()
    first, second = socket.socketpair()
    aborted = OSError(errno.ECONNABORTED, "gone")
    listener = FakeListener(first, aborted, second)
    with closing(listener):
        lane = Lane(None, listener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taken.run, lane)
            await taken.until(lambda: bool(taken.turns))
            nursery.cancel_scope.cancel()
    assert taken.turns[0] == 2
    assert taken.counts.snapshot() == {}
    taken.close()


async def test_a_process_really_out_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a real lane: the connection waits in the kernel, and is taken afterwards."""
    taken = Taken()
    real_accept = socket.socket.accept
    failures = [OSError(errno.EMFILE, "Too many open files")] * 3

    def accept(self: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise failures.pop()
        return real_accept(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    monkeypatch.setattr("hwangso_server.lanes.EMFILE_PAUSE_S", 0)
    with lane_open() as lane:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taken.run, lane)
            stream = await trio.open_tcp_stream("127.0.0.1", lane.port)
            await stream.send_all(b"x")
            await taken.until(lambda: bool(taken.connections))
            await stream.aclose()
            nursery.cancel_scope.cancel()
    assert taken.counts.snapshot() == {"no_descriptors": 3}
    taken.close()


def test_a_full_server_says_so_and_closes() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"a hello that nobody will read")
    turn_away(ours)
    with theirs:
        parsed = parse_answer(theirs.recv(100))
        assert parsed is not None
        assert parsed[0] == Refuse(RefuseReason.FULL, FULL_RETRY_AFTER_MS)
        assert theirs.recv(100) == b""


def test_turning_away_one_that_is_gone_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    turn_away(ours)
    assert ours.fileno() == -1
