"""One live connection: the task that reads, the task that writes, and how they end together.

The writing task sends whatever is due, then sleeps until the next deadline or until it is nudged;
all timers of a session are numbers that it looks at. The reading task takes what comes. Whoever
finds that the session is over says why, once; then both end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

import trio

from hwangso_client.doorbell import Doorbell
from hwangso_client.errors import RequestFailed
from hwangso_client.events import SessionEnd
from hwangso_client.keepalive import Check, Keepalive
from hwangso_client.mailbox import Mailbox
from hwangso_client.nursery import open_plain_nursery
from hwangso_protocol.client import ClientConnection
from hwangso_protocol.events import Event, MessageReceived, PeerClosed, PeerFault
from hwangso_protocol.messages import (
    Background,
    ByeReason,
    DeviceInfo,
    DeviceList,
    Error,
    Foreground,
    ListDevices,
    Message,
    Ping,
    Pong,
    Ready,
    RevokeDevice,
)
from hwangso_protocol.states import State

SEND_TIMEOUT_S: Final = 10.0
"""A peer that takes no bytes for this long is as dead as one that answers no ping."""

RECEIVE_BYTES: Final = 16_384
"""Read at once: any single message, and no 64 KiB buffer for each of thousands of devices."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended. `reason` is that of the server's Bye, if it said one."""

    end: SessionEnd
    detail: str = ""
    reason: ByeReason | None = None


class Request:
    """A question with one answer. Wait for `done`, then look at `failure`, then at `answer`."""

    __slots__ = ("answer", "done", "failure", "message")

    def __init__(self, message: ListDevices | RevokeDevice) -> None:
        self.message = message
        self.done = trio.Event()
        self.answer: tuple[DeviceInfo, ...] = ()
        self.failure: RequestFailed | None = None

    def finish(self, failure: RequestFailed | None = None) -> None:
        self.failure = failure
        self.done.set()


class Session:
    """A session from its Welcome on. `run` it; the other methods may be called while it runs.

    `proved` tells that the server has had a message already (it has the password of an enrolment):
    after a login or resume one is due at once. `foreground` is what the connect told the server.
    `save` makes the mailbox durable; `on_confirmed` is called when a `confirm` was answered.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        connection: ClientConnection,
        mailbox: Mailbox,
        keepalive: Keepalive,
        *,
        proved: bool,
        foreground: bool,
        save: Callable[[], None],
        on_confirmed: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._mailbox = mailbox
        self._keepalive = keepalive
        self._save = save
        self._on_confirmed = on_confirmed
        self._doorbell = Doorbell()
        self._scope: trio.CancelScope
        self._ended: Ended | None = None
        self._sleeping_until = -inf
        self._urgent = True
        self._proved = proved
        self._foreground = self._told_foreground = foreground
        self._pings = 0
        self._confirm_wanted = False
        self._confirm_ping = 0
        self._request: Request | None = None
        self._request_sent = False

    async def run(self, events: Sequence[Event]) -> Ended:
        """Until the session is over. `events` are those that came along with the Welcome."""
        try:
            async with open_plain_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._write)
                await self._read(events)
        finally:
            self._mailbox.lost()
            if self._request is not None:
                self._request.finish(RequestFailed("the session ended before the answer"))
        return self._ended or Ended(SessionEnd.CLOSED)

    def nudge(self) -> None:
        """Something in the mailbox changed: it may have to be sent earlier than was thought."""
        if self._urgent or self._deadline < self._sleeping_until:
            self._doorbell.ring()

    def set_foreground(self, foreground: bool) -> None:
        """Tell the server that the app was opened, or left."""
        self._foreground = foreground
        if foreground:
            self._mailbox.inbox.release()
        self._nudge_urgently()

    def confirm(self) -> None:
        """Ask the server whether it is there; `on_confirmed` is called, or the session ends."""
        self._confirm_wanted = True
        self._nudge_urgently()

    def ask(self, request: Request) -> None:
        """Send a request, one at a time; it is finished by the answer or the session's end."""
        self._request = request
        self._request_sent = False
        self._nudge_urgently()

    def close(self) -> None:
        """Say Bye and end."""
        self._connection.close(ByeReason.CLOSED)
        self._note(Ended(SessionEnd.CLOSED))
        self._nudge_urgently()

    def lose(self, why: str) -> None:
        """The phone has seen that its connection is gone."""
        self._over(Ended(SessionEnd.LOST, why))

    def kill(self) -> None:
        """End without a word."""
        self._over(Ended(SessionEnd.CLOSED))

    # The reading task

    async def _read(self, events: Sequence[Event]) -> None:
        connection = self._connection
        self._handle(events)
        while connection.state is not State.CLOSED:
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES)
            except trio.BrokenResourceError as error:
                self._over(Ended(SessionEnd.LOST, str(error)))
                return
            self._handle(connection.receive_data(bytes(data)) if data else connection.receive_eof())

    def _handle(self, events: Sequence[Event]) -> None:
        now = trio.current_time()
        self._keepalive.heard(now)
        for event in events:
            match event:
                case MessageReceived(message):
                    self._message_read(now, message)
                case PeerClosed(None):
                    self._over(Ended(SessionEnd.LOST, "the server closed the connection"))
                case PeerClosed(reason):
                    self._over(Ended(SessionEnd.BYE, str(reason), reason))
                case PeerFault(error):
                    self._note(Ended(SessionEnd.FAULT, str(error)))
                    self._urgent = True
                case _:
                    self._urgent = True
        self.nudge()

    def _message_read(self, now: float, message: Message) -> None:
        if self._mailbox.read(now, message):
            self._keepalive.answered(now, still_waiting=self._waiting)
        elif isinstance(message, Ping):
            if self._connection.state is State.LIVE:
                self._connection.send(Pong(message.n))
                self._urgent = True
        elif isinstance(message, Pong):
            if self._confirm_ping and message.n >= self._confirm_ping:
                self._confirm_ping = 0
                self._keepalive.answered(now, still_waiting=self._waiting)
                self._on_confirmed()
        elif self._request is not None and isinstance(message, DeviceList | Error):
            self._request_answered(self._request, message)
            self._keepalive.answered(now, still_waiting=self._waiting)

    def _request_answered(self, request: Request, answer: DeviceList | Error) -> None:
        self._request = None
        self._mailbox.may_sync = True
        if isinstance(answer, DeviceList):
            request.answer = answer.devices
            request.finish()
        else:
            why = f"the server refused the request: {answer.code} {answer.detail}".rstrip()
            request.finish(RequestFailed(why, answer.code))

    # The writing task

    async def _write(self) -> None:
        while True:
            now = trio.current_time()
            self._urgent = False
            if self._connection.state is State.LIVE and not self._queue_due(now):
                self._over(Ended(SessionEnd.DEAD_PEER, "no answer to a ping"))
                return
            data = self._connection.data_to_send()
            if data:
                if not await self._sent(data, now):
                    return
            elif self._connection.state is State.CLOSED:
                self._scope.cancel()
                return
            else:
                await self._sleep()

    async def _sent(self, data: bytes, now: float) -> bool:
        """Send; if that cannot be done, say that the session is over and return False."""
        with trio.CancelScope(deadline=now + SEND_TIMEOUT_S):
            try:
                await self._stream.send_all(data)
            except trio.BrokenResourceError as error:
                self._over(Ended(SessionEnd.LOST, str(error)))
                return False
            self._keepalive.sent(now)
            return True
        self._over(Ended(SessionEnd.DEAD_PEER, "the server takes no bytes"))
        return False

    async def _sleep(self) -> None:
        # 4.9 kB less while nothing happens, for 1.2 us when something does (measured).
        self._connection.cool()
        self._sleeping_until = self._deadline
        with trio.CancelScope(deadline=self._sleeping_until):
            await self._doorbell.wait()
        self._sleeping_until = -inf

    def _queue_due(self, now: float) -> bool:
        """Hand to the connection all that is due. False if the peer is dead."""
        check = self._keepalive.check(now)
        if check is Check.DEAD:
            return False
        messages: list[Message] = []
        if self._foreground != self._told_foreground:
            self._told_foreground = self._foreground
            messages.append(Foreground() if self._foreground else Background())
        if self._request is not None and self._request_is_due:
            self._request_sent = True
            self._mailbox.may_sync = False
            messages.append(self._request.message)
        messages += self._mailbox.due(now, self._save)
        if not self._proved and not messages:
            messages.append(Ready())
        self._proved = True
        if self._confirm_wanted or check is Check.PING:
            messages.append(self._ping(now))
        for message in messages:
            self._connection.send(message)
        if self._waiting:
            self._keepalive.asked(now)
        return True

    def _ping(self, now: float) -> Ping:
        self._pings += 1
        if self._confirm_wanted:
            self._confirm_wanted = False
            self._confirm_ping = self._pings
        self._keepalive.pinged(now)
        return Ping(self._pings)

    # Both

    @property
    def _waiting(self) -> bool:
        return self._mailbox.waiting or self._confirm_ping > 0 or self._request is not None

    @property
    def _request_is_due(self) -> bool:
        """A request was not sent yet, and its turn has come: after a Sync that was."""
        unsent = self._request is not None and not self._request_sent
        return unsent and not self._mailbox.inbox.syncing

    @property
    def _deadline(self) -> float:
        if self._request_is_due:
            return -inf
        return min(self._keepalive.deadline, self._mailbox.deadline)

    def _nudge_urgently(self) -> None:
        self._urgent = True
        self._doorbell.ring()

    def _note(self, ended: Ended) -> None:
        if self._ended is None:
            self._ended = ended

    def _over(self, ended: Ended) -> None:
        self._note(ended)
        self._scope.cancel()
