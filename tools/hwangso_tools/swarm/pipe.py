"""How a swarm's parent and its worker processes talk: frames over the worker's stdin and stdout.

A frame is 4 bytes of length, big-endian, then one MessagePack map with a type tag: an Order (from
the parent) or a Report (from the worker). In order of time:

    parent  Begin                        worker  Progress, every PROGRESS_EVERY_S from here on
                                         worker  Enrolled
    parent  Chat                         (all workers begin to chat; Progress tells how far)
    parent  Finish                       worker  Part, some; Done, the last frame

The end of either pipe ends the other side: a worker never outlives its parent.
"""

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec
import trio

from hwangso_tools.swarm.figures import Snapshot
from hwangso_tools.swarm.ledger import Books
from hwangso_tools.swarm.plan import Plan
from hwangso_tools.swarm.saturation import Load

LENGTH_BYTES: Final = 4
FRAME_MAX_BYTES: Final = 16 * 2**20
"""The largest frame lists the users of a swarm, at most a few megabytes."""

PROGRESS_EVERY_S: Final = 0.5
BOOKS_CHUNK: Final = 10_000
"""Messages in one Part: about 400 kB."""

READ_BYTES: Final = 65_536


class _Frame(msgspec.Struct, frozen=True, tag_field="t"):
    """Common to all frames."""


class Begin(_Frame, frozen=True, tag="begin"):
    """Enrol your devices; you are process number `process` of the plan."""

    plan: Plan
    process: int


class Chat(_Frame, frozen=True, tag="chat"):
    """Let your devices chat for the plan's time; these are all that messages are for."""

    present: Mapping[int, int]


class Finish(_Frame, frozen=True, tag="finish"):
    """Send your books and figures, and end."""


class Enrolled(_Frame, frozen=True, tag="enrolled"):
    """Enrolling is over: these are in. `refusal` is why the server does not want a device."""

    present: Mapping[int, int]
    refusal: str | None = None


class Progress(_Frame, frozen=True, tag="progress"):
    """A moment. `settled`: the chat is over, and every message is answered."""

    ready: int
    expected: int
    arrivals: int
    counts: Mapping[str, int]
    saturated: bool
    settled: bool = False


class Part(_Frame, frozen=True, tag="part"):
    """A part of the books."""

    books: Books


class Done(_Frame, frozen=True, tag="done"):
    """All is said. `connected` and `unanswered` are as they were when the parent said Finish."""

    figures: Snapshot
    load: Load
    connected: int
    unanswered: int


Order: TypeAlias = Begin | Chat | Finish
Report: TypeAlias = Enrolled | Progress | Part | Done

F = TypeVar("F")


class PipeError(Exception):
    """The other side wrote what is no frame."""


class FrameReader(Generic[F]):
    """Frames from a pipe."""

    def __init__(self, stream: trio.abc.ReceiveStream, decode: Callable[[bytes], F]) -> None:
        self._stream = stream
        self._decode = decode
        self._buffer = bytearray()

    async def receive(self) -> F | None:
        """The next frame, None at the end of the pipe. Raises PipeError."""
        size = await self._fill(LENGTH_BYTES)
        if size is None:
            return None
        length = int.from_bytes(size, "big")
        if length > FRAME_MAX_BYTES:
            raise PipeError(f"a frame of {length:,} bytes")
        data = await self._fill(length)
        if data is None:
            return None
        try:
            return self._decode(data)
        except msgspec.MsgspecError as error:
            raise PipeError(str(error)) from None

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
    """Frames into a pipe. One task at a time may send."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._lock = trio.StrictFIFOLock()

    async def send(self, frame: F) -> None:
        """Send one frame, whole. Raises trio.BrokenResourceError when the other side has gone."""
        data = msgspec.msgpack.encode(frame)
        async with self._lock:
            await self._stream.send_all(len(data).to_bytes(LENGTH_BYTES, "big") + data)


def order_reader(stream: trio.abc.ReceiveStream) -> FrameReader[Order]:
    """The worker's side."""
    return FrameReader[Order](stream, msgspec.msgpack.Decoder(Order).decode)


def report_reader(stream: trio.abc.ReceiveStream) -> FrameReader[Report]:
    """The parent's side."""
    return FrameReader[Report](stream, msgspec.msgpack.Decoder(Report).decode)
