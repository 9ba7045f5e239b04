"""What only parked sockets do, slice by slice. What all transports of sockets do, over TCP, is in
test_transport; here they are pairs of Unix sockets, on which all happens at once."""

import errno
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import pytest
from tests.server.scripted import ScriptedProcessor
from tests.server.test_transport import MEGABYTES, ParkingReader, Peer, bench

from hwangso_server.limits import READ_BATCH, READ_BYTES
from hwangso_server.parking import ParkedTransport, Parking
from hwangso_server.processor import Work
from hwangso_server.transport import Transport

ENDLESS_S = 1_000.0


class Street:
    """A parking, and who is parked there."""

    def __init__(self, open_things: ExitStack, seconds: dict[Work, float]) -> None:
        self.parking = open_things.enter_context(Parking())
        self.processor = ScriptedProcessor(seconds)
        self.peers: list[Peer] = []
        self._open_things = open_things

    def park(self, data: bytes = b"") -> tuple[socket.socket, Peer]:
        """One more, which has said this."""
        theirs, ours = socket.socketpair()
        self._open_things.enter_context(theirs)
        if data:
            theirs.sendall(data)
        ours.setblocking(False)
        transport = self.parking.take(ours)
        assert transport is not None
        peer = Peer(transport)
        transport.attach(peer)
        self.peers.append(peer)
        return theirs, peer

    def serve(self, until_s: float = ENDLESS_S) -> bool:
        """A slice of a turn."""
        self.processor.begin()
        return self.parking.serve(self.processor, until_s)

    def clean_up(self, until_s: float = ENDLESS_S) -> None:
        """The end of a turn."""
        self.processor.begin()
        self.parking.clean_up(self.processor, until_s)

    def tells(self) -> bool:
        """Whether the epoll has anything to tell."""
        return bool(select.select([self.parking.fileno()], [], [], 0)[0])

    @property
    def left_over(self) -> tuple[bool, bool]:
        """Whether the last slice left live sessions over, or anything."""
        return self.parking.has_left_live, self.parking.has_left_over

    @property
    def heard(self) -> int:
        """Bytes of all."""
        return sum(len(peer.received) for peer in self.peers)

    @property
    def lost(self) -> list[int]:
        return [peer.lost for peer in self.peers]


@contextmanager
def street(seconds: dict[Work, float] | None = None) -> Iterator[Street]:
    with ExitStack() as open_things:
        made = Street(open_things, seconds or {})
        yield made


def descriptor(transport: Transport) -> int:
    assert isinstance(transport, ParkedTransport)
    return transport.fileno()


# Slices


def test_a_slice_serves_so_many_sockets_at_most() -> None:
    """All have said something before anybody is served."""
    with street() as at:
        for _ in range(2 * READ_BATCH + 3):
            at.park(b"x")
        served = []
        while at.serve():
            served.append(at.heard)
        assert served == [READ_BATCH, 2 * READ_BATCH, 2 * READ_BATCH + 3]


def test_a_slice_is_charged_and_ends_with_its_time() -> None:
    with street({Work.SEGMENT: 1.0}) as at:
        for _ in range(5):
            at.park(b"x")
        for heard in (2, 4, 5):
            assert at.serve(until_s=1.5)
            assert at.heard == heard
        assert not at.serve()
        assert at.processor.done == [Work.SEGMENT] * 5


def test_who_always_has_more_to_say_starves_nobody() -> None:
    """A slice ends after the first socket; each has its turn before any has its second."""
    with street() as at:
        served: list[int] = []
        for number in range(6):
            _, peer = at.park(bytes(5 * READ_BYTES))
            peer.on_data = partial(lambda number, _: served.append(number), number)
        for slices in range(1, 19):
            assert at.serve(until_s=0)
            assert len(served) == slices
            assert at.left_over == (slices % 6 != 0,) * 2
        for start in (0, 6, 12):
            assert sorted(served[start : start + 6]) == list(range(6))


def test_nobody_has_anything_to_say() -> None:
    with street() as at:
        at.park()
        assert not at.tells()
        assert not at.serve()
        assert at.left_over == (False, False)
        assert at.processor.done == []


def test_a_socket_closed_earlier_in_the_slice_is_not_served() -> None:
    with street() as at:
        served: list[int] = []

        def serve(number: int, _: bytes) -> None:
            served.append(number)
            for other in at.peers[:number] + at.peers[number + 1 :]:
                other.transport.abort()

        for number in range(8):
            _, peer = at.park(b"x")
            peer.on_data = partial(serve, number)
        assert at.serve()
        assert len(served) == 1
        assert len(at.parking) == 1


def test_its_descriptor_tells_that_somebody_has_something_to_say() -> None:
    with street() as at:
        theirs, peer = at.park()
        assert not at.tells()
        theirs.sendall(b"x")
        assert at.tells()
        assert at.serve()
        assert peer.received == b"x"
        assert not at.tells()


# Hang-ups


def test_hang_ups_wait_for_the_cleaning_up() -> None:
    with street({Work.HANG_UP: 1.0}) as at:
        staying, peer = at.park(b"still")
        for _ in range(3):
            at.park()[0].close()
        assert at.serve()
        assert peer.received == b"still"
        assert at.left_over == (False, True)
        for until_s, lost in ((0.0, 0), (1.5, 2), (1.5, 3)):
            at.clean_up(until_s)
            assert sum(at.lost) == lost
        assert at.lost == [0, 1, 1, 1]
        assert at.left_over == (False, False)
        assert at.processor.done == [Work.SEGMENT, *[Work.HANG_UP] * 3]
        staying.sendall(b" here")
        assert at.serve()
        assert peer.received == b"still here"


def test_last_words_are_heard_to_the_end() -> None:
    """More than one read of them; and those behind are not kept waiting by them."""
    with street() as at:
        words = bytes(range(256)) * (3 * READ_BYTES // 256) + b"bye"
        (first, talker), (second, _) = at.park(words), at.park()
        first.close()
        second.close()
        assert at.serve()
        assert at.lost == [0, 0]
        order: list[int] = []
        talker.on_data = lambda data: order.append(len(data))
        at.clean_up()
        assert order == [READ_BYTES, READ_BYTES, READ_BYTES, len(b"bye")]
        assert at.lost == [1, 1]
        assert len(at.parking) == 0


def test_a_hang_up_is_told_once() -> None:
    """The epoll does not tell it again until it is cleaned up, so nothing turns round and round."""
    with street() as at:
        at.park()[0].close()
        assert at.tells()
        assert at.serve()
        assert not at.tells()
        assert not at.serve()
        assert at.left_over == (False, True)  # so that the ground goes on
        at.clean_up()
        assert at.lost == [1]
        assert at.left_over == (False, False)


def test_a_session_that_ends_before_it_is_cleaned_up() -> None:
    """A takeover, say, of a connection whose peer has hung up: it is closed once."""
    with street() as at:
        at.park()[0].close()
        at.serve()
        at.peers[0].transport.close()
        assert len(at.parking) == 0
        at.clean_up()
        assert at.lost == [0]
        assert at.left_over == (False, False)
        assert at.processor.done == []


def test_writes_to_one_that_has_hung_up() -> None:
    """The epoll does not have it any more, and cannot tell when there is room for the rest."""
    with street() as at:
        theirs, peer = at.park()
        theirs.shutdown(socket.SHUT_WR)
        at.serve()
        peer.transport.write(bytes(MEGABYTES))
        assert peer.transport.backlog_bytes
        at.clean_up()
        assert at.lost == [1]
        assert len(at.parking) == 0


def test_what_a_slice_left_over_is_not_taken_for_another_socket() -> None:
    """A hang-up is left over; its session ends meanwhile, and the next connection gets the file
    descriptor. It is another one: it must be served, not cleaned up for ever."""
    with street({Work.HANG_UP: 1.0}) as at:
        at.park(b"x")
        for _ in range(2):
            at.park(b"x")[0].close()
        assert at.serve(until_s=0)  # ends with the first
        assert at.left_over == (True, True)
        freed = {descriptor(peer.transport) for peer in at.peers}
        for peer in at.peers:
            peer.transport.abort()
        newer = [at.park() for _ in range(8)]
        assert freed & {descriptor(peer.transport) for _, peer in newer}
        while at.serve():
            pass
        at.clean_up()
        assert at.left_over == (False, False)
        for theirs, peer in newer:
            theirs.sendall(b"hello")
            assert at.serve()
            assert peer.received == b"hello"
            assert peer.lost == 0


# One socket


def test_what_the_kernel_takes_is_sent_within_the_call() -> None:
    """A small answer needs no second system call and no turn."""
    with street() as at:
        theirs, peer = at.park()
        peer.transport.write(b"welcome")
        assert peer.transport.backlog_bytes == 0
        assert theirs.recv(100) == b"welcome"


def test_a_socket_that_epoll_does_not_take_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """fs.epoll.max_user_watches is reached."""

    class FullEpoll:
        def register(self, descriptor: int, events: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr("select.epoll", FullEpoll)
    theirs, ours = socket.socketpair()
    with Parking() as parking:
        assert parking.take(ours) is None
        assert ours.fileno() == -1
        assert len(parking) == 0
    with closing(theirs):
        assert theirs.recv(1) == b""


async def test_false_alarms_change_nothing() -> None:
    """Readable and writable are hints: another reader of the event may find nothing there."""
    async with bench(ParkingReader) as at:
        stream, peer = await at.connect()
        transport = peer.transport
        assert isinstance(transport, ParkedTransport)
        buffer = bytearray(10)
        transport.readable(buffer, memoryview(buffer))
        assert peer.lost == 0
        # A backlog, and a writable event while the kernel takes nothing.
        transport.write(bytes(MEGABYTES))
        before = transport.backlog_bytes
        assert before
        transport.writable()
        assert transport.backlog_bytes <= before
        assert peer.lost == 0
        await stream.aclose()


def test_a_socket_is_closed_once() -> None:
    with street() as at:
        _, peer = at.park()
        transport = peer.transport
        assert descriptor(transport) >= 0
        for _ in range(2):
            transport.abort()
            transport.close()
            transport.write(b"x")
        assert descriptor(transport) == -1
        assert len(at.parking) == 0
        assert peer.lost == 0
