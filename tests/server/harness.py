"""The server's core without sockets, threads or real time, and phones that talk to it.

    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")             # a live session
        phone.say(Ping(7))
        assert phone.take(Pong).n == 7
        phone = await server.resume(phone.identity)     # takes over from the first

The `Server` is the real `Core` on the in-memory store, with seeded randomness, a password costing
microseconds, and Trio's clock: under `autojump_clock` its deadlines pass in no time. A `Phone` is
the real `ClientConnection` on a `FakeTransport`, which hands over every byte within the call that
sends it. So what needs no store happens at once; for what does, `await server.settle()`.

Everything between hello and session can be stopped half-way: build the phone with `connect`, which
sends the hello, and go on by hand. `held` keeps a store's answer back, `trouble` makes it fail.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.server.fakes import FakeTransport, FixedKeys, static_key

from hwangso_protocol.client import (
    Attempt,
    ClientConnection,
    Credentials,
    EnrolWith,
    LoginWith,
    ResumeWith,
)
from hwangso_protocol.events import (
    Answered,
    Deferred,
    Event,
    MessageReceived,
    PeerClosed,
    PeerFault,
    Refused,
)
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import (
    ByeReason,
    Enrol,
    Error,
    Login,
    Message,
    Ready,
    Send,
    Sent,
    Welcome,
)
from hwangso_protocol.states import State
from hwangso_server.admission import (
    Admission,
    CapacityAdmission,
)
from hwangso_server.config import Config, Registration
from hwangso_server.core import Core
from hwangso_server.environment import Environment, seeded_environment
from hwangso_server.passwords import Passwords, run_inline
from hwangso_server.session import Session
from hwangso_server.store import MemoryStore, StoreError, open_memory

EPOCH_MS = 1_800_000_000_000
"""The time of day when virtual time begins: 2027-01-15."""
PASSWORD = "correct horse"
CONFIG = Config(registration=Registration.OPEN)
"""Keepalive 60 s, so sessions are idle after 150 s; 16 devices a user."""

M = TypeVar("M", bound=Message)
T = TypeVar("T")


def message_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


@dataclass(eq=False)
class Identity:
    """What a phone remembers between connections."""

    user: str
    key: X25519PrivateKey
    device_name: str = "phone"
    device: int = 0
    ticket: bytes = b""
    psk: bytes = b""
    since: int = 0

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()


class Phone:
    """One connection of a device. Made by `Server.connect` and friends."""

    def __init__(
        self, server: "Server", identity: Identity, connection: ClientConnection, lane: Intent
    ) -> None:
        self.identity = identity
        self.connection = connection
        self.transport = FakeTransport(self._received)
        self.events: list[Event] = []
        self.messages: list[Message] = []
        """Received and not taken yet."""
        self.hello = b""
        self._server = server
        self.session: Session = server.core.greet(self.transport, lane)
        self.transport.receiver = self.session

    @property
    def is_live(self) -> bool:
        """Both sides hold a live session, and the server has it online."""
        return self.connection.state is State.LIVE and self.session.online

    @property
    def answer(self) -> Event | None:
        """Answered, Deferred or Refused; None before."""
        for event in self.events:
            if isinstance(event, Answered | Deferred | Refused):
                return event
        return None

    @property
    def welcome(self) -> Welcome:
        """The newest Welcome, which must have come."""
        welcomes = [message for message in self._all_messages() if isinstance(message, Welcome)]
        return welcomes[-1]

    @property
    def denial(self) -> Error:
        """The Error that answered the hello, which must have come."""
        assert isinstance(self.answer, Answered)
        assert isinstance(self.answer.answer, Error)
        return self.answer.answer

    @property
    def goodbye(self) -> ByeReason | None:
        """The reason of the server's Bye, None without one."""
        for event in self.events:
            if isinstance(event, PeerClosed):
                return event.reason
        return None

    def say(self, *messages: Message) -> None:
        """Send messages in one go."""
        for message in messages:
            self.connection.send(message)
        self.flush()

    def text(self, number: int, to: str, body: str = "hi") -> None:
        """Send a message to a user, with this number as its id."""
        self.say(Send(message_id(number), to, body))

    def flush(self) -> bool:
        """Send what waits, as one turn of the server; False if there was nothing."""
        data = self.connection.data_to_send()
        self.feed(data)
        return bool(data)

    def feed(self, data: bytes) -> None:
        """Send these bytes, as one turn of the server."""
        if data:
            self.transport.feed(data)
            self._server.core.flush_touched()

    def lose(self) -> None:
        """The connection breaks; the server hears of it."""
        self.transport.lose()
        self._server.core.flush_touched()

    def take(self, kind: type[M]) -> M:
        """The oldest message of this kind that was not taken yet, which must have come."""
        for at, message in enumerate(self.messages):
            if isinstance(message, kind):
                del self.messages[at]
                return message
        raise AssertionError(f"no {kind.__name__} among {self.messages}")

    def _all_messages(self) -> Iterator[Message]:
        for event in self.events:
            if isinstance(event, Answered) and event.answer is not None:
                yield event.answer
            elif isinstance(event, MessageReceived):
                yield event.message

    def _received(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            assert not isinstance(event, PeerFault), event
            self.events.append(event)
            if isinstance(event, MessageReceived):
                self.messages.append(event.message)


class Server:
    """A running core with all its parts. Made by `running_server`."""

    def __init__(
        self,
        core: Core,
        store: MemoryStore,
        keys: FixedKeys,
        admission: Admission,
        hashings: list[None],
    ) -> None:
        self.core = core
        self.store = store
        self.keys = keys
        self.admission = admission
        self.phones: list[Phone] = []
        self.hashings = hashings
        """One for each time a password was hashed or verified."""
        self._random = random.Random(2)
        self._devices = 0

    @property
    def public_key(self) -> bytes:
        return self.keys.static.public_key().public_bytes_raw()

    def count(self, name: str) -> int:
        """One of the server's counts."""
        return self.core.counts.snapshot().get(name, 0)

    async def settle(self) -> None:
        """Let everybody finish: until no task can run and no phone has anything to send."""
        while True:
            await trio.testing.wait_all_tasks_blocked()
            flushed = [phone.flush() for phone in self.phones]
            if not any(flushed):
                return

    async def add_user(self, *names: str) -> None:
        """Make accounts; everybody's password is PASSWORD."""
        for name in names:
            password_hash = await self.core.passwords.hash(PASSWORD)
            await self.store.create_user(name, password_hash, self.core.clock.wall_ms())
        self.hashings.clear()

    def new_identity(self, user: str) -> Identity:
        """A phone fresh from the shop."""
        self._devices += 1
        return Identity(user, static_key(0xD000 + self._devices), f"phone {self._devices}")

    # Connecting: at once as far as it goes

    def connect(
        self,
        kind: Kind,
        identity: Identity,
        *,
        intent: Intent = Intent.FOREGROUND,
        lane: Intent = Intent.FOREGROUND,
        number: int = 1,
        deferral_ticket: bytes = b"",
        since: int | None = None,
        limit: int = 128,
        password: str = PASSWORD,
        register: bool = False,
    ) -> Phone:
        """Open a connection and send its hello."""
        login = Login(identity.since if since is None else since, limit)
        credentials: Credentials
        match kind:
            case Kind.ENROL:
                credentials = EnrolWith(
                    self.public_key,
                    Enrol(
                        identity.user, password, identity.device_name, identity.public_key, register
                    ),
                )
            case Kind.LOGIN:
                credentials = LoginWith(self.public_key, identity.key, login)
            case Kind.RESUME:
                credentials = ResumeWith(identity.ticket, identity.psk, login)
        connection = ClientConnection(
            credentials, Attempt(intent, number, deferral_ticket), self._random.randbytes
        )
        phone = Phone(self, identity, connection, lane)
        self.phones.append(phone)
        phone.hello = connection.data_to_send()
        phone.feed(phone.hello)
        return phone

    def replay(self, data: bytes, identity: Identity) -> Phone:
        """A connection of somebody on the path, who sends what they saw. They have no keys: what
        comes back is noise to them, and ends in `events` only if it is in clear."""
        phone = Phone(
            self,
            identity,
            ClientConnection(
                ResumeWith(b"?", bytes(32), Login(0)),
                Attempt(Intent.BACKGROUND),
                self._random.randbytes,
            ),
            Intent.FOREGROUND,
        )
        phone.transport._on_sent = lambda _: None
        phone.feed(data)
        return phone

    async def prove(self, phone: Phone) -> Phone:
        """Go on to a live session: the Welcome must be there or on its way."""
        await self.settle()
        if phone.connection.state is State.LIVE and not phone.session.online:
            phone.say(Ready())
        await self.settle()
        assert phone.is_live, phone.events
        welcome = phone.welcome
        identity = phone.identity
        identity.device, identity.since = welcome.device, welcome.since
        identity.ticket, identity.psk = welcome.ticket, welcome.psk
        phone.messages = [m for m in phone.messages if not isinstance(m, Welcome)]
        return phone

    async def enrol(self, user: str) -> Phone:
        """A new device of a user, live."""
        return await self.prove(self.connect(Kind.ENROL, self.new_identity(user)))

    async def login(self, identity: Identity, *, since: int | None = None) -> Phone:
        """A device logs in with its key: live."""
        return await self.prove(self.connect(Kind.LOGIN, identity, since=since))

    async def resume(self, identity: Identity, *, since: int | None = None) -> Phone:
        """A device resumes with its ticket: live."""
        return await self.prove(self.connect(Kind.RESUME, identity, since=since))

    async def send(self, phone: Phone, number: int, to: str, body: str = "hi") -> Sent:
        """Send a message and wait for its acknowledgement."""
        phone.text(number, to, body)
        await self.settle()
        for message in phone.messages:
            if isinstance(message, Sent) and message.id == message_id(number):
                phone.messages.remove(message)
                return message
        raise AssertionError(f"message {number} was not acknowledged: {phone.messages}")

    # A store in trouble

    def patch(self, method: str, function: Callable[..., object]) -> None:
        """Put this in the place of a method of the store."""
        setattr(self.store, method, function)

    def trouble(self, method: str, error: StoreError) -> None:
        """From now on a coroutine of the store raises this."""

        async def fail(*_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise error

        self.patch(method, fail)

    @contextmanager
    def held(self, method: str) -> Iterator[trio.Event]:
        """Keep back what a coroutine of the store has found, until the context is left or the
        event is set."""
        original: Callable[..., Awaitable[object]] = getattr(self.store, method)
        release = trio.Event()

        async def hold(*args: object) -> object:
            found = await original(*args)
            await release.wait()
            return found

        self.patch(method, hold)
        try:
            yield release
        finally:
            self.patch(method, original)
            release.set()


@asynccontextmanager
async def running_server(
    *,
    admission: Admission | None = None,
    environment: Environment | None = None,
    passwords_waiting_max: int = 8,
    password_work: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
    **changes: object,
) -> AsyncIterator[Server]:
    """A core whose housekeeping runs. `changes` are those of CONFIG; `password_work` is awaited
    for each hashing, two at a time."""
    # Otherwise its timeouts would wait for real: give the test the argument `autojump_clock`.
    assert isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    config = msgspec.structs.replace(CONFIG, **changes)
    environment = environment or seeded_environment(1, EPOCH_MS)
    keys = FixedKeys()
    admission = admission or CapacityAdmission(handshakes_max=50, sessions_max=100)
    hashings: list[None] = []

    async def counted(work: Callable[[], T], /) -> T:
        hashings.append(None)
        await password_work()
        return await run_inline(work)

    core: Core | None = None

    def flush() -> None:
        if core is not None:
            core.flush_touched()

    async with open_memory(on_batch_end=flush) as store, trio.open_nursery() as nursery:
        core = Core(
            config,
            nursery=nursery,
            store=store,
            keys=keys,
            passwords=Passwords(
                memory_kib=8,
                iterations=1,
                at_once=2,
                waiting_max=passwords_waiting_max,
                random_bytes=environment.random_bytes,
                run_sync=counted,
            ),
            admission=admission,
            environment=environment,
        )
        await core.load_revocations()
        nursery.start_soon(core.run)
        yield Server(core, store, keys, admission, hashings)
        nursery.cancel_scope.cancel()
