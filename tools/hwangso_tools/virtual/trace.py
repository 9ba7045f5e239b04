"""All that went over a virtual network, as one digest and the newest lines."""

import struct
from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from hashlib import sha256
from typing import Final

_EVENT: Final = struct.Struct("!dQBBI")
"""Time, connection, direction, what, length of the data that follow."""

LINES_KEPT: Final = 0
"""Unless asked for: a storm has millions of events."""

SHOWN_BYTES: Final = 24
"""Of an event's data, in a line for people."""


class Direction(IntEnum):
    """Which way a packet goes."""

    TO_SERVER = 0
    TO_PHONE = 1


class Packet(IntEnum):
    """What a packet is: the parts of TCP (RFC 9293) that show."""

    SYN = 0
    SYN_ACK = 1
    DATA = 2
    FIN = 3
    RST = 4


class Fate(IntEnum):
    """What became of a packet when it should have arrived."""

    ARRIVED = 0
    LOST = 1
    """Dropped on its way or by a full queue; it is sent again."""
    GIVEN_UP = 2
    """Sent for the last time, and not answered: the sender gives its connection up."""


class Trace:
    """Takes each event in as it happens. Two runs with one digest were the same, byte for byte."""

    def __init__(self, *, lines_kept: int = LINES_KEPT) -> None:
        self._hash = sha256()
        self._newest: deque[tuple[float, int, Direction, Packet, Fate, bytes]] = deque(
            maxlen=lines_kept
        )
        self._keeps = lines_kept > 0
        self.events = 0

    def record(
        self,
        at_s: float,
        connection: int,
        direction: Direction,
        packet: Packet,
        fate: Fate,
        data: bytes,
    ) -> None:
        """Take one event in."""
        self.events += 1
        what = packet << 4 | fate
        self._hash.update(_EVENT.pack(at_s, connection, direction, what, len(data)))
        if data:
            self._hash.update(data)
        if self._keeps:
            self._newest.append((at_s, connection, direction, packet, fate, data))

    def digest(self) -> str:
        """SHA-256 of all events so far, hexadecimal."""
        return self._hash.hexdigest()

    def lines(self) -> Iterator[str]:
        """The newest events, oldest first, one line each."""
        for at_s, connection, direction, packet, fate, data in self._newest:
            arrow = "<-" if direction is Direction.TO_PHONE else "->"
            line = f"{at_s:.6f} #{connection} {arrow} {packet.name}"
            if fate is not Fate.ARRIVED:
                line += f" {fate.name}"
            if data:
                more = "..." if len(data) > SHOWN_BYTES else ""
                line += f" {len(data)} B {data[:SHOWN_BYTES].hex()}{more}"
            yield line
