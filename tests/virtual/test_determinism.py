"""Same seed, same run, byte for byte; and nothing from outside virtual time in it."""

import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

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


def test_no_thread_and_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(what: str) -> Callable[..., object]:
        def fail(*_: object, **__: object) -> object:
            raise AssertionError(f"{what} in virtual time")

        return fail

    async def main() -> tuple[str, int]:
        # From here on: Trio itself makes a pair of sockets, to be woken by signals.
        monkeypatch.setattr(socket, "socket", forbid("a socket"))
        monkeypatch.setattr(socket, "socketpair", forbid("sockets"))
        monkeypatch.setattr(threading.Thread, "start", forbid("a thread"))
        return await everything(1)

    threads = threading.active_count()
    with monkeypatch.context():
        found = run_virtual(main, seed=1, guard_s=SECONDS_MAX)
    assert threading.active_count() == threads
    monkeypatch.undo()
    assert found == expected()


def test_the_watch_over_threads_sees_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""

    def fail(_: threading.Thread) -> None:
        raise AssertionError("a thread in virtual time")

    async def main() -> None:
        monkeypatch.setattr(threading.Thread, "start", fail)
        await trio.to_thread.run_sync(int)

    with pytest.raises(AssertionError, match="a thread in virtual time"):
        run_virtual(main, seed=1)
    monkeypatch.undo()
