"""Listening sockets, over real loopback TCP."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import trio

from hwangso_protocol.hello import Intent
from hwangso_server.lanes import Lane, ListenError, accept, open_lane
from hwangso_server.limits import ACCEPT_BATCH

WITHIN_S = 20


@contextmanager
def lane_open(intent: Intent | None = Intent.FOREGROUND) -> Iterator[Lane]:
    lane = open_lane("127.0.0.1", 0, intent)
    with closing(lane.listener):
        yield lane


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


# Accepting: what becomes of a process without descriptors is in test_sockets.


async def test_connections_come_in_their_order() -> None:
    with lane_open() as lane:
        streams = []
        for number in range(3):
            stream = await trio.open_tcp_stream("127.0.0.1", lane.port)
            await stream.send_all(b"%d" % number)
            streams.append(stream)
        for number in range(3):
            with closing(await next_connection(lane)) as connection:
                assert connection.recv(10) == b"%d" % number
        assert accept(lane) is None
        for stream in streams:
            await stream.aclose()


async def next_connection(lane: Lane) -> socket.socket:
    """Wait for it."""
    with trio.fail_after(WITHIN_S):
        while (connection := accept(lane)) is None:
            await trio.lowlevel.wait_readable(lane.listener)
    return connection


if sys.platform == "linux":

    async def test_the_kernel_hands_over_who_has_said_something() -> None:
        """So that accept and read are one go. Who came first, and is silent, comes later."""
        with lane_open() as lane:
            silent = await trio.open_tcp_stream("127.0.0.1", lane.port)
            talker = await trio.open_tcp_stream("127.0.0.1", lane.port)
            await talker.send_all(b"hello")
            with closing(await next_connection(lane)) as connection:
                assert connection.recv(10, socket.MSG_DONTWAIT) == b"hello"
            assert accept(lane) is None
            await silent.aclose()
            await talker.aclose()


class FakeListener(socket.socket):
    """Accepts what it is told, then nothing more."""

    def __init__(self, *results: socket.socket | OSError) -> None:
        super().__init__()
        self._results = list(results)

    def accept(self) -> tuple[socket.socket, None]:
        if not self._results:
            raise BlockingIOError
        result = self._results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result, None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_resources_it_says_so(number: int) -> None:
    first, second = socket.socketpair()
    with first, second, FakeListener(OSError(number, "out of it"), first) as listener:
        lane = Lane(Intent.FOREGROUND, listener)
        with pytest.raises(OSError, match="out of it") as caught:
            accept(lane)
        assert caught.value.errno == number
        assert accept(lane) is first


def test_peers_that_hung_up_in_the_queue_are_passed_over() -> None:
    first, second = socket.socketpair()
    gone = [OSError(number, "gone") for number in (errno.ECONNABORTED, errno.EPROTO)]
    with first, second, FakeListener(first, *gone, second) as listener:
        lane = Lane(None, listener)
        assert [accept(lane), accept(lane), accept(lane)] == [first, second, None]


def test_only_so_many_are_passed_over_at_once() -> None:
    first, second = socket.socketpair()
    gone = [OSError(errno.ECONNABORTED, "gone")] * ACCEPT_BATCH
    with first, second, FakeListener(*gone, first) as listener:
        lane = Lane(None, listener)
        assert accept(lane) is None
        assert accept(lane) is first
