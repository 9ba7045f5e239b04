"""The control channel between a process of ours and its children: frames over a pipe or a socket.

| bytes | |
|---|---|
| 1 | version of the channel, VERSION |
| 3 | length of what follows, big-endian |
| n | one MessagePack map; its key `t` says which of the messages that the channel's user defines |

Each user has a module of its own, `pipe`, with its messages: `swarm` and `bench.storm`. Both sides
are usually one installation; where one was upgraded while the other ran, the version says so in
the first frame instead of a strange error in a later one. The end of either direction ends the
other side: a child never outlives its parent.
"""

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec
import trio

VERSION: Final = 1
"""Raise it whenever a message of any user changes its meaning or loses a field."""

HEADER_BYTES: Final = 4
FRAME_MAX_BYTES: Final = 2**24 - 1
"""What three bytes can say. The largest frame lists the users of a swarm, a few megabytes."""

READ_BYTES: Final = 65_536

F = TypeVar("F")


class ChannelError(Exception):
    """The other side wrote what is no frame, or no message of this channel."""


def pack(message: object) -> bytes:
    """One frame. Raises ChannelError for a message that is too large."""
    data = msgspec.msgpack.encode(message)
    if len(data) > FRAME_MAX_BYTES:
        raise ChannelError(f"a message of {len(data):,} bytes; {FRAME_MAX_BYTES:,} are the most")
    return bytes([VERSION]) + len(data).to_bytes(HEADER_BYTES - 1, "big") + data


def length_of(header: bytes) -> int:
    """How many bytes follow a header. Raises ChannelError for one of another version."""
    if header[0] != VERSION:
        raise ChannelError(
            f"version {header[0]} of the control channel, and this process speaks {VERSION}: "
            "run both from one installation"
        )
    return int.from_bytes(header[1:], "big")


class FrameReader(Generic[F]):
    """Messages from a pipe."""

    def __init__(self, stream: trio.abc.ReceiveStream, decode: Callable[[bytes], F]) -> None:
        self._stream = stream
        self._decode = decode
        self._buffer = bytearray()

    async def receive(self) -> F | None:
        """The next message, None at the end of the pipe. Raises ChannelError."""
        header = await self._fill(HEADER_BYTES)
        if header is None:
            return None
        data = await self._fill(length_of(header))
        if data is None:
            return None
        try:
            return self._decode(data)
        except msgspec.MsgspecError as error:
            raise ChannelError(str(error)) from None

    async def _fill(self, size: int) -> bytes | None:
        buffer = self._buffer
        while len(buffer) < size:
            try:
                data = await self._stream.receive_some(READ_BYTES)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            buffer += data
        taken = bytes(buffer[:size])
        del buffer[:size]
        return taken


class FrameWriter(Generic[F]):
    """Messages into a pipe. Several tasks may send; their messages do not mix."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._lock = trio.StrictFIFOLock()

    async def send(self, message: F) -> None:
        """Send one message, whole. Raises trio.BrokenResourceError when the other side has gone,
        and ChannelError for a message that is too large."""
        frame = pack(message)
        async with self._lock:
            await self._stream.send_all(frame)
