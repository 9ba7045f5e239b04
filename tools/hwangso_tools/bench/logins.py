"""Logins and resumes a second: N devices, at most 64 connects in flight, all stay connected."""

import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwangso_protocol.client import Attempt, ClientConnection, LoginWith, ResumeWith
from hwangso_protocol.events import Answered, Deferred, MessageReceived, Refused
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Login, Ping, Pong, Ready, Welcome
from hwangso_tools.bench.fixture import Fixture
from hwangso_tools.bench.lines import BenchFailed, Deadline, Line, Lines
from hwangso_tools.bench.meter import Meter, Usage

IN_FLIGHT: Final = 64
"""As in the comparison with other servers (`shared/peers`)."""

DEADLINE_S: Final = 120.0
POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """All devices are connected. `welcomes` are in the order of the connections given."""

    usage: Usage
    welcomes: Sequence[Welcome]


def login_connections(fixture: Fixture) -> list[ClientConnection]:
    """A login (IK) for each device, its hello ready to be sent."""
    login = Login(since=0, limit=0)
    return [
        ClientConnection(
            LoginWith(fixture.server_key, key, login), Attempt(Intent.BACKGROUND), os.urandom
        )
        for key in fixture.device_keys
    ]


def resume_connections(welcomes: Sequence[Welcome]) -> list[ClientConnection]:
    """A resume (NNpsk0) for each device, from what its last session left it."""
    return [
        ClientConnection(
            ResumeWith(welcome.ticket, welcome.psk, Login(since=welcome.head)),
            Attempt(Intent.BACKGROUND),
            os.urandom,
        )
        for welcome in welcomes
    ]


def connect_all(lines: Lines, connections: Sequence[ClientConnection], server_pid: int) -> LoggedIn:
    """Log all in, and measure until the server holds every session live.

    A client is done when it has sent its Ready. The server has then still to read the last of
    them, so the clock stops when it has answered a ping on each of the last IN_FLIGHT.
    """
    opened = [Line(connection, number) for number, connection in enumerate(connections)]
    welcomes: dict[int, Welcome] = {}
    gc.collect()
    gc.freeze()  # thousands of connections, to be looked through by no collection while we measure
    deadline = Deadline(DEADLINE_S, f"{len(connections)} logins")
    meter = Meter(server_pid)
    started = min(IN_FLIGHT, len(opened))
    for line in opened[:started]:
        lines.open(line)
    while len(welcomes) < len(opened):
        deadline.check()
        for line, events in lines.poll(POLL_S):
            for event in events:
                if isinstance(event, Deferred | Refused):
                    raise BenchFailed(f"a login was not admitted: {event}")
                if isinstance(event, Answered):
                    welcomes[line.number] = _welcome(event)
                    line.connection.send(Ready())
                    line.flush()
                    if started < len(opened):
                        lines.open(opened[started])
                        started += 1
    ping_all(lines, opened[-IN_FLIGHT:])
    usage = meter.usage()
    ping_all(lines, opened)
    return LoggedIn(usage, [welcomes[number] for number in range(len(opened))])


def ping_all(lines: Lines, opened: Sequence[Line]) -> None:
    """Wait until the server has answered a ping on each: then it holds these sessions live."""
    deadline = Deadline(DEADLINE_S, f"{len(opened)} pings")
    for line in opened:
        line.connection.send(Ping(1))
        line.flush()
    answered = 0
    while answered < len(opened):
        deadline.check()
        for _, events in lines.poll(POLL_S):
            answered += sum(
                isinstance(event, MessageReceived) and isinstance(event.message, Pong)
                for event in events
            )


def _welcome(event: Answered) -> Welcome:
    if not isinstance(event.answer, Welcome):
        raise BenchFailed(f"a login was denied: {event.answer}")
    return event.answer
