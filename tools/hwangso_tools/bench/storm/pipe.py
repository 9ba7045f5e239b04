"""How a storm's parent and its generators talk: a `channel` over the generator's stdin and stdout.
Each Order is answered by one Report before the next is given:

    Begin     Done, the first of all
    Prepare   Done
    Connect   Connected
    HangUp    Done

Any of them may be answered by Failed, the last. A generator ends when its input does, also in the
middle of a storm: it never outlives its parent.
"""

from collections.abc import Sequence
from typing import BinaryIO, Final, TypeAlias

import msgspec

from hwangso_protocol.hello import Intent
from hwangso_tools.bench.storm.plan import HeldTicket, Outcome, Patience, Start
from hwangso_tools.channel import HEADER_BYTES, length_of, pack

ORDERS: Final = 0
"""The generator's descriptor for orders: its standard input."""


class _Frame(msgspec.Struct, frozen=True, tag_field="t"):
    """Common to all frames."""


class Begin(_Frame, frozen=True, tag="begin"):
    """Be the crowd with these tickets. `realtime`: with real-time priority, if you may have it."""

    host: str
    port: int
    intent: Intent
    tickets: Sequence[HeldTicket]
    seed: int
    realtime: bool = False


class Prepare(_Frame, frozen=True, tag="prepare"):
    """Make the next hello of these devices, and `spare_keys` key pairs for those that follow."""

    devices: Sequence[int]
    spare_keys: int = 0


class Connect(_Frame, frozen=True, tag="connect"):
    """`Crowd.connect` with these arguments; with `cut`, close all sockets first, at `begin_s`."""

    begin_s: float
    until_s: float
    starts: Sequence[Start]
    patience: Patience
    cut: bool = False
    in_flight_max: int | None = None
    disobedient: Sequence[int] = ()


class HangUp(_Frame, frozen=True, tag="hang_up"):
    """Close all sockets."""


class Done(_Frame, frozen=True, tag="done"):
    """It is done. `realtime`: whether this process runs with that priority."""

    realtime: bool


class Connected(_Frame, frozen=True, tag="connected"):
    """What became of it; `cut_s` is how long it took to close all sockets."""

    outcome: Outcome
    cut_s: float


class Failed(_Frame, frozen=True, tag="failed"):
    """It cannot be done: one line why. The generator ends."""

    why: str


Order: TypeAlias = Begin | Prepare | Connect | HangUp
Report: TypeAlias = Done | Connected | Failed


def read_order(orders: BinaryIO) -> Order | None:
    """The generator's next order, None at the end of its input. Raises ChannelError."""
    header = orders.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    data = orders.read(length_of(header))
    return msgspec.msgpack.decode(data, type=Order) if data else None


def write_report(reports: BinaryIO, report: Report) -> None:
    """Answer an order. Raises BrokenPipeError when the parent has gone."""
    reports.write(pack(report))
    reports.flush()
