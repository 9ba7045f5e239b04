"""Both sides of a connection with fixed keys and fixed randomness, joined by hand."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.client import (
    Attempt,
    ClientConnection,
    Credentials,
    EnrolWith,
    LoginWith,
    ResumeWith,
)
from hwangso_protocol.connection import Connection
from hwangso_protocol.events import Event
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.limits import REKEY_AFTER_RECORDS
from hwangso_protocol.messages import Enrol, Login, Policy, Ready, Welcome
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State

SERVER_STATIC = X25519PrivateKey.from_private_bytes(bytes([0x51]) * 32)
SERVER_KEY = SERVER_STATIC.public_key().public_bytes_raw()
DEVICE_STATIC = X25519PrivateKey.from_private_bytes(bytes([0xD1]) * 32)
DEVICE_KEY = DEVICE_STATIC.public_key().public_bytes_raw()
PSK = bytes([0x77]) * 32
TICKET = bytes([0x7C]) * 130

ENROL = Enrol(user="alice", password="correct horse", device="phone", key=DEVICE_KEY)
LOGIN = Login(since=7, agent="tests")
POLICY = Policy(keepalive_ms=60_000, backoff_base_ms=500, backoff_cap_ms=60_000)
WELCOME = Welcome(
    user="alice",
    device=3,
    ticket=TICKET,
    psk=PSK,
    ticket_lifetime_ms=86_400_000,
    since=7,
    head=7,
    policy=POLICY,
)


class FixedRandom:
    """Bytes that look random and are the same on every run: SHA-256 of a label and a counter."""

    def __init__(self, label: str) -> None:
        self._label = label.encode()
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        seed = sha256(self._label + self._calls.to_bytes(4, "big")).digest()
        return (seed * (size // len(seed) + 1))[:size]


def make_client(
    kind: Kind,
    *,
    intent: Intent = Intent.FOREGROUND,
    number: int = 1,
    deferral_ticket: bytes = b"",
    login: Login = LOGIN,
    enrol: Enrol = ENROL,
    ephemeral: X25519PrivateKey | None = None,
    rekey_after: int = REKEY_AFTER_RECORDS,
) -> ClientConnection:
    """A client whose hello waits to be sent."""
    credentials: dict[Kind, Credentials] = {
        Kind.ENROL: EnrolWith(SERVER_KEY, enrol),
        Kind.LOGIN: LoginWith(SERVER_KEY, DEVICE_STATIC, login),
        Kind.RESUME: ResumeWith(TICKET, PSK, login),
    }
    return ClientConnection(
        credentials[kind],
        Attempt(intent, number, deferral_ticket),
        FixedRandom("client"),
        ephemeral=ephemeral,
        rekey_after=rekey_after,
    )


def make_server(
    *, static: X25519PrivateKey = SERVER_STATIC, rekey_after: int = REKEY_AFTER_RECORDS
) -> ServerConnection:
    return ServerConnection(static, FixedRandom("server"), rekey_after=rekey_after)


def psk_for(kind: Kind) -> bytes | None:
    """What a server passes to `read_first_message`."""
    return PSK if kind is Kind.RESUME else None


def pass_on(sender: Connection, receiver: Connection) -> list[Event]:
    """Move everything that waits from one side to the other."""
    return receiver.receive_data(sender.data_to_send())


def server_in(state: State, kind: Kind) -> tuple[ClientConnection, ServerConnection]:
    """A pair whose server has come to `state`. Its answer still waits while it is UNPROVEN."""
    client, server = make_client(kind), make_server()
    if state is State.HELLO:
        return client, server
    pass_on(client, server)
    if state is State.DECIDING:
        return client, server
    server.read_first_message(psk_for(kind))
    if state is State.OPENED:
        return client, server
    server.accept(None if kind is Kind.ENROL else WELCOME)
    if state is State.UNPROVEN:
        return client, server
    pass_on(server, client)
    if kind is not Kind.ENROL:
        client.send(Ready())
    pass_on(client, server)
    if state is State.LIVE and kind is Kind.ENROL:
        server.welcome_enrolled(WELCOME)
        pass_on(server, client)
    assert server.state is state
    return client, server


def live_pair(
    kind: Kind = Kind.LOGIN, *, rekey_after: int = REKEY_AFTER_RECORDS
) -> tuple[ClientConnection, ServerConnection]:
    """A pair with a live session on both sides and nothing waiting."""
    client = make_client(kind, rekey_after=rekey_after)
    server = make_server(rekey_after=rekey_after)
    pass_on(client, server)
    server.read_first_message(psk_for(kind))
    server.accept(None if kind is Kind.ENROL else WELCOME)
    pass_on(server, client)
    if kind is Kind.ENROL:
        pass_on(client, server)
        server.welcome_enrolled(WELCOME)
        pass_on(server, client)
    else:
        client.send(Ready())
        pass_on(client, server)
    assert client.state is server.state is State.LIVE
    return client, server
