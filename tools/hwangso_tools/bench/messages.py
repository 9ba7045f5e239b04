"""Direct messages a second, and their delivery latency at half that rate.

Pairs of devices: one writes, the other gets it. Each message is on disk before the writer has its
acknowledgement. Saturated: each pair keeps WINDOW messages in flight; one is done when its writer
has the acknowledgement and its reader the message. Then an open loop: messages are due at random
times (a Poisson process) at half the rate just measured, whatever became of those before, and
latency counts from when a message was due.
"""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwangso_protocol.events import MessageReceived
from hwangso_protocol.messages import (
    Deliver,
    Error,
    Message,
    More,
    Page,
    Received,
    Send,
    Sent,
    Sync,
)
from hwangso_tools.bench.fixture import user_name
from hwangso_tools.bench.lines import BenchFailed, Deadline, Line, Lines
from hwangso_tools.bench.meter import Meter, Usage
from hwangso_tools.swarm.latencies import Latencies

WINDOW: Final = 2
BODY_BYTES: Final = 100
WARM_UP_S: Final = 1.0
SATURATED_S: Final = 10.0
OPEN_LOOP_S: Final = 10.0
DRAIN_WITHIN_S: Final = 30.0

RECEIVED_EVERY: Final = 16
"""A reader tells the server how far it has got after so many messages; phones do so a few seconds
after the first, for all that came."""

NUMBER_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Saturated:
    """Messages delivered and acknowledged within `usage`."""

    messages: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Latencies from the due time to receipt, and how late the generator itself was."""

    rate_per_s: float
    delivery: Latencies
    lateness: Latencies
    usage: Usage


class Pairs:
    """Connected pairs: line `2n` writes to the user of line `2n + 1`."""

    def __init__(self, lines: Lines, opened: Sequence[Line], server_pid: int) -> None:
        self._lines = lines
        self._writers = opened[0::2]
        self._server_pid = server_pid
        self._received = [0] * len(opened)
        self._due: list[float] = []
        self._delivered = 0
        self._acknowledged = 0
        self._delivery = Latencies()

    def saturate(self) -> Saturated:
        """Keep WINDOW messages of each pair in flight, for WARM_UP_S and then SATURATED_S."""
        self._due = []
        refill = [0] * (2 * len(self._writers))
        for writer in self._writers:
            for _ in range(WINDOW):
                self._send(writer, 0.0)
        self._run_saturated(refill, WARM_UP_S)
        meter, before = Meter(self._server_pid), self._delivered
        self._run_saturated(refill, SATURATED_S)
        usage = meter.usage()
        done = self._delivered - before
        self._drain()
        return Saturated(done, usage)

    def open_loop(self, rate_per_s: float, rng: random.Random) -> OpenLoop:
        """Send at random times, `rate_per_s` on average, for OPEN_LOOP_S."""
        self._delivery = Latencies()
        lateness = Latencies()
        meter = Meter(self._server_pid)
        start = time.perf_counter()
        due = start + rng.expovariate(rate_per_s)
        while due < start + OPEN_LOOP_S:
            now = time.perf_counter()
            if now < due:
                # The kernel's timers are a millisecond coarse: closer to the time, do not sleep.
                self._poll(0.0 if due - now < 0.002 else due - now - 0.001)
                continue
            self._send(self._writers[rng.randrange(len(self._writers))], due)
            lateness.record(now - due)
            due += rng.expovariate(rate_per_s)
        usage = meter.usage()
        self._drain()
        return OpenLoop(rate_per_s, self._delivery, lateness, usage)

    def _run_saturated(self, refill: list[int], seconds: float) -> None:
        """Send the next message of a pair when one of its messages is done at both ends: `refill`
        counts each end's events, by pair."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for number in self._poll(0.1):
                pair = number & ~1
                refill[number] += 1
                if refill[number] <= refill[number ^ 1]:
                    self._send(self._writers[pair // 2], 0.0)

    def _send(self, writer: Line, due: float) -> None:
        number = len(self._due)
        self._due.append(due)
        body = f"{number:0{NUMBER_DIGITS}d}".ljust(BODY_BYTES, ".")
        to = user_name(writer.number + 1)
        writer.connection.send(Send(id=os.urandom(16), to=to, body=body))
        writer.flush()

    def _poll(self, timeout_s: float) -> list[int]:
        """Take what arrived; the numbers of the lines that a message was done at."""
        done: list[int] = []
        for line, events in self._lines.poll(timeout_s):
            for event in events:
                if isinstance(event, MessageReceived):
                    done += [line.number] * self._take(line, event.message)
            line.flush()
        return done

    def _take(self, line: Line, message: Message) -> int:
        """How many messages are done at this end."""
        match message:
            case Sent():
                self._acknowledged += 1
                return 1
            case Deliver(entries) | Page(entries=entries):
                now = time.perf_counter()
                for entry in entries:
                    due = self._due[int(entry.body[:NUMBER_DIGITS])]
                    if due:
                        self._delivery.record(now - due)
                self._delivered += len(entries)
                if entries:
                    self._confirm(line, entries[-1].seq)
                return len(entries)
            case More():
                line.connection.send(Sync(since=self._received[line.number]))
            case Error(code, detail):
                raise BenchFailed(f"the server answered a message with {code.value} {detail}")
            case _:
                pass
        return 0

    def _confirm(self, line: Line, seq: int) -> None:
        if seq // RECEIVED_EVERY > self._received[line.number] // RECEIVED_EVERY:
            line.connection.send(Received(seq))
        self._received[line.number] = seq

    def _drain(self) -> None:
        """Wait for all that is on its way."""
        deadline = Deadline(DRAIN_WITHIN_S, "messages on their way")
        sent = len(self._due)
        while min(self._delivered, self._acknowledged) < sent:
            deadline.check()
            self._poll(0.1)
        self._due, self._delivered, self._acknowledged = [], 0, 0
