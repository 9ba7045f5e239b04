"""How a device reaches a server: the network, and the phone's radio between the two.

`Network` is what a device needs: a stream to a lane. `TcpNetwork` is the real one; virtual time
brings its own. `Radio` stands before either and does to streams what happens to phones.
"""

import errno
import ipaddress
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

import trio

from hwangso_client.address import ServerAddress
from hwangso_protocol.hello import Intent

SILENT_STREAMS_MAX: Final = 4
"""Streams that broke silently are held open, so that the server has to find out by itself; beyond
this many the oldest is closed, which bounds the sockets of a phone that is cut again and again."""

RADIO_LOST: Final = "the radio lost its network"
"""What a phone says of a connection that its radio broke."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: closing sends RST (socket(7))."""


class Network(Protocol):
    """Gives byte streams to a server."""

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        """A new stream to that lane; the caller bounds the wait. Raises OSError."""


class TcpNetwork:
    """TCP to a server. `source` is the local address to connect from: a swarm needs several once
    one address has no free ports left."""

    def __init__(self, address: ServerAddress, *, source: str | None = None) -> None:
        self._address = address
        self._source = source
        self._family = _numeric_family(address.host)

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        host, port = self._address.host, self._address.port(lane)
        if self._family is None:
            return await trio.open_tcp_stream(host, port, local_address=self._source)
        # A numeric address needs no names looked up and no race between several: a third of the
        # processor time of open_tcp_stream, which a swarm notices.
        connection = trio.socket.socket(self._family, socket.SOCK_STREAM)
        try:
            if self._source is not None:
                await connection.bind((self._source, 0))
            await connection.connect((host, port))
        except BaseException:
            connection.close()
            raise
        return trio.SocketStream(connection)


class _Cut(Enum):
    """How a stream was broken."""

    SILENT = "silent"
    """Nothing passes any more, and neither side is told."""
    RESET = "reset"
    """Both sides are told at once."""
    LOCAL = "local"
    """The phone is told, the server is not: its radio was switched off."""


class Radio:
    """The phone's radio: a Network that can fail.

    A phone has one connection at a time; `cut`, `handover` and `airplane_mode` break the newest.
    `latency_s` is added to each chunk of bytes, in each direction; it may be changed at any time.
    `on_change` is called when service comes or goes, with True if the phone has seen its connection
    break. Whoever waits for that stream is then to be cancelled, for the stream itself raises when
    it is used next: to wake its reader it would need a cancel scope for each receive, 10 us.
    """

    def __init__(self, network: Network, on_change: Callable[[bool], None]) -> None:
        self.latency_s = 0.0
        self._network = network
        self._on_change = on_change
        self._outage: _Cut | None = None
        self._airplane = False
        self._stream: RadioStream | None = None
        self._silent: deque[trio.abc.Stream] = deque()

    @property
    def service(self) -> bool:
        """Whether the phone believes that it has a network. A silent outage it cannot see."""
        return not self._airplane and self._outage is not _Cut.RESET

    def cut(self, *, silently: bool = True) -> None:
        """An outage, until `restore`. Silently: nothing passes, nobody is told, connects hang.
        Otherwise: the connection is reset, and the phone sees that it has no service."""
        self._outage = _Cut.SILENT if silently else _Cut.RESET
        self._break(self._outage)

    def restore(self) -> None:
        """The outage is over. The connection that it broke stays broken."""
        self._outage = None
        self._on_change(False)

    def handover(self, *, silently: bool = False) -> None:
        """The connection breaks; a new one can be made at once."""
        self._break(_Cut.SILENT if silently else _Cut.RESET)

    @property
    def airplane_mode(self) -> bool:
        """Switched off: the phone knows, the server is not told."""
        return self._airplane

    @airplane_mode.setter
    def airplane_mode(self, on: bool) -> None:
        self._airplane = on
        if on:
            self._break(_Cut.LOCAL)
        else:
            self._on_change(False)

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        """As `Network.connect`; hangs in a silent outage."""
        await self._pass()
        inner = await self._network.connect(lane)
        try:
            await self._pass()
        except BaseException:
            await self.close_silently(inner)
            raise
        self._stream = RadioStream(inner, self)
        return self._stream

    async def aclose(self) -> None:
        """Close what was broken silently; the server hears of it only now."""
        while self._silent:
            await trio.aclose_forcefully(self._silent.popleft())

    async def close_silently(self, inner: trio.abc.Stream) -> None:
        """Used by RadioStream: give a stream up without the server hearing of it."""
        self._silent.append(inner)
        while len(self._silent) > SILENT_STREAMS_MAX:
            await trio.aclose_forcefully(self._silent.popleft())

    def _break(self, cut: _Cut) -> None:
        lost = self._stream is not None and cut is not _Cut.SILENT
        if self._stream is not None:
            self._stream.break_off(cut)
        self._on_change(lost)

    async def _pass(self) -> None:
        """One way through the network, as far as there is one."""
        if self.latency_s:
            await trio.sleep(self.latency_s)
        if not self.service:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if self._outage is _Cut.SILENT:
            await trio.sleep_forever()


class RadioStream(trio.abc.Stream):
    """A stream through a Radio."""

    def __init__(self, inner: trio.abc.Stream, radio: Radio) -> None:
        self._inner = inner
        self._radio = radio
        self._cut: _Cut | None = None

    def break_off(self, cut: _Cut) -> None:
        """The radio failed. A server that was not told of an earlier break is not told of this one
        either."""
        silent_before = self._cut in (_Cut.SILENT, _Cut.LOCAL)
        self._cut = _Cut.LOCAL if silent_before and cut is _Cut.RESET else cut

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        if self._cut is None:
            data = await self._inner.receive_some(max_bytes)
            if self._radio.latency_s:
                await trio.sleep(self._radio.latency_s)
        if self._cut is _Cut.SILENT:
            await trio.sleep_forever()
        self._raise_if_told()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._radio.latency_s:
            await trio.sleep(self._radio.latency_s)
        self._raise_if_told()
        if self._cut is _Cut.SILENT:
            await trio.lowlevel.checkpoint()
        else:
            await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        if self._cut is None:
            await self._inner.aclose()
        elif self._cut is _Cut.RESET:
            if isinstance(self._inner, trio.SocketStream):
                self._inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            await trio.aclose_forcefully(self._inner)
        else:
            await self._radio.close_silently(self._inner)

    def _raise_if_told(self) -> None:
        if self._cut is not None and self._cut is not _Cut.SILENT:
            raise trio.BrokenResourceError(RADIO_LOST)


def _numeric_family(host: str) -> socket.AddressFamily | None:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    return socket.AF_INET if version == 4 else socket.AF_INET6
