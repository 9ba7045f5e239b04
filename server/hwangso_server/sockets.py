"""The ground of real sockets: lanes that listen, callers that were accepted, parked sessions.

Two kinds. `EpollGround` (Linux): one epoll over the lanes and the parking's epoll, so that one task
sees all that is ready, in the order that the dispatcher wants. `StreamGround` (elsewhere): a task
for each lane and each session; the order holds for hellos and handshakes, not for live sessions.
"""

import select
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self

import trio

from hwangso_protocol.hello import Intent
from hwangso_server.counts import Count, Counts
from hwangso_server.lanes import Lane, accept
from hwangso_server.limits import EMFILE_PAUSE_S, READ_BYTES
from hwangso_server.parking import Parking
from hwangso_server.processor import Processor
from hwangso_server.streaming import StreamReader
from hwangso_server.transport import WatchedTransport

_LAST_DATA_RECEIVED: Final = struct.Struct("52xI")
"""`tcpi_last_data_recv` of Linux's `struct tcp_info`: milliseconds since the last segment."""

SAME_WAIT_S: Final = 0.001

# Added up once: `|` of two flags is a call into Python, as dear as a short system call.
_LOOK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
_LAST_WORDS: Final = int(socket.MSG_DONTWAIT | getattr(socket, "MSG_MORE", 0))
"""The kernel sends them with the end of the stream that follows, in one segment instead of two."""


class Parker(Protocol):
    """Takes sockets of admitted callers."""

    def take(self, sock: socket.socket) -> WatchedTransport | None:
        """Watch it from now on; None, and it is closed, if there is no room."""


class SocketCaller:
    """An accepted socket whose hello is not answered yet: a Caller. It is made non-blocking only
    when it is parked: most of a storm is not, and it costs a system call."""

    __slots__ = ("_parker", "_socket", "waited_s")

    def __init__(self, sock: socket.socket, parker: Parker, waited_s: float) -> None:
        self._socket = sock
        self._parker = parker
        self.waited_s = waited_s

    def read(self) -> bytes | None:
        """What has come."""
        try:
            return self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def is_gone(self) -> bool:
        """Look without taking: an end of the stream, or an error. `TCP_INFO` would say it as well,
        for the same price, but only on Linux."""
        try:
            return not self._socket.recv(1, _LOOK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def answer(self, data: bytes) -> None:
        """Send and close; the answer fits into an empty buffer."""
        with suppress(OSError):
            self._socket.send(data, _LAST_WORDS)
        self._socket.close()

    def close(self) -> None:
        """Close without a word."""
        self._socket.close()

    def park(self) -> WatchedTransport | None:
        """Have it watched."""
        self._socket.setblocking(False)
        return self._parker.take(self._socket)


class EpollGround:
    """See the module's docstring. Leaving its context closes all sockets."""

    def __init__(self, lanes: Sequence[Lane], counts: Counts) -> None:
        self.parking = Parking()
        self._lanes = {lane.intent: lane for lane in lanes}
        self.lanes: Sequence[Intent | None] = tuple(self._lanes)
        """Those that are open."""
        self._counts = counts
        self._waits = _Waits()
        self._paused_until_s: float | None = None
        self._descriptors = {lane.intent: lane.listener.fileno() for lane in lanes}
        self._ready: set[int] = set()
        """What was ready when `serve` looked around."""
        self._epoll = select.epoll()
        self._epoll.register(self.parking.fileno(), select.EPOLLIN)
        self._people = select.epoll()
        """The lanes that people come through."""
        self._watch_lanes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._people.close()
        self._epoll.close()
        self.parking.__exit__(exc_type, exc, traceback)

    async def wait(self) -> None:
        """Until something is ready."""
        if self.parking.has_left_over:
            await trio.lowlevel.checkpoint()
        elif self._paused_until_s is None:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
        else:
            with trio.move_on_at(self._paused_until_s):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
        if self._paused_until_s is not None and trio.current_time() >= self._paused_until_s:
            self._paused_until_s = None
            self._watch_lanes()

    def accept(self, lane: Intent | None) -> SocketCaller | None:
        """The next caller. With the process out of file descriptors all wait in the kernel for a
        while."""
        descriptor = self._descriptors.get(lane, -1)
        if descriptor not in self._ready:
            return None
        try:
            sock = accept(self._lanes[lane])
        except OSError:
            self._counts.add(Count.NO_DESCRIPTORS)
            self._paused_until_s = trio.current_time() + EMFILE_PAUSE_S
            self._unwatch_lanes()
            return None
        if sock is None:
            self._ready.discard(descriptor)
            return None
        return SocketCaller(sock, self.parking, self._waits.of(lane, sock))

    def has_person(self) -> bool:
        """Ask the epoll: 1 us."""
        return bool(self._people.poll(0, 1))

    def serve(self, processor: Processor, until_s: float) -> bool:
        """Look around, which also tells which lanes have callers; then the parking's."""
        self._ready = {descriptor for descriptor, _ in self._epoll.poll(0, 3)}
        if self.parking.fileno() in self._ready or self.parking.has_left_live:
            return self.parking.serve(processor, until_s)
        return False

    def clean_up(self, processor: Processor, until_s: float) -> None:
        """The parking's."""
        self.parking.clean_up(processor, until_s)

    def close_lanes(self) -> None:
        """Who waits in the kernel's queues is reset."""
        if self._paused_until_s is None:
            self._unwatch_lanes()
        for lane in self._lanes.values():
            lane.listener.close()
        self._lanes.clear()
        self.lanes = ()
        self._descriptors.clear()

    async def wait_empty(self) -> None:
        """Until no session is parked."""
        await self.parking.wait_empty()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """It needs no task of its own."""
        task_status.started()
        await trio.lowlevel.checkpoint()

    def _watch_lanes(self) -> None:
        for intent, descriptor in self._descriptors.items():
            self._epoll.register(descriptor, select.EPOLLIN)
            if intent is not Intent.BACKGROUND:
                self._people.register(descriptor, select.EPOLLIN)

    def _unwatch_lanes(self) -> None:
        for intent, descriptor in self._descriptors.items():
            self._epoll.unregister(descriptor)
            if intent is not Intent.BACKGROUND:
                self._people.unregister(descriptor)
        self._ready.clear()


class StreamGround:
    """See the module's docstring. Start `run` in a nursery before the dispatcher; when it has ended
    all sessions are closed."""

    def __init__(
        self, lanes: Sequence[Lane], counts: Counts, after_turn: Callable[[], None]
    ) -> None:
        self._lanes = {lane.intent: lane for lane in lanes}
        self._counts = counts
        self._after_turn = after_turn
        self._reader = StreamReader(self._session_served)
        self._ready: set[Intent | None] = set()
        """Lanes that may have somebody waiting."""
        self._something = trio.Event()
        self._emptied = {intent: trio.Event() for intent in self._lanes}
        self._waits = _Waits()
        self._watching = trio.CancelScope()
        self._out_of_descriptors = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """All is closed when `run` has ended."""

    @property
    def lanes(self) -> Sequence[Intent | None]:
        """Those that are open."""
        return tuple(self._lanes)

    async def wait(self) -> None:
        """Until a lane is ready, or a session was served: the rest of a hello may have come."""
        await self._something.wait()
        if not self._ready:
            self._something = trio.Event()

    def accept(self, lane: Intent | None) -> SocketCaller | None:
        """The next caller."""
        if lane not in self._ready:
            return None
        try:
            sock = accept(self._lanes[lane])
        except OSError:
            self._counts.add(Count.NO_DESCRIPTORS)
            sock, self._out_of_descriptors = None, True
        else:
            self._out_of_descriptors = False
        if sock is None:
            self._ready.discard(lane)
            self._emptied[lane].set()
            return None
        return SocketCaller(sock, self._reader, self._waits.of(lane, sock))

    def has_person(self) -> bool:
        """Whether somebody may wait there."""
        return any(intent is not Intent.BACKGROUND for intent in self._ready)

    def serve(self, processor: Processor, until_s: float) -> bool:
        """Sessions have tasks of their own."""
        return False

    def clean_up(self, processor: Processor, until_s: float) -> None:
        """Likewise."""

    def close_lanes(self) -> None:
        """Who waits in the kernel's queues is reset."""
        self._watching.cancel()
        self._ready.clear()
        for lane in self._lanes.values():
            lane.listener.close()
        self._lanes.clear()

    async def wait_empty(self) -> None:
        """Until no session is parked."""
        await self._reader.wait_empty()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch the lanes and serve the sessions, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._reader.run)
            task_status.started()
            with self._watching:
                async with trio.open_nursery() as watching:
                    for intent, lane in self._lanes.items():
                        watching.start_soon(self._watch, intent, lane)

    def _session_served(self) -> None:
        self._after_turn()
        self._something.set()

    async def _watch(self, intent: Intent | None, lane: Lane) -> None:
        while True:
            await trio.lowlevel.wait_readable(lane.listener)
            self._emptied[intent] = trio.Event()
            self._ready.add(intent)
            self._something.set()
            await self._emptied[intent].wait()
            await trio.sleep(EMFILE_PAUSE_S if self._out_of_descriptors else 0)


SocketGround = EpollGround | StreamGround


class _Waits:
    """How long hellos have lain in the kernel. Those of one lane that are accepted within
    SAME_WAIT_S have waited about as long, so only the first of them is asked."""

    def __init__(self) -> None:
        self._last: dict[Intent | None, tuple[float, float]] = {}

    def of(self, lane: Intent | None, sock: socket.socket) -> float:
        """In seconds, as coarse as the kernel's tick (4 ms at 250 Hz); 0 where the system does not
        tell."""
        if sys.platform != "linux":
            return 0.0
        now_s = monotonic()
        waited_s, asked_s = self._last.get(lane, (0.0, -inf))
        if now_s - asked_s < SAME_WAIT_S:
            return waited_s
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.size)
        milliseconds: int = _LAST_DATA_RECEIVED.unpack(info)[0]
        waited_s = milliseconds / 1000
        self._last[lane] = (waited_s, now_s)
        return waited_s
