"""A worker: batches, order, failure, and a thread that always ends."""

import threading
from collections.abc import Sequence

import pytest
import trio
import trio.testing
from outcome import Value

from hwangso_server.store import StoreFailed
from hwangso_server.store.worker import Call, Worker


class Sum(Call[int]):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Adder:
    """Answers each job with the sum of its batch, one batch for each `go`."""

    def __init__(self, *, batch_limit: int = 100) -> None:
        self.go = threading.Semaphore(0)
        self.batches: list[list[int]] = []
        self.closed_in: str | None = None
        self.settled = 0
        self.failures: list[StoreFailed] = []
        self.worker = Worker[Sum](
            "adder",
            self.handle,
            batch_limit=batch_limit,
            on_failed=self.failed,
            on_settled=self.on_settled,
            close=self.close,
        )

    def handle(self, jobs: Sequence[Sum]) -> None:
        self.go.acquire()
        self.batches.append([job.number for job in jobs])
        total = sum(job.number for job in jobs)
        if total < 0:
            raise StoreFailed("negative")
        for job in jobs:
            job.answer = Value(total)

    def on_settled(self) -> None:
        self.settled += 1

    def failed(self, error: StoreFailed) -> None:
        self.failures.append(error)
        self.worker.fail(error)

    def close(self) -> None:
        self.closed_in = threading.current_thread().name

    async def add(self, number: int, answers: list[int]) -> None:
        job = Sum(number)
        self.worker.submit(job)
        answers.append(await job.wait())


async def test_jobs_gather_while_the_thread_is_busy() -> None:
    adder = Adder(batch_limit=3)
    jobs = [Sum(number) for number in range(1, 7)]
    for job in jobs:
        adder.worker.submit(job)
    assert adder.worker.waiting == 6
    adder.go.release(10)
    await adder.worker.drained()
    assert adder.batches == [[1], [2, 3, 4], [5, 6]]
    assert [job.answer for job in jobs] == [Value(n) for n in [1, 9, 9, 9, 11, 11]]
    assert adder.worker.waiting == 0
    await adder.worker.stop()


async def test_each_caller_gets_its_answer() -> None:
    adder = Adder()
    answers: list[int] = []
    adder.go.release(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adder.add, 4, answers)
        nursery.start_soon(adder.add, 5, answers)
    assert sorted(answers) == [4, 5]
    assert adder.settled == 2
    await adder.worker.stop()


async def test_a_failed_batch_fails_what_waits_too() -> None:
    adder = Adder()
    caught: list[StoreFailed] = []

    async def add(number: int) -> None:
        with pytest.raises(StoreFailed, match="negative") as failure:
            await adder.add(number, [])
        caught.append(failure.value)

    async with trio.open_nursery() as nursery:
        for number in [-1, -2, -3]:
            nursery.start_soon(add, number)
        await trio.testing.wait_all_tasks_blocked()
        adder.go.release()
    assert [str(error) for error in adder.failures] == ["negative"]
    assert len({id(error) for error in [*caught, *adder.failures]}) == 4  # to each its own
    assert len(adder.batches) == 1
    await adder.worker.stop()
    assert adder.closed_in == "adder"


async def test_a_cancelled_caller_leaves_the_others_alone() -> None:
    adder = Adder()
    answers: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adder.add, 1, answers)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await adder.add(2, answers)
        assert scope.cancelled_caught
        adder.go.release(2)
    await adder.worker.drained()
    assert answers == [1]
    assert adder.batches == [[1], [2]]
    await adder.worker.stop()


async def test_stopping_finishes_the_batch_and_closes_in_the_thread() -> None:
    adder = Adder()
    job = Sum(1)
    adder.worker.submit(job)
    adder.go.release()
    await adder.worker.stop()
    assert adder.batches == [[1]]
    assert adder.closed_in == "adder"
    assert all(thread.name != "adder" for thread in threading.enumerate())


async def test_what_comes_back_after_failing_is_ignored() -> None:
    adder = Adder()
    job = Sum(1)
    adder.worker.submit(job)
    adder.worker.fail(StoreFailed("given up"))
    adder.go.release()
    await adder.worker.stop()
    await trio.testing.wait_all_tasks_blocked()
    assert adder.settled == 1
    assert job.answer == Value(1)  # set in the thread, told to nobody


def test_a_thread_outlives_the_program_quietly() -> None:
    adders: list[Adder] = []

    async def leave() -> None:
        adders.append(Adder())
        adders[0].worker.submit(Sum(1))

    trio.run(leave)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "adder"]
    assert thread.daemon
    adders[0].worker._batches.put(None)
    adders[0].go.release()
    thread.join()
    assert adders[0].closed_in == "adder"
