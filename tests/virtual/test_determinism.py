"""Same seed, same run, byte for byte; and nothing from outside virtual time in it."""

import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
import trio
from tests.virtual.lab import SECONDS_MAX

from hwangso_client.config import LinkState
from hwangso_tools.virtual.clock import run_virtual
from hwangso_tools.virtual.link import LinkProfile
from hwangso_tools.virtual.world import virtual_world

ROOT = Path(__file__).parents[2]


async def everything(seed: int) -> tuple[str, int]:
    """A storm with all that can happen to a network; the trace's digest and length."""
    async with virtual_world(
        seed=seed, capacity_per_s=40, link=LinkProfile(0.03, jitter_s=0.05, loss=0.02)
    ) as world:
        phones = [await world.phone(f"user{number}") for number in range(60)]
        await world.connect(phones, per_s=30)
        phones[0].post("user1", "흔들렸어?")
        world.cut(phones[:30])
        for phone in phones[30:]:
            phone.radio.handover()
        world.link(phones[40]).cut()
        await trio.sleep(10)
        world.restore(phones)
        await phones[5].open_app()
        await trio.sleep(5)
        world.processor.slow_down(4)
        await trio.sleep(5)
        world.processor.slow_down(1)
        await world.server.restart(down_s=3)
        fresh = await world.phone("newcomer", enrolled=False)
        await fresh.open_app()
        for phone in phones:
            await phone.wait_ready()
        await trio.sleep(100)
        assert all(phone.link_state is LinkState.READY for phone in phones)
        return world.trace.digest(), world.trace.events


def run(seed: int) -> tuple[str, int]:
    return run_virtual(lambda: everything(seed), seed=seed, guard_s=SECONDS_MAX)


@cache
def expected() -> tuple[str, int]:
    """What seed 1 gives, here, the first time."""
    return run(1)


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    assert expected()[1] > 1_000
    assert run(1) == expected()
    assert run(2)[0] != expected()[0]


def test_garbage_collection_changes_nothing() -> None:
    with_collections = expected()
    gc.disable()
    try:
        assert run(1) == with_collections
    finally:
        gc.enable()


def test_the_order_of_tasks_is_part_of_the_run() -> None:
    """The negative control: another order of tasks, everything else the same, shows."""
    other = run_virtual(lambda: everything(1), seed=99, guard_s=SECONDS_MAX)
    assert other[0] != expected()[0]


def test_a_process_with_another_hash_seed_gives_the_same_run() -> None:
    child = subprocess.run(
        [sys.executable, "-c", "from tests.virtual.test_determinism import run; print(run(1))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert child.stdout.strip() == str(expected()), child.stderr


def forbid(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise AssertionError(f"{name} in virtual time")

    monkeypatch.setattr(owner, name, fail)


def forbid_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trio starts none if one of an earlier test is still idle, so it is watched as well."""
    forbid(monkeypatch, threading.Thread, "start")
    forbid(monkeypatch, trio.to_thread, "run_sync")


def test_no_thread_and_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[str, int]:
        # From here on: Trio itself makes a pair of sockets, to be woken by signals.
        forbid(monkeypatch, socket, "socket")
        forbid(monkeypatch, socket, "socketpair")
        forbid_threads(monkeypatch)
        return await everything(1)

    threads = threading.active_count()
    with monkeypatch.context():
        found = run_virtual(main, seed=1, guard_s=SECONDS_MAX)
    assert threading.active_count() <= threads  # an idle one of an earlier test may have ended
    monkeypatch.undo()
    assert found == expected()


async def start_thread() -> None:
    threading.Thread(target=int).start()


async def ask_trio_for_a_thread() -> None:
    await trio.to_thread.run_sync(int)


@pytest.mark.parametrize("take_thread", [start_thread, ask_trio_for_a_thread])
def test_the_watch_over_threads_sees_one(
    monkeypatch: pytest.MonkeyPatch, take_thread: Callable[[], Awaitable[None]]
) -> None:
    """The negative control."""

    async def main() -> None:
        forbid_threads(monkeypatch)
        await take_thread()

    with pytest.raises(AssertionError, match="in virtual time"):
        run_virtual(main, seed=1)
    monkeypatch.undo()
