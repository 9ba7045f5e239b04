"""What the cryptographic primitives of one resume cost, on this core, now.

A resume on the server: open the ticket, the Noise handshake NNpsk0 as responder, seal a fresh
ticket, open the first record. `RESUME` counts the primitive operations in it; a test counts those
that the real code makes. What a resume costs beyond them is ours to make smaller.
"""

import os
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hwangso_protocol.noise import hkdf2, hkdf3

REPEATS: Final = 2_000
"""Of each primitive in one timing: 4 to 70 ms."""

ROUNDS: Final = 5
"""Timings of each primitive; the fastest counts, for the others were disturbed."""

RESUME: Final[Mapping[str, int]] = MappingProxyType(
    {
        "hkdf, two outputs": 4,
        "hkdf, three outputs": 1,
        "sha256": 6,
        "x25519 private key": 1,
        "x25519 public key of it": 1,
        "x25519 peer key": 1,
        "x25519 exchange": 1,
        "aes-gcm key": 3,
        "aes-gcm seal": 2,
        "aes-gcm open": 3,
        "random bytes": 3,
    }
)
"""Operations of one resume on the server, by primitive."""


def cost_of_resume_s() -> float:
    """Seconds of processor time for all primitive operations of one resume."""
    return sum(RESUME[name] * _fastest_s(operation) for name, operation in _operations().items())


def _operations() -> dict[str, Callable[[], object]]:
    key, nonce, text, plain = os.urandom(32), bytes(12), os.urandom(64), os.urandom(200)
    private = X25519PrivateKey.from_private_bytes(key)
    peer_bytes = X25519PrivateKey.from_private_bytes(os.urandom(32)).public_key().public_bytes_raw()
    peer = X25519PublicKey.from_public_bytes(peer_bytes)
    aead = AESGCM(key)
    sealed = aead.encrypt(nonce, plain, text)
    return {
        "hkdf, two outputs": lambda: hkdf2(key, peer_bytes),
        "hkdf, three outputs": lambda: hkdf3(key, peer_bytes),
        "sha256": lambda: sha256(plain).digest(),
        "x25519 private key": lambda: X25519PrivateKey.from_private_bytes(key),
        "x25519 public key of it": lambda: private.public_key().public_bytes_raw(),
        "x25519 peer key": lambda: X25519PublicKey.from_public_bytes(peer_bytes),
        "x25519 exchange": lambda: private.exchange(peer),
        "aes-gcm key": lambda: AESGCM(key),
        "aes-gcm seal": lambda: aead.encrypt(nonce, plain, text),
        "aes-gcm open": lambda: aead.decrypt(nonce, sealed, text),
        "random bytes": lambda: os.urandom(32),
    }


def _fastest_s(operation: Callable[[], object]) -> float:
    return min(_timed_s(operation) for _ in range(ROUNDS)) / REPEATS


def _timed_s(operation: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in range(REPEATS):
        operation()
    return time.process_time() - start
