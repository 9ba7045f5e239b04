"""TCP as far as it shows: the two directions of a connection, and the socket at each end.

What is modelled: order, retransmission with its timeouts, a bounded window, FIN and RST, a reset
for who closes without having read or sends to who has closed. What is not: segments and their
sizes, acknowledgements, bandwidth, congestion. What a phone says fits in one packet.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

import trio

from hwangso_tools.virtual.deliveries import Deliveries
from hwangso_tools.virtual.link import Link
from hwangso_tools.virtual.trace import Direction, Fate, Packet, Trace

HANDSHAKE_TIMEOUT_S: Final = 1.0
"""Until a SYN or its answer is sent again, the first time; RFC 6298, section 2.1. Each further
timeout is twice the one before, so a SYN is sent after 0, 1, 3, 7, ... s."""

RETRANSMISSION_TIMEOUT_S: Final = 0.2
"""The same for everything else: the least that Linux takes (TCP_RTO_MIN)."""

TIMEOUT_MAX_S: Final = 120.0
"""Timeouts double up to this (TCP_RTO_MAX)."""

SYN_RETRIES_MAX: Final = 6
"""Then `connect` fails, after 127 s (tcp_syn_retries)."""

RETRIES_MAX: Final = 15
"""Then the connection is given up, after about 15 minutes (tcp_retries2)."""

_HANDSHAKE: Final = (Packet.SYN, Packet.SYN_ACK)

WINDOW_BYTES: Final = 262_144
"""What a sender's kernel takes before the other side has read it: its own buffer and the other
one's, of 128 KiB each."""


class Wire:
    """One direction of a connection: everything arrives in order, or nothing any more.

    A packet that does not get through (lost, an outage, a full queue at the other end) is sent
    again after a timeout; what was sent behind it waits with it. `receive` takes a packet, and says
    False if it has no room for it. `give_up` is called when the last try has failed.
    """

    __slots__ = (
        "_deliveries",
        "_direction",
        "_give_up",
        "_link",
        "_number",
        "_receive",
        "_stalled",
        "_trace",
        "_tries",
        "_under_way",
    )

    def __init__(
        self,
        number: int,
        direction: Direction,
        link: Link,
        deliveries: Deliveries,
        trace: Trace,
        receive: Callable[[Packet, bytes], bool],
        give_up: Callable[[], None],
    ) -> None:
        self._number = number
        self._direction = direction
        self._link = link
        self._deliveries = deliveries
        self._trace = trace
        self._receive = receive
        self._give_up = give_up
        self._under_way: deque[tuple[float, Packet, bytes]] = deque()
        self._stalled = False
        self._tries = 0

    def send(self, packet: Packet, data: bytes, leaves_at_s: float) -> None:
        """Send a packet. One that was sent before it and takes longer holds it up."""
        at_s = self._deliveries.at(leaves_at_s + self._link.delay_s(), self._arrive)
        self._under_way.append((at_s, packet, data))

    def forget(self) -> None:
        """What has not arrived yet never will."""
        self._under_way.clear()

    def call_later(self, call: Callable[[], None]) -> None:
        """Call when a packet that leaves now would arrive. For what needs no packet here."""
        self._deliveries.at(trio.current_time() + self._link.delay_s(), call)

    def _arrive(self) -> None:
        if not self._stalled:
            self._deliver()

    def _deliver(self) -> None:
        now_s, under_way = trio.current_time(), self._under_way
        while under_way and under_way[0][0] <= now_s:
            at_s, packet, data = under_way.popleft()
            if self._link.passes() and self._receive(packet, data):
                self._tries = 0
                self._record(now_s, packet, Fate.ARRIVED, data)
            else:
                under_way.appendleft((at_s, packet, data))
                self._record(now_s, packet, Fate.LOST, data)
                self._stall(now_s, packet)
                return

    def _stall(self, now_s: float, packet: Packet) -> None:
        in_handshake = packet in _HANDSHAKE
        first_s = HANDSHAKE_TIMEOUT_S if in_handshake else RETRANSMISSION_TIMEOUT_S
        timeout_s = min(first_s * 2**self._tries, TIMEOUT_MAX_S)
        is_last = self._tries == (SYN_RETRIES_MAX if in_handshake else RETRIES_MAX)
        self._tries += 1
        self._stalled = True
        self._deliveries.at(now_s + timeout_s, self._despair if is_last else self._try_again)

    def _try_again(self) -> None:
        self._stalled = False
        self._deliver()

    def _despair(self) -> None:
        self._stalled = False
        if self._under_way:
            _, packet, data = self._under_way[0]
            self._under_way.clear()
            self._record(trio.current_time(), packet, Fate.GIVEN_UP, data)
            self._give_up()

    def _record(self, now_s: float, packet: Packet, fate: Fate, data: bytes) -> None:
        self._trace.record(now_s, self._number, self._direction, packet, fate, data)


class End(Enum):
    """Why nothing more will come from the other side."""

    CLOSED = "the peer has closed"
    RESET = "connection reset by peer"
    TIMED_OUT = "connection timed out"


class Socket:
    """One end of a connection, as its kernel has it.

    `leaves_at_s` is when what its program sends now leaves the machine.
    `on_input` is called when there is something to read, or `end` has changed; `on_room` when a
    `send` that was not taken whole may go on.
    """

    __slots__ = (
        "_leaves_at_s",
        "_peer",
        "_unread_bytes",
        "_wants_room",
        "_wire",
        "end",
        "is_closed",
        "is_connected",
        "on_input",
        "on_room",
        "received",
    )

    _peer: "Socket"
    _wire: Wire

    def __init__(self, leaves_at_s: Callable[[], float]) -> None:
        self._leaves_at_s = leaves_at_s
        self._unread_bytes = 0
        self._wants_room = False
        self.received = bytearray()
        self.end: End | None = None
        self.is_connected = False
        self.is_closed = False
        self.on_input: Callable[[], None] = _nobody_listens
        self.on_room: Callable[[], None] = _nobody_listens

    def join(self, wire: Wire, peer: "Socket") -> None:
        """Say where it leads. Before anything else."""
        self._wire = wire
        self._peer = peer

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.end is not None and self.end is not End.CLOSED

    # For the program that has the socket

    def send(self, data: bytes) -> int:
        """Send as much as there is room for, and say how much. Look at `is_broken` first."""
        room = WINDOW_BYTES - self._unread_bytes
        if len(data) > room:
            self._wants_room = True
            data = data[:room]
        if data:
            self._unread_bytes += len(data)
            self._wire.send(Packet.DATA, data, self._leaves_at_s())
        return len(data)

    def take(self, max_bytes: int) -> bytes:
        """Read what has arrived; then look at `end`."""
        received = self.received
        if len(received) <= max_bytes:
            data = bytes(received)
            received.clear()
        else:
            data = bytes(received[:max_bytes])
            del received[:max_bytes]
        self._peer.peer_has_read(len(data))
        return data

    def close(self) -> None:
        """Close: FIN, or RST if something was not read. What was sent still arrives."""
        if not self.is_closed:
            self._shut(Packet.RST if self.received else Packet.FIN)

    def reset(self) -> None:
        """Close with RST."""
        if not self.is_closed:
            self._shut(Packet.RST)

    def abandon(self) -> None:
        """Close before there is a connection; nothing is sent."""
        self.is_closed = True
        self._wire.forget()

    # For the network

    def emit(self, packet: Packet) -> None:
        """The kernel sends something by itself: at once, however busy the program is."""
        self._wire.send(packet, b"", trio.current_time())

    def arrived(self, packet: Packet, data: bytes) -> None:
        """Take a packet."""
        if packet is Packet.RST:
            self._wire.forget()
            self._ended(End.RESET)
        elif self.is_closed:
            if packet is not Packet.FIN:
                self.emit(Packet.RST)
        elif packet is Packet.SYN_ACK:
            self.is_connected = True
            self.on_input()
        elif packet is Packet.FIN:
            self._ended(End.CLOSED)
        else:
            self.received += data
            self.on_input()

    def peer_has_read(self, size: int) -> None:
        """So much of what was sent here. Who waits for room hears of it when an acknowledgement
        would be back."""
        self._unread_bytes -= size
        if self._wants_room:
            self._wants_room = False
            self._wire.call_later(self._tell_of_room)

    def gave_up(self) -> None:
        """What was sent did not arrive, however often it was tried."""
        self._ended(End.TIMED_OUT)

    def _ended(self, end: End) -> None:
        if not self.is_broken:
            self.end = end
            self.on_input()
            self.on_room()

    def _shut(self, packet: Packet) -> None:
        self.is_closed = True
        self.on_input = self.on_room = _nobody_listens
        if not self.is_broken:
            self._wire.send(packet, b"", self._leaves_at_s())

    def _tell_of_room(self) -> None:
        self.on_room()


def _nobody_listens() -> None:
    """The default of a socket's callbacks."""
