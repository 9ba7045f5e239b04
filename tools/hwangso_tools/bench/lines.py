"""The generator's connections: a bare epoll loop over the protocol's client side.

Much leaner than a Device, so that the server is what saturates: no tasks, no timers, and the hello
with its Diffie-Hellman work is made before the clock starts, which a client may do because nothing
in it depends on the server.
"""

import select
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Final

from hwangso_client.address import ServerAddress
from hwangso_protocol.client import ClientConnection
from hwangso_protocol.events import Event, PeerClosed, PeerFault
from hwangso_protocol.hello import Intent
from hwangso_tools.errors import CommandError, ExitCode

READ_BYTES: Final = 65_536
BATCH: Final = 64
"""Sockets read in one turn of the loop."""


class BenchFailed(CommandError):
    """The measurement could not be made; the line says why."""

    def __init__(self, line: str) -> None:
        super().__init__(line, ExitCode.UNREACHABLE)


class Line:
    """One connection. `number` is its place in whatever list the caller keeps."""

    __slots__ = ("connection", "number", "socket")

    def __init__(self, connection: ClientConnection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.socket: socket.socket | None = None

    def flush(self) -> None:
        """Send what the connection has to say. These bytes always fit into the kernel's buffer: a
        generator has a few hundred of them on their way at most."""
        data = self.connection.data_to_send()
        if not data or self.socket is None:
            return
        sent = self.socket.send(data)
        if sent != len(data):
            raise BenchFailed("the server does not read; its socket's buffer is full")


class Lines:
    """All connections of a generator. Close it when done."""

    def __init__(self, address: ServerAddress) -> None:
        port = address.port(Intent.BACKGROUND)
        found = socket.getaddrinfo(address.host, port, type=socket.SOCK_STREAM)[0]
        self._family, self._peer = found[0], found[4]
        self._epoll = select.epoll()
        self._lines: dict[int, Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines.values()))

    def open(self, line: Line) -> None:
        """Connect and send the hello. Blocks for the kernel's part of the handshake only."""
        connected = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            connected.connect(self._peer)
        except OSError as error:
            connected.close()
            raise BenchFailed(f"cannot connect to the server: {error.strerror}") from None
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        line.socket = connected
        self._lines[connected.fileno()] = line
        self._epoll.register(connected.fileno(), select.EPOLLIN)
        line.flush()

    def poll(self, timeout_s: float) -> Iterator[tuple[Line, Sequence[Event]]]:
        """What arrived: at most BATCH lines with their events, after `timeout_s` at most.

        Raises BenchFailed when the server closes a connection or breaks the protocol.
        """
        for descriptor, _ in self._epoll.poll(timeout_s, BATCH):
            line = self._lines.get(descriptor)
            if line is None or line.socket is None:
                continue
            try:
                data = line.socket.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise BenchFailed(f"the server broke a connection: {error.strerror}") from None
            if not data:
                raise BenchFailed("the server closed a connection")
            events = line.connection.receive_data(data)
            for event in events:
                if isinstance(event, PeerFault | PeerClosed):
                    raise BenchFailed(f"a connection ended: {event}")
            yield line, events

    def drop(self, line: Line) -> None:
        """Close without a word, as a phone that loses its network."""
        if line.socket is not None:
            self._lines.pop(line.socket.fileno())
            line.socket.close()
            line.socket = None

    def close(self) -> None:
        """Drop all lines."""
        for line in self:
            self.drop(line)
        self._epoll.close()


class Deadline:
    """A bound on a measurement that would otherwise wait for ever."""

    def __init__(self, seconds: float, what: str) -> None:
        self._at = time.perf_counter() + seconds
        self._line = f"{what}: not done after {seconds:.0f} s"

    def check(self) -> None:
        """Raise BenchFailed once it has passed."""
        if time.perf_counter() > self._at:
            raise BenchFailed(self._line)
