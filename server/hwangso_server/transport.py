"""What a session needs from the connection below it, whatever that is.

Two implementations: `parking` (sockets parked in one epoll, no task each) and `streaming` (any Trio
stream, two tasks each: virtual time, and systems without epoll). Everything here is called on the
Trio thread.
"""

from collections.abc import Callable
from typing import Protocol

from hwangso_protocol.hello import Intent


class Transport(Protocol):
    """Where a session's bytes go."""

    @property
    def backlog_bytes(self) -> int:
        """Written, and not yet taken by the network."""

    def write(self, data: bytes) -> None:
        """Send in order, or keep until the peer takes it. Never blocks, never raises; the session
        must watch `backlog_bytes`."""

    def close(self) -> None:
        """Take no more input; close as soon as the backlog is sent. The receiver hears no more."""

    def abort(self) -> None:
        """Close now; what was not sent is lost."""


class Receiver(Protocol):
    """Who hears about a connection: the session."""

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer."""

    def connection_lost(self) -> None:
        """The peer has closed, or the connection broke. The transport is closed; comes once, and
        not after `close` or `abort`."""


class WatchedTransport(Transport, Protocol):
    """A transport that reads by itself, and tells a receiver what came."""

    def attach(self, receiver: Receiver) -> None:
        """Tell who hears about this connection from now on."""


Greet = Callable[[Transport, Intent | None], Receiver]
"""Makes the receiver of a new connection that came in through a lane."""
