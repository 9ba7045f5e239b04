"""Trio in virtual time: one schedule for one seed, and a guard against runs that do not end."""

import gc
from importlib import import_module
from itertools import count

import pytest
import trio
import trio.testing

from hwangso_tools.virtual.clock import VirtualTimeStuck, run_virtual

SHORT_S = 0.05
"""Real time after which a run that should hang is given up here."""


def order_of_tasks(seed: int) -> str:
    """In which order Trio runs 26 tasks, three times."""
    order: list[str] = []

    async def step(name: str) -> None:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
            order.append(name)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for name in "abcdefghijklmnopqrstuvwxyz":
                nursery.start_soon(step, name)

    run_virtual(main, seed=seed)
    return "".join(order)


def test_an_hour_passes_at_once_and_time_begins_at_0() -> None:
    async def main() -> float:
        assert trio.current_time() == 0.0
        await trio.sleep(3600)
        return trio.current_time()

    assert run_virtual(main, seed=1) == 3600.0


def test_the_order_of_tasks_follows_from_the_seed() -> None:
    assert order_of_tasks(1) == order_of_tasks(1)
    assert order_of_tasks(1) != order_of_tasks(2)


def test_errors_come_out_as_they_are() -> None:
    async def main() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("so it is")

    with pytest.raises(LookupError, match="so it is"):
        run_virtual(main, seed=1)


def test_trio_and_the_garbage_collector_are_left_as_they_were() -> None:
    scheduler = vars(import_module("trio._core._run"))
    names = "_r", "_ALLOW_DETERMINISTIC_SCHEDULING"
    before = [scheduler[name] for name in names], gc.get_threshold()
    during = []

    async def main() -> None:
        await trio.lowlevel.checkpoint()
        during.extend([scheduler[name] for name in names])
        raise LookupError

    with pytest.raises(LookupError):
        run_virtual(main, seed=1)
    assert ([scheduler[name] for name in names], gc.get_threshold()) == before
    assert during[0] is not before[0][0]
    assert during[1] is True


def test_a_deadlock_is_found_and_says_who_waits_where() -> None:
    async def wait_for_nobody() -> None:
        await trio.Event().wait()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 7)
            nursery.start_soon(wait_for_nobody)
            nursery.start_soon(wait_for_nobody)

    with pytest.raises(VirtualTimeStuck) as stuck:
        run_virtual(main, seed=1)  # long before its 60 s are over
    said = str(stuck.value)
    assert "nothing can ever happen again" in said
    assert "virtual time 7.000000 s" in said
    assert ".wait_for_nobody in wait_for_nobody, test_clock.py:" in said
    assert "2 x " in said


def test_a_wait_for_something_outside_is_a_deadlock_too() -> None:
    """No thread may bring the news here, so nobody does."""

    async def main() -> None:
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)

    with pytest.raises(VirtualTimeStuck, match="nothing can ever happen again"):
        run_virtual(main, seed=1)


def test_waiting_for_all_tasks_to_be_blocked_is_no_deadlock() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            for _ in range(5_000):
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    run_virtual(main, seed=1)


def test_a_run_in_which_time_stands_still_is_ended() -> None:
    async def main() -> None:
        await trio.sleep(3)
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(VirtualTimeStuck, match=r"time stands still; virtual time 3\.000000 s"):
        run_virtual(main, seed=1, guard_s=SHORT_S)


def test_a_run_that_goes_on_for_ever_is_ended() -> None:
    async def main() -> None:
        for second in count():
            await trio.sleep_until(second)

    with pytest.raises(VirtualTimeStuck, match=f"not over after {SHORT_S} real seconds, while"):
        run_virtual(main, seed=1, guard_s=SHORT_S)


def test_what_tasks_wait_for_is_told_in_a_few_lines() -> None:
    async def wait() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(wait, name=f"task {number}")

    with pytest.raises(VirtualTimeStuck) as stuck:
        run_virtual(main, seed=1)
    lines = str(stuck.value).splitlines()
    assert len(lines) == 14
    assert lines[-1] == "  and 91 other places"  # with the three others of the run
