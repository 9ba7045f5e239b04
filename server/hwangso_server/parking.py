"""Live sockets without a task each: parked in one epoll, served in small turns.

Most of a connection's life is silence. The epoll is itself a file descriptor, which the ground's
epoll holds and Trio waits for, and at most READ_BATCH sockets are fed a turn. Measured against a
task per connection (design, section 5): 2.8 times the messages, a fifth of the memory.

Sockets whose peers have hung up are taken out of the epoll when it tells so, and wait for
`clean_up`, the last work of all: 10,000 disconnects in one instant are half a second of it, and
nobody waits for that.
"""

import select
import socket
from collections import deque
from types import TracebackType
from typing import Self

import trio

from hwangso_server.limits import READ_BATCH, READ_BYTES
from hwangso_server.processor import Processor, Work
from hwangso_server.transport import Receiver


class ParkedTransport:
    """One parked socket."""

    __slots__ = ("_backlog", "_closing", "_parking", "_receiver", "_socket", "watched")

    def __init__(self, parking: "Parking", sock: socket.socket) -> None:
        self._parking = parking
        self._socket = sock
        self._receiver: Receiver | None = None
        self._backlog = b""
        self._closing = False
        self.watched = True
        """Whether the parking's epoll has it. For the parking only."""

    def fileno(self) -> int:
        """Of its socket; -1 if that is closed."""
        return self._socket.fileno()

    @property
    def is_open(self) -> bool:
        """Whether its socket is open."""
        return self._socket.fileno() >= 0

    @property
    def backlog_bytes(self) -> int:
        """Written, and not yet taken by the kernel."""
        return len(self._backlog)

    def write(self, data: bytes) -> None:
        """Send what the kernel takes now, keep the rest."""
        if self._socket.fileno() < 0 or not data:
            return
        if self._backlog:
            self._backlog += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.lost()
            return
        if sent < len(data):
            self._backlog = data[sent:]
            self._parking.want_write(self, self._socket, wanted=True)

    def close(self) -> None:
        """Close once the backlog is sent."""
        self._receiver = None
        self._closing = True
        if not self._backlog:
            self.abort()

    def abort(self) -> None:
        """Close now."""
        self._receiver = None
        self._backlog = b""
        if self._socket.fileno() >= 0:
            self._parking.leave(self, self._socket)
            self._socket.close()

    def attach(self, receiver: Receiver) -> None:
        """Tell who hears about this socket from now on."""
        self._receiver = receiver

    def readable(self, buffer: bytearray, view: memoryview) -> None:
        """Feed the receiver what is there. For the parking only."""
        try:
            size = self._socket.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        if self._closing:
            if not size:
                self.abort()
        elif size and self._receiver is not None:
            self._receiver.data_received(bytes(view[:size]))
        else:
            self.lost()

    def writable(self) -> None:
        """Send more of the backlog. For the parking only."""
        try:
            sent = self._socket.send(self._backlog)
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        self._backlog = self._backlog[sent:]
        if self._backlog:
            return
        if self._closing:
            self.abort()
        else:
            self._parking.want_write(self, self._socket, wanted=False)

    def lost(self) -> None:
        """Close, and tell the receiver."""
        receiver = self._receiver
        self.abort()
        if receiver is not None:
            receiver.connection_lost()


class Parking:
    """Holds the parked sockets. Leaving its context closes them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # Not at the top: where `select` has no epoll this module is still imported.
        self._read = select.EPOLLIN | select.EPOLLRDHUP
        self._read_and_write = self._read | select.EPOLLOUT
        self._gone_events = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
        self._transports: dict[int, ParkedTransport] = {}
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        # Those that a turn leaves over come first in the next: a new poll would report the same
        # ones first again, and the last would starve behind a few that always have more to say.
        # By transport: when their turn comes, another socket may have the descriptor.
        self._ready: deque[tuple[ParkedTransport, int]] = deque()
        self._gone: deque[ParkedTransport] = deque()
        self._emptied = trio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for transport in list(self._transports.values()):
            transport.abort()
        self._epoll.close()

    def __len__(self) -> int:
        return len(self._transports)

    def fileno(self) -> int:
        """Readable when a parked socket is ready."""
        return self._epoll.fileno()

    @property
    def has_left_over(self) -> bool:
        """Whether the last turn left something over that the epoll will not tell again."""
        return bool(self._ready or self._gone)

    @property
    def has_left_live(self) -> bool:
        """Whether the last turn left live sessions over."""
        return bool(self._ready)

    def take(self, sock: socket.socket) -> ParkedTransport | None:
        """Park a connected, non-blocking socket; None, and it is closed, if the system has no room
        for one more."""
        descriptor = sock.fileno()
        try:
            self._epoll.register(descriptor, self._read)
        except OSError:  # fs.epoll.max_user_watches is reached
            sock.close()
            return None
        transport = ParkedTransport(self, sock)
        self._transports[descriptor] = transport
        return transport

    def leave(self, transport: ParkedTransport, sock: socket.socket) -> None:
        """A transport is about to close its socket."""
        del self._transports[sock.fileno()]
        if transport.watched:
            self._unwatch(transport, sock.fileno())
        if not self._transports:
            self._emptied.set()

    def want_write(self, transport: ParkedTransport, sock: socket.socket, *, wanted: bool) -> None:
        """Also wake when the socket can take more, or no longer."""
        if transport.watched:
            self._epoll.modify(sock.fileno(), self._read_and_write if wanted else self._read)

    async def wait_empty(self) -> None:
        """Wait until no socket is parked."""
        while self._transports:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def serve(self, processor: Processor, until_s: float) -> bool:
        """Feed those that have something to say: each once, READ_BATCH at most, as long as the
        processor has not spent `until_s` in this turn. False if there were none."""
        ready, transports, gone_events = self._ready, self._transports, self._gone_events
        if not ready:
            told = self._epoll.poll(0, READ_BATCH)
            if not told:
                return False
            ready.extend([(transports[descriptor], events) for descriptor, events in told])
        while ready:
            transport, events = ready.popleft()
            if not transport.watched:
                continue  # closed meanwhile
            if events & gone_events:
                self._unwatch(transport, transport.fileno())
                self._gone.append(transport)
                continue
            if events & select.EPOLLOUT:
                transport.writable()
                if not transport.is_open:
                    continue
            if events & select.EPOLLIN:
                transport.readable(self._buffer, self._view)
                processor.charge(Work.SEGMENT)
            if processor.spent_s() >= until_s:
                break
        return True

    def clean_up(self, processor: Processor, until_s: float) -> None:
        """Read what those have said that have hung up, and close them, likewise."""
        gone = self._gone
        while gone and processor.spent_s() < until_s:
            transport = gone.popleft()
            if not transport.is_open:
                continue
            transport.readable(self._buffer, self._view)
            processor.charge(Work.HANG_UP)
            if transport.is_open:
                gone.append(transport)  # it had more to say before it hung up

    def _unwatch(self, transport: ParkedTransport, descriptor: int) -> None:
        transport.watched = False
        self._epoll.unregister(descriptor)
