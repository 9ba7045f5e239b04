"""The operations that the bench times are those that a resume really makes."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hwangso_protocol import noise, ticket
from hwangso_protocol.client import Attempt, ClientConnection, ResumeWith
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Login, Policy, Ready, Welcome
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State
from hwangso_protocol.ticket import ResumeTicket, TicketKey, TicketRing
from hwangso_tools.bench import primitives
from hwangso_tools.bench.primitives import RESUME, cost_of_resume_s

PSK = bytes(range(32))
POLICY = Policy(keepalive_ms=1, backoff_base_ms=1, backoff_cap_ms=1)
COUNTS: Counter[str] = Counter()


def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        COUNTS[name] += 1
        return function(*args)

    return call


class CountedAead:
    def __init__(self, key: bytes) -> None:
        COUNTS["aes-gcm key"] += 1
        real = AESGCM(key)
        self.encrypt = counted("aes-gcm seal", real.encrypt)
        self.decrypt = counted("aes-gcm open", real.decrypt)


class CountedPrivateKey:
    def __init__(self, real: X25519PrivateKey) -> None:
        self.public_key = counted("x25519 public key of it", real.public_key)
        self.exchange = counted("x25519 exchange", real.exchange)

    @classmethod
    def from_private_bytes(cls, data: bytes) -> "CountedPrivateKey":
        COUNTS["x25519 private key"] += 1
        return cls(X25519PrivateKey.from_private_bytes(data))


class CountedPublicKey:
    from_public_bytes = staticmethod(counted("x25519 peer key", X25519PublicKey.from_public_bytes))


class ServerOfOneResume:
    """Made with the ticket ring that a server keeps; does one resume."""

    def __init__(self) -> None:
        self.ring = TicketRing([TicketKey(1, bytes(32))])
        self.ticket = ResumeTicket(1, "bob", 1, 0, 10, PSK)
        self.random_bytes = counted("random bytes", os.urandom)
        self.connection = ServerConnection(X25519PrivateKey.generate(), self.random_bytes)

    def answer(self, hello: bytes, sealed: bytes) -> bytes:
        opened = self.ring.open(sealed, 5)
        self.connection.receive_data(hello)
        self.connection.read_first_message(opened.psk)
        psk = self.random_bytes(32)
        fresh = self.ring.seal(opened, self.random_bytes)
        self.connection.accept(Welcome("bob", 1, fresh, psk, 1, 0, 0, POLICY))
        return self.connection.data_to_send()


def test_the_operations_of_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> None:
        """Have what the protocol uses counted from here on."""
        monkeypatch.setattr(noise, "hkdf2", counted("hkdf, two outputs", noise.hkdf2))
        monkeypatch.setattr(noise, "hkdf3", counted("hkdf, three outputs", noise.hkdf3))
        mix_hash = noise.SymmetricState.mix_hash
        monkeypatch.setattr(
            noise.SymmetricState,
            "mix_hash",
            counted("sha256", mix_hash),
        )
        monkeypatch.setattr(noise, "AESGCM", CountedAead)
        monkeypatch.setattr(noise, "X25519PrivateKey", CountedPrivateKey)
        monkeypatch.setattr(noise, "X25519PublicKey", CountedPublicKey)

    with monkeypatch.context() as patch:
        patch.setattr(ticket, "AESGCM", CountedAead)
        server = ServerOfOneResume()
    sealed = server.ring.seal(server.ticket, os.urandom)
    client = ClientConnection(
        ResumeWith(sealed, PSK, Login(since=0)), Attempt(Intent.BACKGROUND), os.urandom
    )
    hello = client.data_to_send()

    COUNTS.clear()
    count()
    answer = server.answer(hello, sealed)
    so_far = COUNTS.copy()
    client.receive_data(answer)
    client.send(Ready())
    ready = client.data_to_send()
    COUNTS.clear()
    COUNTS.update(so_far)
    server.connection.receive_data(ready)
    assert server.connection.state is State.LIVE
    assert COUNTS == RESUME


def test_the_cost_is_the_sum_of_all_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "_fastest_s", lambda _operation: 0.5)
    assert cost_of_resume_s() == 0.5 * sum(RESUME.values())


def test_each_operation_can_be_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primitives, "REPEATS", 2)
    assert cost_of_resume_s() >= 0
