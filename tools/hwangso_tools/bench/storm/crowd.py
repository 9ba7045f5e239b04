"""Many devices on plain sockets in one epoll loop, which connect, are cut, and come back.

Lean, so that the server is what saturates, yet every attempt is a whole one: TCP connect, hello,
the handshake with its Diffie-Hellman, Ready. What a phone can do in quiet times is done before the
storm: the first hello, and the key pairs of the next ones. No Device, no Trio, no task per attempt.

    crowd = Crowd(host, port, Intent.BACKGROUND, tickets, Random(1))
    crowd.connect(now_s, starts, SET_UP, until_s=now_s + 60, in_flight_max=64)
    crowd.prepare(range(10_000), spare_keys=20_000)
    crowd.cut()
    outcome = crowd.connect(now_s, starts, PATIENT, until_s=now_s + 60)
"""

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.client import Attempt, ClientConnection, ResumeWith
from hwangso_protocol.events import Answered, Deferred, Event, Refused
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Login, Ready, Welcome
from hwangso_tools.bench.lines import READ_BYTES, BenchFailed
from hwangso_tools.bench.storm.plan import HeldTicket, Outcome, Patience, Start, Tally

BATCH: Final = 64
"""Attempts started, and sockets read, in one turn of the loop."""

_LOGIN: Final = Login(since=0)
"""Inboxes are empty."""
_READY: Final = Ready()
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS})
_STREAM: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


class ParentGone(Exception):
    """Whoever gave the order has closed its end of the pipe."""


class _Device:
    """Idle, or in an attempt (`connection` is set), or waiting for its next one, or connected
    (`ready_s` is set). `intended_s` is None when nobody wants it connected; `timer` numbers the one
    entry among the timers that counts, 0 for none."""

    __slots__ = (
        "attempts",
        "connection",
        "deferral_ticket",
        "failures",
        "intended_s",
        "obeys",
        "prepared",
        "ready_s",
        "socket",
        "ticket",
        "timer",
        "unsent",
    )

    def __init__(self, ticket: HeldTicket) -> None:
        self.ticket = ticket
        self.socket: socket.socket | None = None
        self.connection: ClientConnection | None = None
        self.prepared: ClientConnection | None = None
        self.unsent = b""
        self.intended_s: float | None = None
        self.ready_s: float | None = None
        self.deferral_ticket = b""
        self.attempts = 0
        self.failures = 0
        self.obeys = True
        self.timer = 0


class Crowd:
    """The devices of one generator; device `n` holds `tickets[n]`. Close it when done.

    `parent` is a descriptor that becomes readable when nobody waits for the outcome any more.
    """

    def __init__(
        self,
        host: str,
        port: int,
        intent: Intent,
        tickets: Sequence[HeldTicket],
        rng: Random,
        *,
        parent: int | None = None,
    ) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._family, self._peer = found[0], found[4]
        self._intent = intent
        self._rng = rng
        self._devices = [_Device(ticket) for ticket in tickets]
        self._by_descriptor: dict[int, _Device] = {}
        self._spare_keys: list[X25519PrivateKey] = []
        self._timers: list[tuple[float, int, _Device]] = []
        self._timers_set = 0
        self._patience = Patience(0.0, 0.0, 0.0)
        self._waiting: deque[tuple[float, _Device]] = deque()
        self._in_flight = 0
        self._start_lateness_s: list[float] = []
        self._retry_lateness_s: list[float] = []
        self._tally = Tally()
        self._epoll = select.epoll()
        self._parent = parent
        if parent is not None:
            self._epoll.register(parent, select.EPOLLIN)

    def prepare(self, devices: Iterable[int], *, spare_keys: int) -> None:
        """Make the hello of each device's next attempt, and key pairs for those that follow."""
        self._spare_keys = [X25519PrivateKey.generate() for _ in range(spare_keys)]
        for number in devices:
            device = self._devices[number]
            device.prepared = self._hello(device, X25519PrivateKey.generate())

    def cut(self) -> None:
        """Close every socket without a word, as phones that lose their network."""
        for device in list(self._by_descriptor.values()):
            self._hang_up(device)

    def connect(
        self,
        begin_s: float,
        starts: Sequence[Start],
        patience: Patience,
        *,
        until_s: float,
        in_flight_max: int | None = None,
        disobedient: frozenset[int] = frozenset(),
    ) -> Outcome:
        """Connect devices from their start on, until all are ready or it is `until_s`.

        `begin_s` and `until_s` are times of `time.monotonic`; `starts` are in the order of their
        times. Who is connected already is left out. Attempts under way at the end are given up,
        sessions stay. Raises ParentGone, and BenchFailed when there are no more sockets.
        """
        self._patience, self._tally = patience, Tally()
        self._start_lateness_s, self._retry_lateness_s = [], []
        self._see_who_is_gone()
        expected = self._expect(begin_s, starts, disobedient)
        self._waiting = deque(expected)
        in_flight_max = in_flight_max or len(expected)
        while (self._waiting or self._in_flight) and (now_s := time.monotonic()) < until_s:
            self._start_due(now_s, in_flight_max)
            self._take_timers(now_s)
            self._take_events(min(until_s, self._next_due_s(in_flight_max)))
        return self._outcome(expected)

    def close(self) -> None:
        """Drop all connections."""
        self.cut()
        self._epoll.close()

    # One order, from beginning to end

    def _see_who_is_gone(self) -> None:
        while self._take_events(0.0):
            pass

    def _expect(
        self, begin_s: float, starts: Sequence[Start], disobedient: frozenset[int]
    ) -> list[tuple[float, _Device]]:
        expected: list[tuple[float, _Device]] = []
        for start in starts:
            device = self._devices[start.device]
            if device.ready_s is None:
                device.intended_s = begin_s + start.after_s
                device.obeys = start.device not in disobedient
                expected.append((device.intended_s, device))
        return expected

    def _outcome(self, expected: Sequence[tuple[float, _Device]]) -> Outcome:
        now_s = time.monotonic()
        ready_s, never_s = [], []
        for intended_s, device in expected:
            if device.ready_s is not None:
                ready_s.append(device.ready_s - intended_s)
            else:
                never_s.append(max(0.0, now_s - intended_s))
                self._hang_up(device)
                self._begin_anew(device)
            device.intended_s = None
        self._timers, self._in_flight = [], 0
        return Outcome(
            ready_s, never_s, self._start_lateness_s, self._retry_lateness_s, self._tally
        )

    # What is due

    def _next_due_s(self, in_flight_max: int) -> float:
        next_s = self._timers[0][0] if self._timers else float("inf")
        if self._waiting and self._in_flight < in_flight_max:
            next_s = min(next_s, self._waiting[0][0])
        return next_s

    def _start_due(self, now_s: float, in_flight_max: int) -> None:
        waiting = self._waiting
        for _ in range(min(BATCH, in_flight_max - self._in_flight)):
            if not waiting or waiting[0][0] > now_s:
                return
            intended_s, device = waiting.popleft()
            self._in_flight += 1
            self._start_lateness_s.append(self._attempt(device) - intended_s)

    def _take_timers(self, now_s: float) -> None:
        timers = self._timers
        for _ in range(BATCH):
            if not timers or timers[0][0] > now_s:
                return
            due_s, number, device = heappop(timers)
            if number != device.timer:
                continue
            if device.connection is None:
                self._retry_lateness_s.append(self._attempt(device) - due_s)
            else:
                self._tally.timeouts += 1
                self._failed(device)

    def _set_timer(self, device: _Device, due_s: float) -> None:
        self._timers_set += 1
        device.timer = self._timers_set
        heappush(self._timers, (due_s, device.timer, device))

    def _take_events(self, until_s: float) -> int:
        """Wait for sockets, until then at most; handle a batch of them, and say of how many."""
        pause_s = until_s - time.monotonic()
        if pause_s > 0:
            # To the microsecond; the timeout of an epoll is rounded up to a millisecond.
            select.select([self._epoll], (), (), pause_s)
        happened = self._epoll.poll(0, BATCH)
        for descriptor, _ in happened:
            if descriptor == self._parent:
                raise ParentGone
            device = self._by_descriptor[descriptor]
            opened = device.socket
            if opened is None:
                continue
            if device.unsent:
                self._send_hello(device, opened)
                if device.socket is opened and not device.unsent:
                    self._epoll.modify(opened, select.EPOLLIN)
            else:
                self._read(device, opened)
        return len(happened)

    # One attempt

    def _attempt(self, device: _Device) -> float:
        """Connect and say hello; gives the time when it began."""
        now_s = time.monotonic()
        connection, device.prepared = device.prepared, None
        if connection is None:
            key = self._spare_keys.pop() if self._spare_keys else X25519PrivateKey.generate()
            connection = self._hello(device, key)
        device.attempts += 1
        self._tally.attempts += 1
        self._set_timer(device, now_s + self._patience.timeout_s)
        try:
            opened = socket.socket(self._family, _STREAM)
        except OSError as error:
            raise BenchFailed(f"no more sockets: {error.strerror}") from None
        device.socket, device.connection = opened, connection
        self._by_descriptor[opened.fileno()] = device
        if opened.connect_ex(self._peer) in _UNDER_WAY:
            device.unsent = connection.data_to_send()
            self._epoll.register(opened, select.EPOLLIN)
            # On loopback the connection is there at once, and the hello goes out right away.
            self._send_hello(device, opened)
            if device.unsent:
                self._epoll.modify(opened, select.EPOLLOUT)
        else:
            self._broken(device)
        return now_s

    def _hello(self, device: _Device, key: X25519PrivateKey) -> ClientConnection:
        held = device.ticket
        return ClientConnection(
            ResumeWith(held.ticket, held.psk, _LOGIN),
            Attempt(self._intent, device.attempts + 1, device.deferral_ticket),
            os.urandom,
            ephemeral=key,
        )

    def _send_hello(self, device: _Device, opened: socket.socket) -> None:
        try:
            sent = opened.send(device.unsent)
        except BlockingIOError:
            return
        except OSError:
            self._broken(device)
            return
        device.unsent = device.unsent[sent:]

    def _read(self, device: _Device, opened: socket.socket) -> None:
        try:
            data = opened.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection = device.connection
        if connection is None:
            if not data:  # what it is told otherwise is of no interest here
                self._lost(device)
        elif not data:
            self._broken(device)
        else:
            for event in connection.receive_data(data)[:1]:  # the answer is the first
                self._answered(device, opened, connection, event)

    def _answered(
        self, device: _Device, opened: socket.socket, connection: ClientConnection, event: Event
    ) -> None:
        match event:
            case Answered(Welcome(ticket=ticket, psk=psk)):
                connection.send(_READY)
                try:
                    opened.send(connection.data_to_send())
                except OSError:
                    self._broken(device)
                    return
                device.ready_s = time.monotonic()
                device.ticket = HeldTicket(ticket, psk)
                self._in_flight -= 1
                self._begin_anew(device)
            case Deferred(wait_s, _, deferral_ticket, authentic):
                self._tally.unproven_deferrals += not authentic
                if device.obeys:
                    self._tally.deferrals += 1
                    self._hang_up(device)
                    device.deferral_ticket = deferral_ticket
                    self._set_timer(device, time.monotonic() + wait_s)
                else:
                    self._tally.disobeyed += 1
                    self._failed(device)
            case Refused(_, retry_after_s):
                self._tally.refusals += 1
                self._failed(device, at_least_s=retry_after_s)
            case Answered(denial):
                raise BenchFailed(f"a resume was denied: {denial}")
            case _:
                self._broken(device)

    def _begin_anew(self, device: _Device) -> None:
        """What the last attempts were does not count any more."""
        device.connection = None
        device.timer = device.attempts = device.failures = 0
        device.deferral_ticket = b""

    def _broken(self, device: _Device) -> None:
        self._tally.broken += 1
        self._failed(device)

    def _failed(self, device: _Device, at_least_s: float = 0.0) -> None:
        self._hang_up(device)
        device.failures += 1
        wait_s = max(self._patience.backoff_s(device.failures, self._rng), at_least_s)
        self._set_timer(device, time.monotonic() + wait_s)

    def _lost(self, device: _Device) -> None:
        """The server ended its session; it comes back if it is still wanted."""
        self._tally.lost += 1
        if device.intended_s is None:
            self._hang_up(device)
        else:
            self._in_flight += 1
            self._failed(device)

    def _hang_up(self, device: _Device) -> None:
        if device.socket is not None:
            del self._by_descriptor[device.socket.fileno()]
            device.socket.close()
        device.socket = device.connection = device.ready_s = None
        device.unsent = b""
        device.timer = 0
