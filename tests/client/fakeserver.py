"""A server for tests of the client: the real protocol over in-memory streams, no store, no limits.

    async with open_server() as server, server.phone("alice") as phone:
        await phone.open_app()

It enrols and admits everybody unless told otherwise: what is put into `answers` is the answer to
the next hellos, one each. All that it sees is in `hellos`, `messages` and `sessions`.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_client.backoff import Backoff
from hwangso_client.config import DeviceConfig
from hwangso_client.device import Device
from hwangso_client.events import DeviceEvent, ignore
from hwangso_client.nursery import open_plain_nursery
from hwangso_client.profile import MemoryProfile, Profile
from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.events import (
    Event,
    HelloReceived,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Proven,
)
from hwangso_protocol.hello import Hello, Intent, Kind
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Deliver,
    DeviceInfo,
    DeviceList,
    Enrol,
    Entry,
    Error,
    ErrorCode,
    ListDevices,
    Message,
    More,
    Page,
    Ping,
    Policy,
    Pong,
    Received,
    RevokeDevice,
    Send,
    Sent,
    Sync,
    Welcome,
)
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State

WALL_S = 1_800_000_000.0
"""When virtual time began, in seconds since 1970."""


def wall_clock() -> float:
    return WALL_S + trio.current_time()


class Bytes:
    """Deterministic `random_bytes`."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)

    def __call__(self, size: int) -> bytes:
        return self._rng.randbytes(size)


# Answers to a hello


@dataclass(frozen=True)
class Admit:
    """The default."""


@dataclass(frozen=True)
class DeferFor:
    wait_s: float
    ticket: bytes = b"deferral"
    authentic: bool = True


@dataclass(frozen=True)
class RefuseWith:
    reason: RefuseReason
    retry_after_s: float = 0.0


@dataclass(frozen=True)
class DenyWith:
    code: ErrorCode


@dataclass(frozen=True)
class Silence:
    """No answer at all."""


@dataclass(frozen=True)
class HangUp:
    """Close instead of an answer."""


@dataclass(frozen=True)
class Garble:
    """An answer that breaks the handshake."""


@dataclass(frozen=True)
class HangUpAfterAnswer:
    """Answer as usual, then close before anything else: the phone's Ready arrives nowhere."""


Scripted = Admit | DeferFor | RefuseWith | DenyWith | Silence | HangUp | Garble | HangUpAfterAnswer


@dataclass(frozen=True)
class SeenHello:
    at: float
    lane: Intent
    intent: Intent
    kind: Kind
    attempt: int
    deferral_ticket: bytes


@dataclass(frozen=True)
class SeenMessage:
    at: float
    user: str
    message: Message


@dataclass
class FakeDevice:
    id: int
    user: "FakeUser"
    key: bytes
    received: int = 0


@dataclass
class FakeUser:
    name: str
    inbox: list[Entry] = field(default_factory=list)
    pruned_to: int = 0

    @property
    def head(self) -> int:
        return self.inbox[-1].seq if self.inbox else self.pruned_to

    def page(self, since: int, limit: int) -> tuple[Entry, ...]:
        later = [entry for entry in self.inbox if entry.seq > max(since, self.pruned_to)]
        return tuple(later[:limit])


class FakeServer:
    """See the module's docstring."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.policy = Policy(keepalive_ms=60_000, backoff_base_ms=1_000, backoff_cap_ms=60_000)
        self.static = X25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.key = self.static.public_key().public_bytes_raw()
        self.ticket_lifetime_s = 86_400.0
        self.page_limit = 128
        self.enrol_takes_s = 0.0
        self.answers: deque[Scripted] = deque()
        self.send_answers: deque[ErrorCode | None] = deque()
        """Errors for the next Sends; None takes one as usual."""
        self.lose_answers = False
        """Store what is sent and cut the connection instead of answering."""
        self.withhold_answers = False
        """Store what is sent and do not answer; pings are answered."""
        self.withhold_lists = False
        """The same for lists of devices."""
        self.withhold_pages = False
        """The same for pages."""
        self.sync_answers: deque[ErrorCode] = deque()
        """Errors for the next Syncs."""
        self.counts_only = False
        """What a server in an emergency does: a Welcome in the background brings no entries."""
        self.stream_bytes: int | None = None
        """How much a stream holds that nobody reads; None for any amount."""
        self.reachable = True
        self.hellos: list[SeenHello] = []
        self.messages: list[SeenMessage] = []
        self.sessions: list[FakeSession] = []
        self.users: dict[str, FakeUser] = {}
        self.devices: dict[bytes, FakeDevice] = {}
        self.tickets: dict[bytes, tuple[FakeDevice, bytes]] = {}
        self.random_bytes = Bytes(1)
        self._seeds = 1

    # For tests

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        """As hwangso_client.network.Network."""
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise OSError("connection refused")
        theirs, ours = self._stream_pair()
        self.nursery.start_soon(FakeSession(self, ours, lane).run)
        return theirs

    def _stream_pair(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        if self.stream_bytes is None:
            return trio.testing.memory_stream_pair()
        return trio.testing.lockstep_stream_pair()

    def phone(
        self,
        user: str,
        *,
        profile: Profile | None = None,
        events: list[DeviceEvent] | None = None,
        config: Callable[[DeviceConfig], DeviceConfig] = lambda config: config,
        backoff: Backoff | None = None,
        rng: Random | None = None,
        wall_clock: Callable[[], float] = wall_clock,
    ) -> Device:
        """A phone of that user, with chance of its own; `events` is filled by its observer."""
        self._seeds += 1
        return Device(
            config(DeviceConfig(self.key, user, "secret", register=True)),
            self,
            profile=MemoryProfile() if profile is None else profile,
            observer=ignore if events is None else events.append,
            rng=Random(self._seeds) if rng is None else rng,
            random_bytes=Bytes(self._seeds),
            wall_clock=wall_clock,
            backoff=backoff,
        )

    def user(self, name: str) -> FakeUser:
        return self.users.setdefault(name, FakeUser(name))

    def put(self, to: str, *bodies: str, sender: str = "server") -> None:
        """Append to an inbox and deliver to the sessions that are online."""
        for body in bodies:
            self.append(self.user(to), self.random_bytes(16), sender, body)

    def append(self, to: FakeUser, message_id: bytes, sender: str, body: str) -> None:
        at_ms = int(wall_clock() * 1000)
        entry = Entry(to.head + 1, message_id, sender, to.name, body, at_ms)
        to.inbox.append(entry)
        for session in self.sessions:
            session.deliver(entry)

    async def online(self, user: str) -> "FakeSession":
        """The same, once everybody has done what there is to do now."""
        await trio.testing.wait_all_tasks_blocked()
        return self.session_of(user)

    def session_of(self, user: str) -> "FakeSession":
        """The live session of that user's only device."""
        (session,) = [s for s in self.sessions if s.online and s.device.user.name == user]
        return session

    def intents(self) -> list[tuple[str, str]]:
        """Kind and intent of each hello."""
        return [(hello.kind.name, hello.intent.tag) for hello in self.hellos]

    def sent(self, kind: type[Message]) -> list[Message]:
        """All messages of one type that phones have sent."""
        return [seen.message for seen in self.messages if isinstance(seen.message, kind)]

    # For sessions

    def welcome(self, device: FakeDevice, since: int, limit: int) -> Welcome:
        ticket, psk = self.random_bytes(40), self.random_bytes(32)
        self.tickets[ticket] = (device, psk)
        since = min(since, device.user.head)
        return Welcome(
            user=device.user.name,
            device=device.id,
            ticket=ticket,
            psk=psk,
            ticket_lifetime_ms=int(self.ticket_lifetime_s * 1000),
            since=since,
            head=device.user.head,
            policy=self.policy,
            entries=device.user.page(since, min(limit, self.page_limit)),
        )

    def enrol(self, enrol: Enrol) -> FakeDevice:
        device = self.devices.get(enrol.key)
        if device is None:
            user = self.user(enrol.user)
            device = FakeDevice(len(self.devices) + 1, user, enrol.key, user.head)
            self.devices[enrol.key] = device
        return device


class FakeSession:
    """One connection, from its hello to its end."""

    device: FakeDevice

    def __init__(self, server: FakeServer, stream: trio.abc.Stream, lane: Intent) -> None:
        self.server = server
        self.stream = stream
        self.lane = lane
        self.connection = ServerConnection(server.static, server.random_bytes)
        self.online = False
        self.frozen = False
        """Nothing is read or answered any more, and nobody is told."""
        self.bye: ByeReason | None = None
        self.ended = trio.Event()
        self._sent_seq = 0
        self._told_head = 0
        self._scope = trio.CancelScope()
        self._answer: Scripted = Admit()
        server.sessions.append(self)

    async def run(self) -> None:
        with self._scope, suppress(trio.BrokenResourceError):
            await self._serve()
            await self.flush()
        self.online = False
        self.ended.set()
        await trio.aclose_forcefully(self.stream)

    async def _serve(self) -> None:
        while self.connection.state is not State.CLOSED:
            data = bytes(await self.stream.receive_some(65_536))
            if self.frozen:
                await trio.sleep_forever()
            connection = self.connection
            events = connection.receive_data(data) if data else connection.receive_eof()
            for event in events:
                await self._take_time(event)
                self._handle(event)
            if isinstance(self._answer, Silence):
                await trio.sleep_forever()
            await self.flush()
            if isinstance(self._answer, HangUp | HangUpAfterAnswer):
                return

    async def _take_time(self, event: Event) -> None:
        if isinstance(event, MessageReceived) and isinstance(event.message, Enrol):
            await trio.sleep(self.server.enrol_takes_s)

    # For tests

    def cut(self) -> None:
        """The connection ends without a word."""
        self._scope.cancel()

    def say_bye(self, reason: ByeReason) -> None:
        self.connection.close(reason)
        self.push()
        self.online = False

    def send(self, message: Message) -> None:
        self.connection.send(message)
        self.push()

    def send_raw(self, data: bytes) -> None:
        self.server.nursery.start_soon(self.stream.send_all, data)

    def push(self) -> None:
        """Send from outside of the session's own task: memory streams take all without waiting."""
        self.server.nursery.start_soon(self.flush)

    async def flush(self) -> None:
        data = self.connection.data_to_send()
        if data and not self.frozen:
            try:
                await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._scope.cancel()

    def deliver(self, entry: Entry) -> None:
        """Push an entry if it is the next for this session."""
        if (
            self.online
            and self.device.user.name == entry.to
            and entry.seq == self._sent_seq + 1 == self._told_head + 1
        ):
            self._sent_seq = self._told_head = entry.seq
            self.send(Deliver((entry,)))

    # The handshake

    def _handle(self, event: Event) -> None:
        match event:
            case HelloReceived(hello):
                self._hello(hello)
            case Proven():
                if self.connection.state is State.LIVE:
                    self._go_online()
            case MessageReceived(message):
                name = self.device.user.name if hasattr(self, "device") else ""
                self.server.messages.append(SeenMessage(trio.current_time(), name, message))
                self._message(message)
            case PeerClosed(reason):
                self.bye = reason
            case PeerFault(error):
                raise AssertionError(f"the client broke the protocol: {error}")
            case _:
                pass

    def _hello(self, hello: Hello) -> None:
        server = self.server
        server.hellos.append(
            SeenHello(
                trio.current_time(),
                self.lane,
                hello.intent,
                hello.kind,
                hello.attempt,
                hello.deferral_ticket,
            )
        )
        self._answer = server.answers.popleft() if server.answers else Admit()
        known = server.tickets.get(hello.resume_ticket)
        psk = None if known is None else known[1]
        match self._answer:
            case DeferFor(wait_s, ticket, authentic):
                wait_ms = round(wait_s * 1000)
                self.connection.defer(wait_ms, DeferReason.BUSY, ticket, psk if authentic else None)
                return
            case RefuseWith(reason, retry_after_s):
                self.connection.refuse(reason, round(retry_after_s * 1000))
                return
            case HangUp() | Silence():
                return
            case _:
                pass
        if hello.kind is Kind.RESUME and known is None:
            self.connection.refuse(RefuseReason.TICKET_INVALID)
            return
        try:
            first = self.connection.read_first_message(psk)
        except ProtocolError:
            return
        if hello.kind is Kind.ENROL:
            self.connection.accept(None)
            return
        device = known[0] if known else server.devices.get(first.device_key or b"")
        if isinstance(self._answer, DenyWith) or device is None or first.login is None:
            code = (
                self._answer.code
                if isinstance(self._answer, DenyWith)
                else ErrorCode.DEVICE_UNKNOWN
            )
            self.connection.deny(Error(code))
            return
        limit = first.login.limit
        if server.counts_only and hello.intent is Intent.BACKGROUND:
            limit = 0
        self._admit(device, first.login.since, limit)

    def _admit(self, device: FakeDevice, since: int, limit: int) -> None:
        self.device = device
        welcome = self.server.welcome(device, since, limit)
        self._welcomes(welcome)
        self.connection.accept(welcome)
        if isinstance(self._answer, Garble):
            answer = bytearray(self.connection.data_to_send())
            answer[-1] ^= 1
            self.send_raw(bytes(answer))

    def _welcomes(self, welcome: Welcome) -> None:
        self._sent_seq = welcome.entries[-1].seq if welcome.entries else welcome.since
        self._told_head = welcome.head

    def _go_online(self) -> None:
        self.online = True
        for other in self.server.sessions:
            if other is not self and other.online and other.device is self.device:
                other.say_bye(ByeReason.REPLACED)
        if self._told_head < self.device.user.head:
            self._told_head = self.device.user.head
            self.connection.send(More(self._told_head))

    # Messages

    def _message(self, message: Message) -> None:
        match message:
            case Enrol():
                if isinstance(self._answer, DenyWith):
                    self.connection.fail_enrolment(Error(self._answer.code))
                    return
                self.device = self.server.enrol(message)
                if self.server.lose_answers:
                    self.cut()
                    return
                welcome = self.server.welcome(self.device, self.device.received, 0)
                self._welcomes(welcome)
                self.connection.welcome_enrolled(welcome)
                self._go_online()
            case Send():
                self._take(message)
            case Sync():
                self._page(message)
            case Received(seq):
                self.device.received = max(self.device.received, seq)
            case Ping(n):
                self.connection.send(Pong(n))
            case ListDevices():
                if not self.server.withhold_lists:
                    self.connection.send(self._device_list())
            case RevokeDevice(number):
                known = self.server.devices.items()
                self.server.devices = {key: d for key, d in known if d.id != number}
                self.connection.send(self._device_list())
            case Bye():
                pass
            case _:
                pass

    def _page(self, sync: Sync) -> None:
        server, user = self.server, self.device.user
        if server.sync_answers:
            self.connection.send(Error(server.sync_answers.popleft()))
        elif not server.withhold_pages:
            entries = user.page(sync.since, min(sync.limit, server.page_limit))
            self._sent_seq = entries[-1].seq if entries else user.head
            self._told_head = user.head
            self.connection.send(Page(user.head, entries))

    def _device_list(self) -> DeviceList:
        mine = [d for d in self.server.devices.values() if d.user is self.device.user]
        return DeviceList(
            tuple(DeviceInfo(d.id, f"phone {d.id}", 0, this=d is self.device) for d in mine)
        )

    def _take(self, send: Send) -> None:
        server = self.server
        error = server.send_answers.popleft() if server.send_answers else None
        if error is None and send.to not in server.users:
            error = ErrorCode.UNKNOWN_USER
        if error is not None:
            self.connection.send(Error(error, id=send.id))
            return
        to, sender = server.users[send.to], self.device.user.name
        if not any(entry.id == send.id and entry.sender == sender for entry in to.inbox):
            server.append(to, send.id, sender, send.body)
        if server.lose_answers:
            self.cut()
        elif not server.withhold_answers:
            self.connection.send(Sent(send.id, int(wall_clock() * 1000)))


@asynccontextmanager
async def open_server() -> AsyncIterator[FakeServer]:
    """A server in whose life a test runs; a test that hangs in virtual time ends here."""
    with trio.fail_after(86_400):
        async with open_plain_nursery() as nursery:
            yield FakeServer(nursery)
            nursery.cancel_scope.cancel()


def bodies(entries: "list[Entry] | tuple[Entry, ...]") -> list[str]:
    return [entry.body for entry in entries]
