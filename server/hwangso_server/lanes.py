"""Lanes: the listening sockets, one for each intent, and their accept loops.

The first queue of a server is the kernel's accept queue, and it is first-in first-out: with one
listener no cleverness behind `accept` can let foreground overtake (design, section 5: foreground
p99 in a storm 1,700 ms with one listener, 9 to 16 ms with two lanes and parked sessions).
"""

import errno
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from hwangso_protocol.answer import Refuse, RefuseReason, encode_answer
from hwangso_protocol.hello import Intent
from hwangso_protocol.limits import HELLO_MAX_BYTES
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS
from hwangso_server.counts import Count, Counts
from hwangso_server.limits import (
    ACCEPT_BATCH,
    EMFILE_PAUSE_S,
    HELLO_TIMEOUT_S,
    LISTEN_BACKLOG,
)

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class ListenError(Exception):
    """A lane cannot listen; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A listening socket. `intent` is None in single-port mode."""

    intent: Intent | None
    listener: socket.socket

    @property
    def port(self) -> int:
        """The port it really listens on."""
        port: int = self.listener.getsockname()[1]
        return port


def open_lane(host: str, port: int, intent: Intent | None) -> Lane:
    """Listen on `host` and `port` (0: any free one). Raises ListenError; the caller closes it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except UnicodeError:  # from the encoding of names that DNS cannot have
        raise ListenError(f"cannot listen on {host!r}: not a host name or address") from None
    except OSError as error:
        raise ListenError(f"cannot listen on {host}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it on Linux: answers are single small writes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            # The kernel hands a connection over when its hello is there.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(HELLO_TIMEOUT_S))
        listener.bind(address)
        listener.listen(LISTEN_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        hint = "; choose another port" if error.errno == errno.EADDRINUSE else ""
        raise ListenError(f"cannot listen on {host} port {port}: {error.strerror}{hint}") from None
    return Lane(intent, listener)


def turn_away(connection: socket.socket) -> None:
    """Say that the server is full, whatever the hello says, and close."""
    connection.setblocking(False)
    with connection, suppress(OSError):
        connection.send(encode_answer(Refuse(RefuseReason.FULL, FULL_RETRY_AFTER_MS)))
        connection.recv(HELLO_MAX_BYTES)  # closed with unread bytes, TCP would reset and cut it


async def accept_forever(
    lane: Lane,
    take: Callable[[socket.socket, Intent | None], None],
    after_turn: Callable[[], None],
    counts: Counts,
) -> None:
    """Hand every connection to `take`, at most ACCEPT_BATCH a turn, until cancelled.

    With the process out of file descriptors, connections wait in the kernel's queue for a while.
    """
    while True:
        await trio.lowlevel.wait_readable(lane.listener)
        for _ in range(ACCEPT_BATCH):
            try:
                connection, _ = lane.listener.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    continue  # the peer hung up while it waited in the queue
                counts.add(Count.NO_DESCRIPTORS)
                await trio.sleep(EMFILE_PAUSE_S)
                break
            take(connection, lane.intent)
        after_turn()
