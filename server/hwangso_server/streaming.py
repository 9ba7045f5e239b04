"""A transport over any Trio stream, with tasks of its own: for virtual time, and for systems
without epoll. The plain counterpart of `parking`."""

import socket
from collections.abc import Callable

import trio

from hwangso_protocol.hello import Intent
from hwangso_server.limits import READ_BYTES
from hwangso_server.transport import Greet, Receiver


class StreamTransport:
    """One stream. Made and run by `serve_stream`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._backlog = bytearray()
        self._wake = trio.Event()
        self._closing = False
        self._scope = trio.CancelScope()
        self._receiver: Receiver | None = None

    @property
    def backlog_bytes(self) -> int:
        """Written, and not yet taken by the stream."""
        return len(self._backlog)

    def write(self, data: bytes) -> None:
        """Queue for the writing task."""
        if data and not self._scope.cancel_called:
            self._backlog += data
            self._wake.set()

    def close(self) -> None:
        """Close once the backlog is sent."""
        self._receiver = None
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        """Close now."""
        self._receiver = None
        self._scope.cancel()

    def attach(self, receiver: Receiver) -> None:
        """Tell who hears about this stream from now on."""
        self._receiver = receiver

    async def run(self, after_turn: Callable[[], None]) -> None:
        """Serve until either side closes, then close the stream."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write_forever)
                    await self._read_to_end(after_turn)
                    if self._closing:
                        return  # the writing task ends it
                    nursery.cancel_scope.cancel()
        finally:
            receiver, self._receiver = self._receiver, None
            if receiver is not None:
                receiver.connection_lost()
            await trio.aclose_forcefully(self._stream)

    async def _read_to_end(self, after_turn: Callable[[], None]) -> None:
        while True:
            try:
                data = await self._stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            if self._receiver is not None:
                self._receiver.data_received(bytes(data))
                after_turn()

    async def _write_forever(self) -> None:
        while True:
            if self._backlog:
                sending = bytes(self._backlog)
                try:
                    await self._stream.send_all(sending)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._scope.cancel()
                    return
                del self._backlog[: len(sending)]
            elif self._closing:
                self._scope.cancel()
                return
            else:
                await self._wake.wait()
                self._wake = trio.Event()


async def serve_stream(
    stream: trio.abc.Stream, lane: Intent | None, greet: Greet, after_turn: Callable[[], None]
) -> None:
    """Serve one connection until it ends, then close the stream."""
    transport = StreamTransport(stream)
    transport.attach(greet(transport, lane))
    await transport.run(after_turn)


class StreamReader:
    """Sockets with two tasks each. Start its `run` in a nursery before the first `take`; all are
    closed when it has ended."""

    def __init__(self, after_turn: Callable[[], None]) -> None:
        self._after_turn = after_turn
        self._nursery: trio.Nursery | None = None
        self._open = 0
        self._emptied = trio.Event()

    def __len__(self) -> int:
        return self._open

    def take(self, sock: socket.socket) -> StreamTransport:
        """Serve a connected socket in tasks of its own. Attach a receiver at once."""
        if self._nursery is None:
            raise RuntimeError("run the reader before it takes sockets")
        self._open += 1
        sock.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        transport = StreamTransport(stream)
        self._nursery.start_soon(self._serve, transport)
        return transport

    async def wait_empty(self) -> None:
        """Wait until no socket is open."""
        while self._open:
            self._emptied = trio.Event()
            await self._emptied.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def _serve(self, transport: StreamTransport) -> None:
        try:
            await transport.run(self._after_turn)
        finally:
            self._open -= 1
            if not self._open:
                self._emptied.set()
