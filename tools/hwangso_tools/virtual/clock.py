"""Runs Trio in virtual time: the same seed gives the same run, and one that hangs says on what.

    run_virtual(main, seed=1)

When every task waits, the clock jumps to the next deadline, so an hour takes as long as what
happens in it. Trio runs the tasks of a batch in random order; here that order follows from the
seed. (A signal with a handler in Python, as a sampling profiler's, wakes a task of Trio's and so
changes the order from there on.)

A run must not hang, and a guard looks after that: an instrument, which Trio calls in each turn of
its loop. It needs no thread and no signal: with a clock that jumps Trio never waits in the kernel,
not even when nothing can ever happen again, so that the guard is always called. The exception is a
task that never comes to an `await`; that one shows in the traceback of Ctrl-C or pytest-timeout.
"""

import gc
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Final, TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

T = TypeVar("T")

GUARD_S: Final = 60.0
"""Real seconds for a run that is a test; a long storm is given more."""

TURNS_PER_CHECK: Final = 1_000
"""Turns of Trio's loop between two looks of the guard: about 10 ms, and nothing to be measured."""

OBJECTS_PER_COLLECTION: Final = 10_000
"""Python's is 700. Thousands of phones are many objects that stay, and looking through them again
and again took a fifth of a storm; with this it takes 4 %."""

WAITS_SHOWN: Final = 12
"""Different places where tasks wait that a message names."""


class VirtualTimeStuck(Exception):
    """A run did not end. The text says why, and what the tasks wait for."""


def run_virtual(main: Callable[[], Awaitable[T]], *, seed: int, guard_s: float = GUARD_S) -> T:
    """`trio.run` on a MockClock that jumps whenever all tasks wait; it begins at 0.

    What `main` draws at random is its own affair (see `virtual_world`). Raises VirtualTimeStuck if
    nothing can ever happen again, or if the run takes more than `guard_s` of real time.
    """
    guard = _Guard(guard_s)
    with _seeded_scheduler(seed), _rare_collections():
        return trio.run(
            guard.watch, main, clock=MockClock(autojump_threshold=0), instruments=[guard]
        )


class _Guard(trio.abc.Instrument):
    """Looks at the run once in a while, and cancels it when it is stuck."""

    def __init__(self, guard_s: float) -> None:
        self._guard_s = guard_s
        self._began_s = perf_counter()
        self._turns = 0
        self._looked_at_s = -inf
        self._scope = trio.CancelScope()
        self._finding = ""

    async def watch(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run `main`. Raises VirtualTimeStuck."""
        with self._scope:
            return await main()
        raise VirtualTimeStuck(self._finding)

    def before_io_wait(self, timeout: float) -> None:
        """Trio calls this in each turn of its loop."""
        self._turns += 1
        if self._turns % TURNS_PER_CHECK == 0 and not self._finding:
            self._finding = self._look()
            if self._finding:
                self._scope.cancel()

    def _look(self) -> str:
        """What is wrong, or nothing."""
        now_s, last_s = trio.current_time(), self._looked_at_s
        self._looked_at_s = now_s
        if _is_deadlock():
            wrong = "nothing can ever happen again: no task can run, and none has a deadline"
        elif perf_counter() - self._began_s < self._guard_s:
            return ""
        elif now_s == last_s:
            wrong = f"not over after {self._guard_s:g} real seconds, and time stands still"
        else:
            wrong = f"not over after {self._guard_s:g} real seconds, while time goes on"
        return f"{wrong}; virtual time {now_s:.6f} s\n{_waits()}"


def _is_deadlock() -> bool:
    """Whether no task can run, none has a deadline, and none waits for just that."""
    statistics = trio.lowlevel.current_statistics()
    if statistics.tasks_runnable or statistics.seconds_to_next_deadline < inf:
        return False
    frames = (frame for task in _all_tasks() for frame, _ in task.iter_await_frames())
    return all(frame.f_code is not wait_all_tasks_blocked.__code__ for frame in frames)


def _waits() -> str:
    """Where all tasks wait, those that wait at the same place in one line."""
    places = Counter(map(_place, _all_tasks()))
    lines = [f"  {count} x {place}" for place, count in places.most_common(WAITS_SHOWN)]
    if len(places) > WAITS_SHOWN:
        lines.append(f"  and {len(places) - WAITS_SHOWN} other places")
    return "\n".join(lines)


def _all_tasks() -> Iterator[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    tasks = [root] if root is not None else []
    while tasks:
        task = tasks.pop()
        yield task
        for nursery in task.child_nurseries:
            tasks.extend(nursery.child_tasks)


def _place(task: trio.lowlevel.Task) -> str:
    """The task's name, and its innermost line that is not Trio's."""
    where = ""
    for frame, line in task.iter_await_frames():
        if not str(frame.f_globals.get("__name__")).startswith("trio."):
            code = frame.f_code
            where = f" in {code.co_name}, {Path(code.co_filename).name}:{line}"
    return f"{task.name}{where}"


@contextmanager
def _seeded_scheduler(seed: int) -> Iterator[None]:
    """Make Trio's order of tasks follow from the seed, and leave Trio as it was.

    Trio has this for Hypothesis only (pytest-trio sets the same two names): a generator that draws
    the order of each batch, and a switch that sorts the batch before. There is no public way. If a
    later Trio has other names, a KeyError here says so at once.
    """
    scheduler = vars(import_module("trio._core._run"))
    generator, switch = scheduler["_r"], scheduler["_ALLOW_DETERMINISTIC_SCHEDULING"]
    scheduler["_r"] = random.Random(f"{seed}/scheduler")
    scheduler["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    try:
        yield
    finally:
        scheduler["_r"] = generator
        scheduler["_ALLOW_DETERMINISTIC_SCHEDULING"] = switch


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage less often, for speed; nothing else depends on when that happens."""
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    try:
        yield
    finally:
        gc.set_threshold(*before)
