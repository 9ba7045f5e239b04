"""A swarm's parent: starts the worker processes, keeps them in step, and adds up what they did.

A worker that dies, or says nothing for SILENT_MAX_S, ends the swarm with an error that names it:
nothing here waits for ever.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import trio

from hwangso_tools.channel import ChannelError, FrameReader, FrameWriter
from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.swarm.figures import Figures, by_prefix
from hwangso_tools.swarm.ledger import Ledger
from hwangso_tools.swarm.outcome import Outcome
from hwangso_tools.swarm.pipe import (
    Begin,
    Chat,
    Done,
    Enrolled,
    Finish,
    Order,
    Part,
    Progress,
    Report,
    report_reader,
)
from hwangso_tools.swarm.plan import Plan
from hwangso_tools.swarm.saturation import Load
from hwangso_tools.swarm.status import Status

SETTLE_WITHIN_S: Final = 20.0
"""After the chat, for messages on their way: longer than the longest back-off of a phone."""

SILENT_MAX_S: Final = 60.0
"""A worker reports twice a second; one that is silent for so long hangs."""

STOP_WITHIN_S: Final = 10.0
"""For a worker to end by itself once its pipe is closed."""


class WorkerFailed(CommandError):
    """A worker process died or hangs."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"process {number + 1} of the swarm {why}", ExitCode.VERDICT)


@dataclass(slots=True)
class WorkerState:
    """What the parent knows of one worker."""

    orders: FrameWriter[Order]
    reports: FrameReader[Report]
    enrolled: Enrolled | None = None
    progress: Progress | None = None
    done: Done | None = None

    async def order(self, order: Order) -> None:
        """Send an order. If the worker has gone, whoever reads its reports says so."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.orders.send(order)


@dataclass(slots=True)
class Coordinator:
    """One swarm. `run` it once; `status` tells how far it is."""

    plan: Plan
    workers: list[WorkerState] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    _phase: str = "starting"
    _started: float = field(default_factory=time.perf_counter)
    _changed: trio.Event = field(default_factory=trio.Event)

    def status(self) -> Status:
        """This moment, over all workers."""
        reports = [worker.progress for worker in self.workers if worker.progress is not None]
        counts: Counter[str] = Counter()
        for report in reports:
            counts.update(report.counts)
        return Status(
            phase=self._phase,
            elapsed_s=time.perf_counter() - self._started,
            devices=self.plan.devices,
            ready=sum(report.ready for report in reports),
            counts=counts,
            saturated=any(report.saturated for report in reports),
        )

    async def run(self) -> Outcome:
        """Start the processes and see them through. Raises CommandError."""
        async with trio.open_nursery() as nursery:
            for number in range(self.plan.processes):
                await nursery.start(self._run_process, number)
            present = await self._enrol()
            self._phase = "chat"
            await self._order(Chat(present))
            await self._settle()
            self._phase = "adding up"
            await self._order(Finish())
            await self._until(lambda: all(worker.done for worker in self.workers))
        return self._outcome(present)

    async def _enrol(self) -> dict[int, int]:
        self._phase = "enrol"
        for number, worker in enumerate(self.workers):
            await worker.order(Begin(self.plan, number))
        await self._until(lambda: all(worker.enrolled for worker in self.workers))
        present: dict[int, int] = {}
        for worker in self.workers:
            if worker.enrolled is None:
                continue
            if worker.enrolled.refusal is not None:
                raise CommandError(_advice(worker.enrolled.refusal), ExitCode.UNREACHABLE)
            for user, bits in worker.enrolled.present.items():
                present[user] = present.get(user, 0) | bits
        if not present:
            errors = ", ".join(by_prefix(self.status().counts, "error")) or "no answer"
            raise CommandError(f"no device could enrol: {errors}", ExitCode.UNREACHABLE)
        return present

    async def _settle(self) -> None:
        """The chat, and what is on its way after it."""
        with trio.move_on_after(self.plan.seconds + SETTLE_WITHIN_S):
            await self._until(self._is_settled)

    def _is_settled(self) -> bool:
        reports = [worker.progress for worker in self.workers]
        known = [report for report in reports if report is not None and report.settled]
        return len(known) == len(reports) and (
            sum(report.arrivals for report in known) >= sum(report.expected for report in known)
        )

    async def _order(self, order: Order) -> None:
        for worker in self.workers:
            await worker.order(order)

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait for reports until it is so."""
        while not reached():
            await self._changed.wait()

    def _outcome(self, present: dict[int, int]) -> Outcome:
        figures, load = Figures(), Load()
        done = [worker.done for worker in self.workers if worker.done is not None]
        for report in done:
            figures.merge(report.figures)
            load = load.merged(report.load)
        return Outcome(
            devices=self.plan.devices,
            enrolled=sum(bits.bit_count() for bits in present.values()),
            audit=self.ledger.audit(lambda user: present.get(user, 0)),
            figures=figures,
            load=load,
            connected=sum(report.connected for report in done),
            unanswered=sum(report.unanswered for report in done),
        )

    # Processes

    async def _run_process(
        self, number: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        process = await trio.lowlevel.open_process(
            worker_command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C reaches the parent alone
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process without the pipes that were asked for")
        worker = WorkerState(FrameWriter[Order](process.stdin), report_reader(process.stdout))
        self.workers.append(worker)
        try:
            task_status.started()
            await self._read_reports(number, worker, process.wait)
        finally:
            with trio.CancelScope(shield=True):
                await process.stdin.aclose()
                with trio.move_on_after(STOP_WITHIN_S):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                await process.stdout.aclose()

    async def _read_reports(
        self, number: int, worker: WorkerState, ended: Callable[[], Awaitable[int]]
    ) -> None:
        while worker.done is None:
            report: Report | None = None
            with trio.move_on_after(SILENT_MAX_S) as scope:
                try:
                    report = await worker.reports.receive()
                except ChannelError as error:
                    raise WorkerFailed(number, f"wrote nonsense: {error}") from None
                if report is None:
                    raise WorkerFailed(number, f"died: {_how(await ended())}")
            if scope.cancelled_caught:
                raise WorkerFailed(number, f"said nothing for {SILENT_MAX_S:.0f} s")
            self._take(worker, report)

    def _take(self, worker: WorkerState, report: Report | None) -> None:
        match report:
            case Enrolled():
                worker.enrolled = report
            case Progress():
                worker.progress = report
            case Part(books):
                self.ledger.merge(books)
            case Done():
                worker.done = report
            case None:
                pass
        self._changed.set()
        self._changed = trio.Event()


def worker_command() -> Sequence[str]:
    """How a worker process is started."""
    return [sys.executable, "-m", "hwangso_tools.swarm.worker"]


def _how(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _advice(refusal: str) -> str:
    if "registration_closed" in refusal:
        return (
            "the server makes no accounts for swarms: start it with --registration open, on a data "
            "folder that is not for real users"
        )
    return f"the server refuses a device: {refusal}"
