import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
import trio.testing
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hwangso_server import passwords as passwords_module
from hwangso_server.passwords import Passwords, RunSync, TooManyWaiting, run_in_thread, run_inline

T = TypeVar("T")


def cheap(
    *, at_once: int = 1, waiting_max: int = 10, run_sync: RunSync = run_inline, iterations: int = 1
) -> Passwords:
    """The least that Argon2 allows."""
    return Passwords(
        memory_kib=8,
        iterations=iterations,
        at_once=at_once,
        waiting_max=waiting_max,
        run_sync=run_sync,
    )


class Gate:
    """A `run_sync` whose work waits until the gate is opened."""

    def __init__(self) -> None:
        self.running = 0
        self.opened = trio.Event()

    async def __call__(self, work: Callable[[], T], /) -> T:
        self.running += 1
        await self.opened.wait()
        self.running -= 1
        return work()


async def test_only_the_right_password_matches() -> None:
    passwords = cheap()
    phc = await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", phc)
    assert not await passwords.verify("correct Horse", phc)
    assert not await passwords.verify("", phc)


async def test_the_costs_are_in_the_hash() -> None:
    phc = await Passwords(memory_kib=64, iterations=2, at_once=1).hash("황소")
    assert phc.startswith("$argon2id$v=19$m=64,t=2,p=1$")


async def test_hashes_at_the_same_time_all_end() -> None:
    """With more than one lane each, OpenSSL's thread pool made them wait for ever."""
    passwords = Passwords(memory_kib=4_096, iterations=1, at_once=4)
    async with trio.open_nursery() as nursery:
        for _ in range(16):
            nursery.start_soon(passwords.hash, "황소")


async def test_older_costs_go_on_working() -> None:
    phc = await cheap(iterations=1).hash("a")
    assert await cheap(iterations=3).verify("a", phc)


async def test_each_hash_has_its_own_salt() -> None:
    passwords = cheap()
    assert await passwords.hash("a") != await passwords.hash("a")


async def test_salt_comes_from_the_caller() -> None:
    passwords = Passwords(
        memory_kib=8, iterations=1, at_once=1, random_bytes=bytes, run_sync=run_inline
    )
    assert await passwords.hash("a") == await passwords.hash("a")


async def test_composed_and_decomposed_letters_are_one_password() -> None:
    passwords = cheap()
    phc = await passwords.hash("황소")
    assert await passwords.verify("\u1112\u116a\u11bc\u1109\u1169", phc)


@pytest.mark.parametrize("damaged", ["", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
async def test_a_damaged_hash_matches_nothing(damaged: str) -> None:
    assert not await cheap().verify("a", damaged)


async def test_an_unknown_user_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []

    def watched(secret: bytes, phc: str) -> bool:
        checked.append(phc)
        return True  # even then an unknown user is not let in

    monkeypatch.setattr(passwords_module, "_matches", watched)
    passwords = cheap()
    known = await passwords.hash("a")
    assert await passwords.verify("a", known)
    assert not await passwords.verify("a", None)

    assert checked[0] == known
    # Same algorithm, version and costs; a salt and a hash of the same length.
    known_parts, nobodys_parts = (phc.split("$") for phc in checked)
    assert known_parts[:4] == nobodys_parts[:4]
    assert [len(part) for part in known_parts] == [len(part) for part in nobodys_parts]


async def test_nobodys_hash_is_really_computed() -> None:
    """A malformed one would be refused without work, and the time would tell."""
    passwords = cheap()
    with pytest.raises(InvalidKey, match="Keys do not match"):
        Argon2id.verify_phc_encoded(b"a", passwords._nobodys)


async def test_few_at_once_in_turn_and_no_more_than_may_wait() -> None:
    gate = Gate()
    passwords = cheap(at_once=2, waiting_max=3, run_sync=gate)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(passwords.verify, "a", None)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.running == 2
        with pytest.raises(TooManyWaiting):
            await passwords.verify("a", None)
        with pytest.raises(TooManyWaiting):
            await passwords.hash("a")
        gate.opened.set()
    assert not await passwords.verify("a", None)


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    gate = Gate()
    passwords = cheap(waiting_max=1, run_sync=gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passwords.hash, "a")
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await passwords.hash("a")
        assert impatient.cancelled_caught
        nursery.start_soon(passwords.hash, "a")
        await trio.testing.wait_all_tasks_blocked()
        gate.opened.set()


async def test_nobody_may_wait() -> None:
    assert not await cheap(waiting_max=0).verify("a", None)


async def test_the_real_work_is_done_in_a_worker_thread() -> None:
    assert await run_in_thread(threading.get_ident) != threading.get_ident()
    assert await run_inline(threading.get_ident) == threading.get_ident()
    passwords = cheap(run_sync=run_in_thread)
    assert await passwords.verify("a", await passwords.hash("a"))
