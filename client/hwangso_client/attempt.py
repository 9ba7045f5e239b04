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


ABANDONED: Final = Failed(Outcome.ABANDONED, "")
"""The device gave the attempt up by itself."""

Answer = Welcomed | Denied | Deferred | Refused | Failed


class AttemptTask:
    """One attempt, which can be given up from outside. `run` it once."""

    __slots__ = ("_deadline_means", "_scope")

    def __init__(self) -> None:
        # One scope for all waits, its deadline moved along: a scope costs 10 us.
        self._scope = trio.CancelScope()
        self._deadline_means = ABANDONED

    def give_up(self, because: Failed = ABANDONED) -> None:
        """End it with that answer; nothing happens if there is an answer already."""
        self._deadline_means = because
        self._scope.cancel()

    async def run(
        self,
        network: Network,
        lane: Intent,
        make_connection: Callable[[], ClientConnection],
        *,
        connect_timeout_s: float,
        answer_timeout_s: float,
    ) -> Answer:
        """Connect, say hello, and wait for what the server makes of it.

        The connection, whose making costs a Diffie-Hellman key, is made once there is a stream.
        After Welcomed the caller closes the stream; otherwise, and when cancelled, it is closed
        here.
        """
        answer: Answer | None = None
        with self._scope:
            try:
                self._allow(connect_timeout_s, Outcome.CONNECT_TIMEOUT, "no connection")
                stream = await network.connect(lane)
            except OSError as error:
                return Failed(Outcome.CONNECT_FAILED, error.strerror or str(error))
            try:
                self._allow(answer_timeout_s, Outcome.ANSWER_TIMEOUT, "no answer")
                answer = await self._exchange(stream, make_connection())
            except trio.BrokenResourceError as error:
                answer = Failed(Outcome.LOST, str(error) or "the connection broke")
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            if not isinstance(answer, Welcomed):
                await stream.aclose()
        # Given up while it was closing: there was an answer, and a DEFER is worth knowing.
        return self._deadline_means if answer is None else answer

    def _allow(self, timeout_s: float, outcome: Outcome, what: str) -> None:
        self._scope.deadline = trio.current_time() + timeout_s
        self._deadline_means = Failed(outcome, f"{what} within {timeout_s:g} s")

    async def _exchange(self, stream: trio.abc.Stream, connection: ClientConnection) -> Answer:
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
                    self._allow(ENROL_TIMEOUT_S, Outcome.ANSWER_TIMEOUT, "no answer")


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
