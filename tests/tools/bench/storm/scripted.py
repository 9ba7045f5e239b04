"""A server whose every answer a test decides: blocking sockets, in a thread of its own.

with scripted(lambda hello, number: Admit()) as server:
    crowd = Crowd("127.0.0.1", server.port, ...)
"""

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.events import HelloReceived
from hwangso_protocol.hello import Hello
from hwangso_protocol.messages import Error, ErrorCode, Policy, Welcome
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State
from hwangso_tools.bench.storm.plan import HeldTicket

PSK = bytes(range(32))
FRESH = b"a fresh ticket"
POLICY = Policy(keepalive_ms=60_000, backoff_base_ms=500, backoff_cap_ms=16_000)
READ_BYTES = 65_536


def tickets(devices: int) -> list[HeldTicket]:
    """A ticket for each device, which says who it is."""
    return [HeldTicket(f"device {number}".encode(), PSK) for number in range(devices)]


@dataclass(frozen=True)
class Admit:
    """A session; `then_end`: only until it is proven."""

    then_end: bool = False


@dataclass(frozen=True)
class PutOff:
    """DEFER."""

    wait_ms: int
    ticket: bytes = b"slot"
    proven: bool = True


@dataclass(frozen=True)
class Refusal:
    """REFUSE."""

    retry_after_ms: int = 0


@dataclass(frozen=True)
class Denial:
    """An authenticated no."""


@dataclass(frozen=True)
class Bytes:
    """These bytes, whatever they are; none: hang up."""

    data: bytes = b""


@dataclass(frozen=True)
class Silence:
    """Nothing at all."""


Reply = Admit | PutOff | Refusal | Denial | Bytes | Silence


@dataclass
class Scripted:
    """What a test sees of the server."""

    port: int
    hellos: list[Hello] = field(default_factory=list)
    """In order of arrival."""
    times_s: list[float] = field(default_factory=list)
    """When they came."""
    proven: int = 0
    """Sessions whose client has sent its Ready."""
    most_in_flight: int = 0
    """Of callers between hello and Ready."""


@dataclass
class _Peer:
    socket: socket.socket
    connection: ServerConnection
    then_end: bool = False


class _Loop:
    def __init__(self, decide: Callable[[Hello, int], Reply]) -> None:
        self._decide = decide
        self._static = X25519PrivateKey.generate()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stop, self._stopping = socket.socketpair()
        self._selector.register(self._stopping, selectors.EVENT_READ)
        self._peers: list[_Peer] = []
        self.scripted = Scripted(self._listener.getsockname()[1])

    def run(self) -> None:
        """Until `stop`, and all that was sent before it has been read."""
        while True:
            keys = [key for key, _ in self._selector.select()]
            if [key.fileobj for key in keys] == [self._stopping]:
                return
            for key in keys:
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is not self._stopping:
                    self._read(key.data)

    def stop(self) -> None:
        self._stop.close()

    def close(self) -> None:
        for peer in self._peers:
            peer.socket.close()
        self._listener.close()
        self._stopping.close()
        self._selector.close()

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        peer = _Peer(accepted, ServerConnection(self._static, os.urandom))
        self._peers.append(peer)
        self._selector.register(accepted, selectors.EVENT_READ, peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.socket.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._end(peer)
            return
        for event in peer.connection.receive_data(data):
            if isinstance(event, HelloReceived):
                self._answer(peer, event.hello)
            elif peer.connection.state is State.LIVE:
                self.scripted.proven += 1
                if peer.then_end:
                    self._end(peer)
                return

    def _answer(self, peer: _Peer, hello: Hello) -> None:
        seen = self.scripted
        seen.hellos.append(hello)
        seen.times_s.append(time.monotonic())
        seen.most_in_flight = max(seen.most_in_flight, len(seen.hellos) - seen.proven)
        connection = peer.connection
        match self._decide(hello, len(seen.hellos)):
            case Admit(then_end):
                peer.then_end = then_end
                connection.read_first_message(PSK)
                connection.accept(Welcome("bob", 1, FRESH, PSK, 1_000, 0, 0, POLICY))
            case Denial():
                connection.read_first_message(PSK)
                connection.deny(Error(ErrorCode.DEVICE_REVOKED))
            case PutOff(wait_ms, ticket, proven):
                connection.defer(wait_ms, DeferReason.BUSY, ticket, PSK if proven else None)
            case Refusal(retry_after_ms):
                connection.refuse(RefuseReason.FULL, retry_after_ms)
            case Bytes(data):
                peer.socket.sendall(data)
                self._end(peer)
                return
            case Silence():
                return
        peer.socket.sendall(connection.data_to_send())
        if connection.state is State.CLOSED:
            self._end(peer)

    def _end(self, peer: _Peer) -> None:
        self._selector.unregister(peer.socket)
        peer.socket.close()


@contextmanager
def scripted(decide: Callable[[Hello, int], Reply]) -> Iterator[Scripted]:
    """Run it; `decide` gets each hello, and how many there were with this one."""
    loop = _Loop(decide)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield loop.scripted
    finally:
        loop.stop()
        thread.join()
        loop.close()
