"""Passwords: Argon2id (RFC 9106) in worker threads, few at a time, a bounded number waiting.

    passwords = Passwords(memory_kib=19_456, iterations=2, at_once=2)
    phc = await passwords.hash("correct horse")
    await passwords.verify("correct horse", phc)

Hashes are kept as PHC strings, which carry their own salt and costs, so that the costs can be
raised later: older hashes go on being verified with those they were made with.
"""

import os
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import trio
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hwangso_protocol.noise import RandomBytes
from hwangso_server.limits import PASSWORDS_WAITING_MAX

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
"""Both as in the recommended options of RFC 9106 section 4."""

LANES: Final = 1
"""Never more: two derivations with several lanes at the same time wait for each other for ever, for
threads of OpenSSL's pool (seen with cryptography 50, OpenSSL 4.0). One lane needs no pool."""

T = TypeVar("T")


class TooManyWaiting(Exception):
    """Nothing was done: PASSWORDS_WAITING_MAX others wait already. The caller counts it and says
    `busy`."""


class RunSync(Protocol):
    """How blocking work is run: `trio.to_thread.run_sync`, or `run_inline` in virtual time."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


async def run_in_thread(work: Callable[[], T], /) -> T:
    """Run `work` in a worker thread. Cancellation waits for it to end, a fraction of a second."""
    return await trio.to_thread.run_sync(work)


async def run_inline(work: Callable[[], T], /) -> T:
    """Run `work` at once: for virtual time, which must not see threads (trio issue 456)."""
    await trio.lowlevel.checkpoint()
    return work()


class Passwords:
    """Hashes and verifies passwords; the costs are those of `Config`."""

    def __init__(
        self,
        *,
        memory_kib: int,
        iterations: int,
        at_once: int,
        waiting_max: int = PASSWORDS_WAITING_MAX,
        random_bytes: RandomBytes = os.urandom,
        run_sync: RunSync = run_in_thread,
    ) -> None:
        self._memory_kib = memory_kib
        self._iterations = iterations
        self._random_bytes = random_bytes
        self._run_sync = run_sync
        self._turns = trio.CapacityLimiter(at_once)
        self._waiting_max = waiting_max
        self._nobodys = self._make_nobodys()

    async def hash(self, password: str) -> str:
        """The PHC string to store. Raises TooManyWaiting."""
        hasher = Argon2id(
            salt=self._random_bytes(SALT_BYTES),
            length=HASH_BYTES,
            iterations=self._iterations,
            lanes=LANES,
            memory_cost=self._memory_kib,
        )
        secret = _secret(password)
        return await self._run(lambda: hasher.derive_phc_encoded(secret))

    async def verify(self, password: str, phc: str | None) -> bool:
        """Whether the password is that of `phc`; with None, an unknown user, it never is.

        An unknown user costs the same work as a known one, so that the time tells nobody who has
        an account. (Not where hashes made with other costs are stored.) Raises TooManyWaiting.
        """
        secret = _secret(password)
        matches = await self._run(lambda: _matches(secret, phc or self._nobodys))
        return matches and phc is not None

    async def _run(self, work: Callable[[], T]) -> T:
        turns = self._turns
        if not turns.available_tokens and turns.statistics().tasks_waiting >= self._waiting_max:
            raise TooManyWaiting
        async with turns:
            return await self._run_sync(work)

    def _make_nobodys(self) -> str:
        """What a hash of ours looks like, but that of no password."""
        return (
            f"$argon2id$v=19$m={self._memory_kib},t={self._iterations},p={LANES}"
            f"${_base64(self._random_bytes(SALT_BYTES))}${_base64(self._random_bytes(HASH_BYTES))}"
        )


def _secret(password: str) -> bytes:
    """One password typed on two phones can be two strings: RFC 8265 section 4.2.2 says NFC."""
    return unicodedata.normalize("NFC", password).encode()


def _matches(secret: bytes, phc: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(secret, phc)
    except (InvalidKey, ValueError):  # ValueError: not a PHC string, so no password fits it
        return False
    return True


def _base64(data: bytes) -> str:
    """As PHC strings have it: without padding."""
    return b64encode(data).rstrip(b"=").decode()
