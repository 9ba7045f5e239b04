"""Lanes: the listening sockets, one for each intent.

The first queue of a server is the kernel's accept queue, and it is first-in first-out: with one
listener no cleverness behind `accept` can let foreground overtake (design, section 5: foreground
p99 in a storm 1,700 ms with one listener, 9 to 16 ms with two lanes and parked sessions).
"""

import errno
import socket
import sys
from dataclasses import dataclass

from hwangso_protocol.hello import Intent
from hwangso_server.limits import ACCEPT_BATCH, HELLO_TIMEOUT_S, LISTEN_BACKLOG

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


def accept(lane: Lane) -> socket.socket | None:
    """The next connection of a lane; None if nobody waits.

    Raises OSError when the process or the system is out of resources: they wait in the kernel.
    """
    for _ in range(ACCEPT_BATCH):
        try:
            connection, _ = lane.listener.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                raise
            continue  # the peer hung up while it waited in the queue
        return connection
    return None
