"""The phone's end of a connection, as a Trio stream."""

import errno
import os
from typing import Final

import trio

from hwangso_client.doorbell import Doorbell
from hwangso_tools.virtual.tcp import End, Socket
from hwangso_tools.virtual.trace import Packet

RECEIVE_BYTES: Final = 65_536
"""Read at once by who does not say how much."""


class VirtualStream(trio.abc.Stream):
    """Bytes to and from the server. Made by `VirtualNetwork.connect`."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._input = Doorbell()
        self._room = Doorbell()
        socket.on_input = self._input.ring
        socket.on_room = self._room.ring

    async def connect(self) -> None:
        """Once, before anything else. Raises OSError when the server's machine refuses, or never
        answers."""
        socket = self._socket
        try:
            socket.emit(Packet.SYN)
            while not socket.is_connected:
                if socket.end is not None:
                    refused = socket.end is End.RESET
                    number = errno.ECONNREFUSED if refused else errno.ETIMEDOUT
                    raise OSError(number, os.strerror(number))
                await self._input.wait()
        except BaseException:
            socket.abandon()
            raise

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        socket = self._socket
        self._check_open()
        if socket.received or socket.end is not None:
            await trio.lowlevel.checkpoint()
        while not socket.received and socket.end is None:
            await self._input.wait()
            self._check_open()
        if socket.received:
            return socket.take(max_bytes or RECEIVE_BYTES)
        if socket.is_broken:
            self._raise_broken()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        left = bytes(data)
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            if self._socket.is_broken:
                self._raise_broken()
            left = left[self._socket.send(left) :]
            if not left:
                return
            await self._room.wait()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._socket.close()
        # Whoever still waits for this stream is to be told, as with a stream of Trio's.
        self._input.ring()
        self._room.ring()
        await trio.lowlevel.checkpoint()

    def _check_open(self) -> None:
        if self._socket.is_closed:
            raise trio.ClosedResourceError("this stream was closed here")

    def _raise_broken(self) -> None:
        number = errno.ETIMEDOUT if self._socket.end is End.TIMED_OUT else errno.ECONNRESET
        raise trio.BrokenResourceError(os.strerror(number))
