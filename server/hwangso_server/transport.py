"""What a session needs from the connection below it, whatever that is.

Two implementations: `parking` (sockets parked in one epoll, no task each) and `streaming` (any Trio
stream, two tasks each: virtual time, and systems without epoll). Everything here is called on the
Trio thread.
"""

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import trio

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


Greet = Callable[[Transport, Intent | None], Receiver]
"""Makes the receiver of a new connection that came in through a lane."""


class SocketReader(Protocol):
    """Reads all accepted sockets and feeds their receivers; one object for the whole server.

    `start` its `run` in a nursery before the first `take`. Leaving the context, after `run` has
    ended, closes what is still open.
    """

    def __enter__(self) -> Self:
        """Nothing is open yet."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all sockets."""

    def __len__(self) -> int:
        """How many sockets are open."""

    def take(self, sock: socket.socket, lane: Intent | None) -> None:
        """Own an accepted socket from now on."""

    async def wait_empty(self) -> None:
        """Wait until no socket is open."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
