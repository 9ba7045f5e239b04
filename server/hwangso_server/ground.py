"""What lies below the dispatcher: listening lanes and parked connections, real or virtual.

`sockets` is the ground of real sockets; virtual time brings its own.
"""

from collections.abc import Sequence
from typing import Protocol

from hwangso_protocol.hello import Intent
from hwangso_server.processor import Processor
from hwangso_server.transport import WatchedTransport


class Caller(Protocol):
    """An accepted connection whose hello is not answered yet. Nothing watches it meanwhile: the
    dispatcher asks `is_gone` before it spends a handshake on it."""

    @property
    def waited_s(self) -> float:
        """How long its first bytes lay in the accept queue, at the time of `accept`; 0 where that
        is not known."""

    def read(self) -> bytes | None:
        """What it has sent so far and was not read: `b""` if it has hung up, None if there is
        nothing yet."""

    def is_gone(self) -> bool:
        """Whether it has hung up, or broken the connection. Never blocks."""

    def answer(self, data: bytes) -> None:
        """Send a last answer, and close."""

    def close(self) -> None:
        """Close without a word."""

    def park(self) -> WatchedTransport | None:
        """Have the ground watch the connection from now on; None, and it is closed, if there is no
        room. The caller of this must `attach` a receiver to the transport at once; this object is
        not to be used any more."""


class Ground(Protocol):
    """Where connections come from, and where the parked ones are."""

    @property
    def lanes(self) -> Sequence[Intent | None]:
        """The lanes there are: FOREGROUND and BACKGROUND, or None alone in single-port mode."""

    async def wait(self) -> None:
        """Until a lane has a caller, or a parked connection something to say."""

    def has_person(self) -> bool:
        """Whether a lane that people come through has a caller: background then waits."""

    def accept(self, lane: Intent | None) -> Caller | None:
        """The next caller of a lane; None if there is none."""

    def serve(self, processor: Processor, until_s: float) -> bool:
        """Feed the receivers of parked connections that have something to say, until all have been
        served once or the processor has spent `until_s` in this turn. Charges what it does; tells
        whether anybody had something to say."""

    def clean_up(self, processor: Processor, until_s: float) -> None:
        """Close parked connections whose peers are gone, likewise. Those left over are work: `wait`
        returns at once."""

    def close_lanes(self) -> None:
        """Accept nobody any more."""
