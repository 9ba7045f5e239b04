"""What it costs the server to answer a hello with DEFER."""

import os
from collections.abc import Sequence
from typing import Final

from hwangso_protocol.client import Attempt, ClientConnection, ResumeWith
from hwangso_protocol.events import Deferred
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Login
from hwangso_tools.bench.lines import BenchFailed, Deadline, Line, Lines
from hwangso_tools.bench.logins import IN_FLIGHT, POLL_S
from hwangso_tools.bench.meter import Meter, Usage
from hwangso_tools.bench.storm.plan import HeldTicket

DEADLINE_S: Final = 60.0


def resumes(tickets: Sequence[HeldTicket]) -> list[ClientConnection]:
    """A background resume for each ticket, its hello ready to be sent."""
    return [
        ClientConnection(
            ResumeWith(held.ticket, held.psk, Login(since=0)),
            Attempt(Intent.BACKGROUND),
            os.urandom,
        )
        for held in tickets
    ]


def defer_all(lines: Lines, connections: Sequence[ClientConnection], server_pid: int) -> Usage:
    """Have all say hello, IN_FLIGHT at a time, until each has its DEFER.

    The server must be in a stage that defers them all; raises BenchFailed if it admits one.
    """
    opened = [Line(connection, number) for number, connection in enumerate(connections)]
    deadline = Deadline(DEADLINE_S, f"{len(opened)} deferrals")
    meter = Meter(server_pid)
    started = min(IN_FLIGHT, len(opened))
    for line in opened[:started]:
        lines.open(line)
    deferred = 0
    while deferred < len(opened):
        deadline.check()
        for line, events in lines.poll(POLL_S):
            for event in events:
                if not isinstance(event, Deferred):
                    raise BenchFailed(f"a device was not deferred: {event}")
                lines.drop(line)
                deferred += 1
                if started < len(opened):
                    lines.open(opened[started])
                    started += 1
    return meter.usage()
