"""One connection of one device, from accept to close.

A session is plain state, fed by a transport and by the services; it owns no task. Bytes go through
the protocol's state machine; what that says is handed to the desk (who may come in) or to the
services (what a live session wants). Everything runs on the Trio thread and nothing here waits:
work that must wait is a task of the core's, which comes back to the session when it is done.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.events import (
    Event,
    HelloReceived,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Proven,
    UnknownMessage,
)
from hwangso_protocol.hello import Hello, Intent, Kind
from hwangso_protocol.limits import PAGE_MAX_BODY_BYTES, PAGE_MAX_ENTRIES
from hwangso_protocol.messages import (
    Background,
    ByeReason,
    Deliver,
    Enrol,
    Entry,
    Error,
    ErrorCode,
    Foreground,
    ListDevices,
    Message,
    More,
    Ping,
    Pong,
    Received,
    RevokeDevice,
    Send,
    Sync,
)
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State
from hwangso_server.counts import Count
from hwangso_server.handshakes import Admitted
from hwangso_server.limits import (
    CLOSE_LINGER_S,
    ENROL_TIMEOUT_S,
    HELLO_TIMEOUT_S,
    PROOF_TIMEOUT_S,
    WRITE_BACKLOG_MAX_BYTES,
)
from hwangso_server.store.interface import StoreBusy, StoreClosed, StoreFailed
from hwangso_server.transport import Transport

if TYPE_CHECKING:
    from hwangso_server.core import Core

UNKNOWN_ID = 0
"""User and device ids start at 1; before a session knows who it is, it has this."""


class Session:
    """See the module's docstring.

    `sent_seq` is the last inbox seq this session was sent, `told_head` the head it was told of:
    while they differ the device is behind and asks for pages by itself, and new entries are not
    pushed; when they are equal each new entry is pushed at once, in order.
    """

    __slots__ = (
        "_admitted",
        "_arrived_s",
        "_bucket",
        "_core",
        "_deadline_s",
        "_enrolment",
        "_entries",
        "_entries_bytes",
        "_finished",
        "_heard_s",
        "_request_running",
        "_served_as",
        "_touched",
        "_transport",
        "connection",
        "device_id",
        "intent",
        "kind",
        "lane",
        "number",
        "online",
        "sends_in_flight",
        "sent_seq",
        "terms",
        "told_head",
        "user_id",
        "user_name",
    )

    def __init__(
        self,
        core: "Core",
        transport: Transport,
        lane: Intent | None,
        connection: ServerConnection,
        number: int,
    ) -> None:
        self._core = core
        self.number = number
        """Of two sessions of one device the one with the larger number came later."""
        self._transport = transport
        self.connection = connection
        self.lane = lane
        self.intent = Intent.BACKGROUND
        self.kind: Kind | None = None
        self.user_id = UNKNOWN_ID
        self.user_name = ""
        self.device_id = UNKNOWN_ID
        self.online = False
        self.sent_seq = 0
        self.told_head = 0
        self.terms = core.terms
        """What the stage of its handshake gives it."""
        self.sends_in_flight = 0
        self._request_running = False
        self._enrolment: trio.CancelScope | None = None
        self._entries: list[Entry] | None = None
        self._entries_bytes = 0
        self._admitted = False
        self._touched = False
        self._finished = False
        self._heard_s = core.clock.now_s()
        self._arrived_s = self._heard_s
        self._served_as = Intent.BACKGROUND
        self._deadline_s = self._heard_s + HELLO_TIMEOUT_S
        self._bucket = core.deadlines.set(self, self._deadline_s)

    # From the transport

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer."""
        self._heard_s = self._core.clock.now_s()
        for event in self.connection.receive_data(data):
            if self._finished:
                return  # revoked just before it proved its keys
            self._handle(event)
        self.touch()

    def connection_lost(self) -> None:
        """The peer has closed, or the connection broke."""
        self.connection.receive_eof()
        self._finish("lost")

    # From the core and the services

    @property
    def is_live(self) -> bool:
        """Whether messages can be sent."""
        return self.connection.state is State.LIVE

    def send(self, message: Message) -> None:
        """Send if the session is still live, else drop: its device will learn it by sync or by
        trying again."""
        if self.connection.state is State.LIVE:
            self._seal_entries()
            self.connection.send(message)
            self.touch()

    def deliver(self, entry: Entry) -> None:
        """Push an inbox entry, if it is the next one; a device that is behind asks by itself.

        More than a page in one turn is not pushed: the device asks for it, at its own pace.
        """
        if not self.online:
            return
        if self.sent_seq != self.told_head:
            if not self.wants_entries and self._core.terms.policy.background_sync:
                self.tell_head(entry.seq)  # it was held back in an emergency that is over
            return
        entries = self._entries or []
        entries_bytes = self._entries_bytes + len(entry.body.encode())
        if (
            entry.seq != self.sent_seq + 1
            or len(entries) == PAGE_MAX_ENTRIES
            or entries_bytes > PAGE_MAX_BODY_BYTES
        ):
            self.tell_head(entry.seq)
            return
        self.sent_seq = self.told_head = entry.seq
        entries.append(entry)
        self._entries, self._entries_bytes = entries, entries_bytes
        self.touch()

    def tell_head(self, head: int) -> None:
        """The inbox goes on to `head`: tell the device unless it knows, so that it asks."""
        if head > self.told_head:
            self.told_head = head
            self.send(More(head))

    def fail(self, code: ErrorCode, detail: str = "", message_id: bytes | None = None) -> None:
        """Answer a request with an error."""
        self._core.counts.add(Count.ERROR, code.value)
        self.send(Error(code, detail, message_id))

    def end(self, reason: ByeReason) -> None:
        """Say why, and close."""
        if not self._finished:
            if self.connection.state is State.LIVE:
                self._seal_entries()
            self.connection.close(reason)
            self._transport.write(self.connection.data_to_send())
            self._finish(reason.value)

    def drop(self) -> None:
        """Make room for others: a connection that has proved nothing."""
        self._core.counts.add(Count.DROPPED)
        self._abort(Count.DROPPED.value)

    def begin(self, admitted: Admitted) -> None:
        """Admission let it in and its turn has come: the handshake begins."""
        core = self._core
        self._admitted = True
        self._arrived_s, self._served_as = admitted.arrived_s, admitted.intent
        self._deadline_s = core.clock.now_s() + PROOF_TIMEOUT_S
        self.intent, self.kind = admitted.hello.intent, admitted.hello.kind
        self.terms = core.terms
        core.desk.begin(self, admitted.ticket)

    def answered(self) -> None:
        """The handshake has its answer."""
        core = self._core
        now_s = core.clock.now_s()
        core.admission.answered(self._served_as, now_s - self._arrived_s, now_s)

    @property
    def wants_entries(self) -> bool:
        """Whether a Welcome brings the messages that were missed: in an emergency a background
        device is told only how many there are."""
        return self.intent is Intent.FOREGROUND or self.terms.policy.background_sync

    @property
    def is_behind_by_terms(self) -> bool:
        """Whether it missed messages that its terms kept from it."""
        return self.online and not self.wants_entries and self.sent_seq != self.told_head

    def invite_to_sync(self) -> None:
        """Tell the device to come for what it missed."""
        if self.is_behind_by_terms:
            self.send(More(self.told_head))

    @property
    def is_deciding(self) -> bool:
        """Whether its hello has been read and nothing has been answered yet."""
        return not self._finished and self.connection.state is State.DECIDING

    def refuse(self, reason: RefuseReason) -> None:
        """It was admitted, and cannot be served."""
        if self.is_deciding:
            self.connection.refuse(reason)
            self.touch()

    def identify(self, user_id: int, user_name: str, device_id: int) -> None:
        """It is known who this is, or claims to be."""
        self.user_id, self.user_name, self.device_id = user_id, user_name, device_id

    def go_online(self) -> None:
        """The keys are proved: the session is the device's session from now on."""
        core = self._core
        self.online = True
        self._enrolment = None
        core.strangers.pop(self, None)
        core.admission.session_started()
        core.counts.add(
            Count.SESSION, f"{self.kind.name.lower()}.{self.intent.tag}" if self.kind else ""
        )
        self._heard_s = core.clock.now_s()  # an enrolment may have waited for long
        self._deadline_s = self._heard_s + self.terms.idle_timeout_s
        if self.terms.idle_timeout_s < ENROL_TIMEOUT_S:
            # On watch anew: it may be idle before the handshake's time would be over.
            core.deadlines.drop(self, self._bucket)
            self._bucket = core.deadlines.set(self, self._deadline_s)
        core.online(self)

    def flush(self) -> None:
        """Send what waits, and close if nothing can follow."""
        self._touched = False
        if self._finished:
            return
        if self.connection.state is State.LIVE:
            self._seal_entries()
        data = self.connection.data_to_send()
        if data:
            self._transport.write(data)
        self.connection.cool()  # 4.9 kB; 1.2 us each to make again, a few per cent of a message
        if self.connection.state is State.CLOSED:
            self._finish("closed")
        elif self._transport.backlog_bytes > WRITE_BACKLOG_MAX_BYTES:
            self.end(ByeReason.SLOW_READER)

    def touch(self) -> None:
        """Have `flush` called at the end of this turn."""
        if not self._touched and not self._finished:
            self._touched = True
            self._core.touched.append(self)

    def deadline_passed(self, now_s: float) -> None:
        """Called by the core when the time is over for which the session was put on watch.

        A deadline moves away with every sign of life, so moving it is a mere assignment and the
        watch finds out here.
        """
        self._bucket = 0
        if self._finished:
            self._transport.abort()
            return
        if self.connection.state is State.LIVE:
            self._deadline_s = self._heard_s + self.terms.idle_timeout_s
        if now_s < self._deadline_s:
            self._bucket = self._core.deadlines.set(self, self._deadline_s)
        elif self.connection.state is State.LIVE:
            self.end(ByeReason.IDLE)
        else:
            late = Count.PROOF_TIMEOUT if self._admitted else Count.HELLO_TIMEOUT
            self._core.counts.add(late)
            self._abort(late.value)

    def start_request(self, work: "Callable[[Session], Awaitable[Message]]") -> None:
        """Run a request that must wait, one at a time; its answer is sent when it is done."""
        if self._request_running:
            self.fail(ErrorCode.BUSY, "one request at a time")
            return
        self._request_running = True
        self._core.spawn_for_person(self._run_request, work)

    # Inside

    def _handle(self, event: Event) -> None:
        match event:
            case MessageReceived(message):
                if self.online:
                    self._handle_message(message)
                elif isinstance(message, Enrol) and self.connection.state is State.ENROLLING:
                    self._enrol(message)
            case HelloReceived(hello):
                self._decide(hello)
            case Proven():
                if self.connection.state is State.LIVE:
                    self.go_online()
            case UnknownMessage():
                self._core.counts.add(Count.UNKNOWN_MESSAGE)
            case PeerFault(error):
                self._core.count_fault(error)
            case PeerClosed():
                pass  # the flush at the end of this turn closes the transport
            case _:
                raise AssertionError(f"a server never gets {event!r}")

    def _decide(self, hello: Hello) -> None:
        core, now_s = self._core, self._core.clock.now_s()
        verdict = core.desk.decide(hello, self.lane, now_s, 0.0)
        if isinstance(verdict, Admitted):
            self._deadline_s = now_s + PROOF_TIMEOUT_S
            core.submit(SessionHandshake(core, self, verdict))
        else:
            self.connection.turn_away(verdict)

    def _handle_message(self, message: Message) -> None:
        core = self._core
        match message:
            case Send():
                core.inboxes.send(self, message)
            case Received():
                core.inboxes.received(self, message)
            case Ping(n):
                if self.is_live:
                    self.send(Pong(n))
            case Sync():
                core.inboxes.sync(self, message)
            case Foreground():
                self.intent = Intent.FOREGROUND
            case Background():
                self.intent = Intent.BACKGROUND
            case ListDevices():
                core.devices.list_devices(self)
            case RevokeDevice():
                core.devices.revoke(self, message)
            case _:
                pass  # Ready, Pong and Error need no answer

    def _enrol(self, request: Enrol) -> None:
        core = self._core
        core.strangers.pop(self, None)
        self._deadline_s = self._heard_s + ENROL_TIMEOUT_S
        self._enrolment = core.enrolment.enrol(self, request)

    async def _run_request(self, work: "Callable[[Session], Awaitable[Message]]") -> None:
        try:
            answer = await work(self)
        except StoreBusy:
            self.fail(ErrorCode.BUSY, "try again later")
        except (StoreFailed, StoreClosed):
            self.fail(ErrorCode.UNAVAILABLE, "the server is stopping")
        else:
            self.send(answer)
        finally:
            self._request_running = False
        self._core.flush_touched()

    def _seal_entries(self) -> None:
        entries = self._entries
        if entries:
            self._entries = None
            self._entries_bytes = 0
            self.connection.send(Deliver(tuple(entries)))
            self._core.counts.add(Count.DELIVERED, by=len(entries))

    def _abort(self, why: str) -> None:
        self.connection.receive_eof()
        self._finish(why)
        self._transport.abort()

    def _finish(self, why: str) -> None:
        """The end, whichever way it came; exactly once."""
        if self._finished:
            return
        self._finished = True
        core = self._core
        core.deadlines.drop(self, self._bucket)
        self._bucket = 0
        if self.online:
            self.online = False
            core.presence.leave(self)
            core.admission.session_ended()
            core.counts.add(Count.ENDED, why)
        elif self._admitted:
            core.admission.handshake_failed()
        core.sessions.pop(self, None)
        core.strangers.pop(self, None)
        if self._enrolment is not None:
            self._enrolment.cancel()  # its password need not wait for a thread any more
        self._transport.close()
        if self._transport.backlog_bytes:
            self._bucket = core.deadlines.set(self, core.clock.now_s() + CLOSE_LINGER_S)


class SessionHandshake:
    """A Handshake of a session that has its connection already: its hello came in pieces."""

    __slots__ = ("_core", "_session", "admitted")

    def __init__(self, core: "Core", session: Session, admitted: Admitted) -> None:
        self._core = core
        self._session = session
        self.admitted = admitted

    def is_gone(self) -> bool:
        """Its transport tells, or what it has sent since: more than a hello breaks the protocol."""
        return not self._session.is_deciding

    def begin(self) -> None:
        """Its turn has come."""
        if not self._session.is_deciding:
            self._core.admission.handshake_failed()
        else:
            self._session.begin(self.admitted)
            self._session.touch()

    def give_up(self, reason: RefuseReason | None) -> None:
        """Close."""
        if reason is not None:
            self._session.refuse(reason)
