"""A thread that works off batches of jobs for one Trio program.

All bookkeeping happens on the Trio thread; nothing is locked. Jobs gather in a list while the
thread is busy; when it comes back, everything that gathered (up to a limit) goes to it as the next
batch. That is group commit: the slower the disk, the larger the batch. Two hand-overs a batch, a
`SimpleQueue.put` towards the thread and a `run_sync_soon` back, whatever the number of jobs.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar, TypeVarTuple, Unpack

import trio
from outcome import Error, Outcome

from hwangso_server.store.failures import another
from hwangso_server.store.interface import StoreFailed

T_co = TypeVar("T_co", covariant=True)


class Job(Protocol):
    """Handled in the thread, then either settled or failed, once, on the Trio thread."""

    def settle(self) -> None:
        """The batch is done: give out the result."""

    def fail(self, error: StoreFailed) -> None:
        """The batch failed, or was never begun: give out the error."""


Args = TypeVarTuple("Args")
JobT = TypeVar("JobT", bound=Job)


class Call(Generic[T_co]):
    """A job with one task that waits for the answer.

    The thread sets `answer`. A task that is cancelled stops waiting; the job runs all the same.
    """

    def __init__(self) -> None:
        self.answer: Outcome[T_co] | None = None
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> T_co:
        """The answer, once the batch is done; raises what the job or the batch failed with."""

        def give_up(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._task = trio.lowlevel.current_task()
        answer: T_co = await trio.lowlevel.wait_task_rescheduled(give_up)
        return answer

    def settle(self) -> None:
        if self.answer is not None:
            self._tell(self.answer)

    def fail(self, error: StoreFailed) -> None:
        self._tell(Error(another(error)))  # not by way of `answer`: the thread may be setting it

    def _tell(self, answer: Outcome[T_co]) -> None:
        if self._task is not None:
            trio.lowlevel.reschedule(self._task, answer)
            self._task = None


class Worker(Generic[JobT]):
    """Owns one thread. `handle` runs there, everything else on the Trio thread.

    `handle` gets at most `batch_limit` jobs in the order of their submission. If it raises, the
    thread ends, `on_failed` is told, and the owner must call `fail`. `close` runs in the thread,
    last.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[Sequence[JobT]], None],
        *,
        batch_limit: int,
        on_failed: Callable[[StoreFailed], None],
        on_settled: Callable[[], None] = lambda: None,
        close: Callable[[], None],
    ) -> None:
        self._handle: Final = handle
        self._batch_limit: Final = batch_limit
        self._on_failed: Final = on_failed
        self._on_settled: Final = on_settled
        self._close: Final = close
        self._batches: Final = queue.SimpleQueue[list[JobT] | None]()
        self._waiting: list[JobT] = []
        self._in_thread: list[JobT] = []
        self._idle = trio.Event()
        self._idle.set()
        self._ended: Final = trio.Event()
        self._token: Final = trio.lowlevel.current_trio_token()
        # A daemon, so that a thread stuck on a dead disk cannot keep the process from ending.
        self._thread: Final = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs submitted and neither settled nor failed."""
        return len(self._waiting) + len(self._in_thread)

    def submit(self, job: JobT) -> None:
        """Take a job; the owner has checked its limit. Never blocks."""
        self._waiting.append(job)
        if not self._in_thread:
            self._hand_over()

    def fail(self, error: StoreFailed) -> None:
        """Fail every job, those in the thread too: they may be done or not, nobody will be told."""
        jobs = self._in_thread + self._waiting
        self._in_thread, self._waiting = [], []
        self._idle.set()
        for job in jobs:
            job.fail(error)
        if jobs:
            self._on_settled()

    async def drained(self) -> None:
        """Wait until no job is left."""
        await self._idle.wait()

    def let_go(self) -> None:
        """The thread is to finish its batch, close and end. Submit nothing any more."""
        self._batches.put(None)

    async def stop(self) -> None:
        """Let go of the thread and wait for its end."""
        self.let_go()
        await self._ended.wait()
        self._thread.join()

    def _hand_over(self) -> None:
        batch = self._waiting
        if len(batch) > self._batch_limit:
            self._waiting = batch[self._batch_limit :]
            del batch[self._batch_limit :]
        else:
            self._waiting = []
        self._in_thread = batch
        if batch:
            if self._idle.is_set():
                self._idle = trio.Event()
            self._batches.put(batch)
        else:
            self._idle.set()

    def _done(self, batch: list[JobT]) -> None:
        if self._in_thread is not batch:  # failed meanwhile
            return
        self._hand_over()  # first the thread its work, then the callers their answers
        for job in batch:
            job.settle()
        self._on_settled()

    def _run(self) -> None:
        """The thread."""
        try:
            while (batch := self._batches.get()) is not None:
                try:
                    self._handle(batch)
                except StoreFailed as error:
                    self._tell(self._on_failed, error)
                    break
                except Exception as error:  # a bug must stop the server, not hang it
                    failed = StoreFailed(f"error in the store: {error!r}; please report it")
                    failed.__cause__ = error
                    self._tell(self._on_failed, failed)
                    break
                self._tell(self._done, batch)
        finally:
            self._close()
            self._tell(self._ended.set)

    def _tell(self, function: Callable[[Unpack[Args]], object], *args: *Args) -> None:
        with suppress(trio.RunFinishedError):  # the program gave up on this thread and is gone
            self._token.run_sync_soon(function, *args)
