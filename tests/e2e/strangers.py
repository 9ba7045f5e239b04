"""Peers that are no phones: raw bytes, and a client that can seal anything into a record."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.e2e.phones import PASSWORD
from tests.e2e.servers import Server

from hwangso_client.profile import ProfileState
from hwangso_protocol.answer import Refuse, parse_answer
from hwangso_protocol.client import (
    Attempt,
    ClientConnection,
    Credentials,
    EnrolWith,
    LoginWith,
    ResumeWith,
)
from hwangso_protocol.connection import Connection
from hwangso_protocol.events import Answered, Event, MessageReceived, PeerClosed
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import ByeReason, Enrol, Login, Message, Ready

READ_BYTES = 65_536

M = TypeVar("M", bound=Message)


async def connect(server: Server, lane: Intent = Intent.FOREGROUND) -> trio.SocketStream:
    """A TCP connection to a lane. The caller closes it."""
    return await trio.open_tcp_stream(server.address.host, server.address.port(lane))


async def last_words(stream: trio.SocketStream) -> bytes:
    """All that the server still says before it closes."""
    heard = b""
    try:
        while data := await stream.receive_some(READ_BYTES):
            heard += data
    except trio.BrokenResourceError:
        pass  # it closed while bytes of ours were on their way, which resets the connection
    return heard


async def say(server: Server, data: bytes, lane: Intent = Intent.FOREGROUND) -> bytes:
    """Connect, say this, say that there will be no more, and hear the server out."""
    async with await connect(server, lane) as stream:
        await stream.send_all(data)
        await stream.send_eof()
        return await last_words(stream)


def refusal(heard: bytes) -> Refuse | None:
    """The REFUSE that the server has said; None if it said nothing. Anything else is an error."""
    if not heard:
        return None
    parsed = parse_answer(heard)
    assert parsed is not None, heard
    answer, size = parsed
    assert isinstance(answer, Refuse), answer
    assert size == len(heard), heard
    return answer


def enrol_with(server: Server, user: str, password: str = PASSWORD, **more: bool) -> EnrolWith:
    """Credentials of a new phone."""
    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    return EnrolWith(server.server_key, Enrol(user, password, "raw", key, **more))


def login_with(server: Server, state: ProfileState, since: int = 0) -> LoginWith:
    """Credentials of the phone with this profile."""
    key = X25519PrivateKey.from_private_bytes(state.device_key)
    return LoginWith(server.server_key, key, Login(since))


def resume_with(state: ProfileState, since: int = 0) -> ResumeWith:
    """The same, with its ticket."""
    assert state.resume is not None
    return ResumeWith(state.resume.ticket, state.resume.psk, Login(since))


def hello(credentials: Credentials) -> bytes:
    """A hello with these credentials."""
    return ClientConnection(credentials, Attempt(Intent.FOREGROUND), bytes_of_chance).data_to_send()


def bytes_of_chance(size: int) -> bytes:
    """Private keys are clamped, so any bytes do."""
    return X25519PrivateKey.generate().private_bytes_raw()[:size]


class RawClient:
    """A client's connection over TCP, event by event. Made by `raw_client`."""

    def __init__(self, stream: trio.SocketStream, credentials: Credentials) -> None:
        self.stream = stream
        self.hello = b""
        """What it said first."""
        self.connection = ClientConnection(credentials, Attempt(Intent.FOREGROUND), bytes_of_chance)
        self._events: list[Event] = []

    async def flush(self) -> None:
        """Send what waits."""
        data = self.connection.data_to_send()
        if data:
            self.hello = self.hello or data
            await self.stream.send_all(data)

    async def send(self, *messages: Message) -> None:
        """Send messages, in one go."""
        for message in messages:
            self.connection.send(message)
        await self.flush()

    def sealed(self, plain: bytes) -> bytes:
        """The record of any bytes, not sent yet."""
        Connection._seal_bytes(self.connection, plain)
        return self.connection.data_to_send()

    async def next_event(self) -> Event:
        """What the server says next."""
        while not self._events:
            data = bytes(await self.stream.receive_some(READ_BYTES))
            connection = self.connection
            self._events += connection.receive_data(data) if data else connection.receive_eof()
        return self._events.pop(0)

    async def any_message(self) -> Message:
        """The next message, the one in an answer to the hello included."""
        while True:
            event = await self.next_event()
            assert not isinstance(event, PeerClosed), event
            if isinstance(event, MessageReceived):
                return event.message
            if isinstance(event, Answered) and event.answer is not None:
                return event.answer

    async def next_message(self, kind: type[M]) -> M:
        """The next message that is of this kind; others before it are dropped."""
        while not isinstance(message := await self.any_message(), kind):
            pass
        return message

    async def end(self) -> ByeReason | None:
        """Wait for the end; the reason of the server's Bye, None if it just closed."""
        while True:
            event = await self.next_event()
            if isinstance(event, PeerClosed):
                return event.reason


@asynccontextmanager
async def raw_client(server: Server, credentials: Credentials) -> AsyncIterator[RawClient]:
    """A client whose hello is on its way."""
    async with await connect(server) as stream:
        client = RawClient(stream, credentials)
        await client.flush()
        yield client


@asynccontextmanager
async def live_client(server: Server, credentials: Credentials) -> AsyncIterator[RawClient]:
    """A client that is online."""
    async with raw_client(server, credentials) as client:
        await client.next_event()
        if isinstance(credentials, EnrolWith):
            await client.flush()
            await client.next_event()
        await client.send(Ready())
        yield client
