"""One connect attempt: a stream to the lane, the hello, the server's answer. All bounded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from hwangso_client.events import Outcome
from hwangso_client.network import Network
from hwangso_client.session import RECEIVE_BYTES
from hwangso_protocol.client import ClientConnection
from hwangso_protocol.errors import Fault
from hwangso_protocol.events import (
    Answered,
    Deferred,
    Event,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Refused,
)
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Error, Welcome

CONNECT_TIMEOUT_S: Final = 10.0
"""Covers three SYNs (sent after 0, 1 and 3 s; RFC 6298) and the round trip of a slow radio."""

ANSWER_TIMEOUT_S: Final = 5.0
"""From the hello to its answer. Phones of 2016 waited about as long; a server that cannot log in
says so with a DEFER at once, so a longer silence means that nobody is there."""

ENROL_TIMEOUT_S: Final = 60.0
"""From the password to its answer: the server hashes passwords a few at a time (Argon2id), and an
enrolment given up too early is hashed again."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A session is ready; the stream is the caller's. `rest` are the events that came after the
    Welcome in the same bytes."""

    stream: trio.abc.Stream
    connection: ClientConnection
    welcome: Welcome
    rest: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Denied:
    """An authenticated no."""

    error: Error


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer that says anything. `detail` is for people."""

    outcome: Outcome
    detail: str
    fault: Fault | None = None


Answer = Welcomed | Denied | Deferred | Refused | Failed


async def attempt(
    network: Network,
    lane: Intent,
    make_connection: Callable[[], ClientConnection],
    *,
    connect_timeout_s: float,
    answer_timeout_s: float,
) -> Answer:
    """Connect, say hello, and wait for what the server makes of it.

    The connection, whose making costs a Diffie-Hellman key, is made once there is a stream. After
    Welcomed the caller closes the stream; otherwise, and when cancelled, it is closed here.
    """
    stream = await _connect(network, lane, connect_timeout_s)
    if isinstance(stream, Failed):
        return stream
    try:
        answer = await _exchange(stream, make_connection(), answer_timeout_s)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    if not isinstance(answer, Welcomed):
        await stream.aclose()
    return answer


async def _connect(network: Network, lane: Intent, timeout_s: float) -> trio.abc.Stream | Failed:
    stream: trio.abc.Stream | None = None
    try:
        with trio.move_on_after(timeout_s):
            stream = await network.connect(lane)
    except OSError as error:
        return Failed(Outcome.CONNECT_FAILED, error.strerror or str(error))
    return stream or Failed(Outcome.CONNECT_TIMEOUT, f"no connection within {timeout_s:g} s")


async def _exchange(
    stream: trio.abc.Stream, connection: ClientConnection, timeout_s: float
) -> Answer:
    try:
        with trio.move_on_after(timeout_s) as scope:
            while True:
                data = connection.data_to_send()
                if data:
                    await stream.send_all(data)
                data = bytes(await stream.receive_some(RECEIVE_BYTES))
                events = connection.receive_data(data) if data else connection.receive_eof()
                for index, event in enumerate(events):
                    answer = _answer(stream, connection, event, events[index + 1 :])
                    if answer is not None:
                        return answer
                    if isinstance(event, Answered):
                        scope.deadline = trio.current_time() + ENROL_TIMEOUT_S
    except trio.BrokenResourceError as error:
        return Failed(Outcome.LOST, str(error) or "the connection broke")
    return Failed(Outcome.ANSWER_TIMEOUT, f"no answer within {timeout_s:g} s")


def _answer(
    stream: trio.abc.Stream, connection: ClientConnection, event: Event, rest: Sequence[Event]
) -> Answer | None:
    match event:
        case Answered(Welcome() as welcome) | MessageReceived(Welcome() as welcome):
            return Welcomed(stream, connection, welcome, rest)
        case Answered(Error() as error) | MessageReceived(Error() as error):
            return Denied(error)
        case Deferred() | Refused():
            return event
        case PeerFault(fault):
            return Failed(Outcome.FAULT, str(fault), fault.fault)
        case PeerClosed(reason):
            why = f"bye: {reason}" if reason else "the server closed the connection"
            return Failed(Outcome.LOST, why)
        case _:
            return None
