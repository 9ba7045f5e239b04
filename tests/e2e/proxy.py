"""A man in the middle: a real TCP proxy that cuts, flips a bit, or lets nothing through.

    async with proxy_to(server.network) as proxy:
        proxy.cut(Direction.TO_SERVER, after_bytes=17)
        async with phone(server, "alice", network=proxy.network) as alice: ...

What it is told happens once, to the first connection that reaches the place, and counts from the
moment it was told. After a cut both sides have the bytes before it and then the end of the stream.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial

import trio

from hwangso_client.address import ServerAddress
from hwangso_client.network import Network, TcpNetwork
from hwangso_protocol.answer import parse_answer
from hwangso_protocol.hello import Intent, parse_hello
from hwangso_protocol.records import split_record

LOCALHOST = "127.0.0.1"
READ_BYTES = 65_536

STEP_BYTES = 7
"""Smaller than any header, key or tag, so that each of them is cut inside."""


class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = "to server"
    TO_PHONE = "to phone"


class _Action(Enum):
    CUT = "cut"
    FLIP = "flip"


@dataclass
class _Fault:
    action: _Action
    direction: Direction
    bytes_left: int


class Conversation:
    """What one connection has carried."""

    def __init__(self) -> None:
        self.said = {Direction.TO_SERVER: b"", Direction.TO_PHONE: b""}

    def boundaries(self, direction: Direction) -> Sequence[int]:
        """Where each message ends: the hello or its answer, then each record."""
        said = self.said[direction]
        parse = parse_hello if direction is Direction.TO_SERVER else parse_answer
        parsed = parse(said)
        ends: list[int] = []
        if parsed is not None:
            ends.append(parsed[1])
            while (record := split_record(said, ends[-1])) is not None:
                ends.append(record[1])
        return ends


class Proxy:
    """See the module's docstring. Made by `proxy_to`; `network` leads through it."""

    def __init__(self, upstream: Network, network: Network) -> None:
        self.network = network
        self.conversations: list[Conversation] = []
        self._upstream = upstream
        self._fault: _Fault | None = None
        self._open = trio.Event()
        self._open.set()
        self._held = {direction: trio.Event() for direction in Direction}

    def cut(self, direction: Direction, *, after_bytes: int) -> None:
        """End the connection when so many more bytes have passed."""
        self._fault = _Fault(_Action.CUT, direction, after_bytes)

    def flip(self, direction: Direction, *, at_byte: int) -> None:
        """Flip the lowest bit of one byte."""
        self._fault = _Fault(_Action.FLIP, direction, at_byte)

    @property
    def fault_happened(self) -> bool:
        """Whether the last `cut` or `flip` came to pass."""
        return self._fault is None

    def hold_everything(self) -> None:
        """From now on nothing passes, and nobody is told: every connection is half open."""
        self._open = trio.Event()

    async def wait_held(self, direction: Direction) -> None:
        """Wait until something is held back: bytes, or the end of a stream."""
        await self._held[direction].wait()

    def let_pass(self) -> None:
        """New bytes pass again, and those that were held."""
        self._open.set()

    async def serve(self, lane: Intent, phone: trio.SocketStream) -> None:
        """Carry one connection."""
        conversation = Conversation()
        self.conversations.append(conversation)
        try:
            server = await self._upstream.connect(lane)
        except OSError:
            return  # no server there: the phone sees its connection end
        async with server, trio.open_nursery() as nursery:

            async def carry(
                source: trio.abc.Stream, sink: trio.abc.Stream, direction: Direction
            ) -> None:
                with suppress(trio.BrokenResourceError):
                    await self._carry(source, sink, direction, conversation)
                nursery.cancel_scope.cancel()

            nursery.start_soon(carry, phone, server, Direction.TO_SERVER)
            nursery.start_soon(carry, server, phone, Direction.TO_PHONE)

    async def _carry(
        self,
        source: trio.abc.Stream,
        sink: trio.abc.Stream,
        direction: Direction,
        conversation: Conversation,
    ) -> None:
        """Until the stream ends, or is to be cut."""
        while True:
            if self._is_due(_Action.CUT, direction, 0):
                self._fault = None
                return
            data = bytes(await source.receive_some(READ_BYTES))
            if not self._open.is_set():
                self._held[direction].set()
                await self._open.wait()
            if not data:
                return
            is_cut = self._is_due(_Action.CUT, direction, len(data))
            data = self._spoil(data, direction)
            conversation.said[direction] += data
            if data:
                await sink.send_all(data)
            if is_cut:
                return

    def _is_due(self, action: _Action, direction: Direction, size: int) -> bool:
        fault = self._fault
        return (
            fault is not None
            and fault.action is action
            and fault.direction is direction
            and fault.bytes_left <= size
        )

    def _spoil(self, data: bytes, direction: Direction) -> bytes:
        fault = self._fault
        if fault is None or fault.direction is not direction:
            return data
        at = fault.bytes_left
        if at > len(data) or (at == len(data) and fault.action is _Action.FLIP):
            fault.bytes_left -= len(data)
            return data
        self._fault = None
        if fault.action is _Action.CUT:
            return data[:at]
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def places_to_cut(boundaries: Iterable[int]) -> Sequence[int]:
    """Where to cut: in steps through all of it, and at, before and behind each boundary."""
    ends = {0, *boundaries}
    around = {end + offset for end in ends for offset in (-1, 0, 1)}
    steps = range(0, max(ends), STEP_BYTES)
    return sorted(place for place in around.union(steps) if 0 <= place <= max(ends))


@asynccontextmanager
async def proxy_to(upstream: Network) -> AsyncIterator[Proxy]:
    """A proxy for both lanes of a server."""
    listeners = {
        lane: (await trio.open_tcp_listeners(0, host=LOCALHOST))[0]
        for lane in (Intent.FOREGROUND, Intent.BACKGROUND)
    }
    ports = [listener.socket.getsockname()[1] for listener in listeners.values()]
    proxy = Proxy(upstream, TcpNetwork(ServerAddress(LOCALHOST, *ports)))
    async with trio.open_nursery() as nursery:
        for lane, listener in listeners.items():
            nursery.start_soon(
                partial(trio.serve_listeners, partial(proxy.serve, lane), [listener])
            )
        yield proxy
        nursery.cancel_scope.cancel()
