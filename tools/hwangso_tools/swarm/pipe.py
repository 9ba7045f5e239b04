"""How a swarm's parent and its worker processes talk: a `channel` over the worker's stdin and
stdout, with an Order in each frame from the parent and a Report in each from the worker. In order
of time:

    parent  Begin                        worker  Progress, every PROGRESS_EVERY_S from here on
                                         worker  Enrolled
    parent  Chat                         (all workers begin to chat; Progress tells how far)
    parent  Finish                       worker  Part, some; Done, the last frame

The end of either pipe ends the other side: a worker never outlives its parent.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
import trio

from hwangso_tools.channel import FrameReader
from hwangso_tools.swarm.figures import Snapshot
from hwangso_tools.swarm.ledger import Books
from hwangso_tools.swarm.plan import Plan
from hwangso_tools.swarm.saturation import Load

PROGRESS_EVERY_S: Final = 0.5
BOOKS_CHUNK: Final = 10_000
"""Messages in one Part: about 400 kB."""


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


def order_reader(stream: trio.abc.ReceiveStream) -> FrameReader[Order]:
    """The worker's side."""
    return FrameReader[Order](stream, msgspec.msgpack.Decoder(Order).decode)


def report_reader(stream: trio.abc.ReceiveStream) -> FrameReader[Report]:
    """The parent's side."""
    return FrameReader[Report](stream, msgspec.msgpack.Decoder(Report).decode)
