"""What a device reports about itself while it works, for tests and for swarms.

All times are `trio.current_time()` in seconds. `intended_at` is when a thing should have begun: the
moment the user opened the app, the end of a back-off, the slot of a deferral, the moment a message
was posted. Latencies count from there, so that a generator too busy to start on time does not hide
the wait of its own making (coordinated omission).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Entry, ErrorCode


class Outcome(Enum):
    """How a connect attempt ended."""

    WELCOMED = "welcomed"
    DENIED = "denied"
    DEFERRED = "deferred"
    REFUSED = "refused"
    CONNECT_FAILED = "connect failed"
    CONNECT_TIMEOUT = "connect timeout"
    ANSWER_TIMEOUT = "answer timeout"
    LOST = "lost"
    FAULT = "fault"
    ABANDONED = "abandoned"


class SessionEnd(Enum):
    """Why a session ended."""

    BYE = "bye"
    LOST = "lost"
    DEAD_PEER = "dead peer"
    FAULT = "fault"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A connect attempt begins. `started_at - intended_at` is how late this process was."""

    intent: Intent
    kind: Kind
    number: int
    intended_at: float
    started_at: float


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The attempt is over. `detail` is the code of a DENIED, REFUSED or DEFERRED, else a text.

    ABANDONED means that the device gave it up by itself: the user opened the app while a
    background attempt was under way, or closed it.
    """

    attempt: AttemptStarted
    outcome: Outcome
    ended_at: float
    detail: str = ""
    wait_s: float | None = None
    """The wait that a DEFER asked for."""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session that was ready is over. `detail` holds the reason of a Bye or the error's text."""

    ready_at: float
    ended_at: float
    end: SessionEnd
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AppReady:
    """The app was opened at `intended_at`, or lost its session then while on the screen, and its
    session is ready; attempts between them may have failed. On a connection that was live the two
    times are the same."""

    intended_at: float
    ready_at: float


@dataclass(frozen=True, slots=True)
class MessageAcknowledged:
    """The server has it on disk. `tries` is how often it was sent."""

    id: bytes
    intended_at: float
    acknowledged_at: float
    tries: int


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """The server will never take it; it has left the outbox."""

    id: bytes
    code: ErrorCode
    detail: str
    refused_at: float


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """An entry of the inbox came for the first time."""

    entry: Entry
    arrived_at: float


@dataclass(frozen=True, slots=True)
class DuplicateArrived:
    """An entry came that the device already held; nobody gets it twice."""

    entry: Entry
    arrived_at: float


DeviceEvent = (
    AttemptStarted
    | AttemptEnded
    | SessionEnded
    | AppReady
    | MessageAcknowledged
    | MessageRefused
    | MessageArrived
    | DuplicateArrived
)

Observer = Callable[[DeviceEvent], None]
"""Called on the Trio thread, between two steps of the device: it must not raise, block, or call
the device."""


def ignore(event: DeviceEvent) -> None:
    """The observer of a device that nobody observes."""
