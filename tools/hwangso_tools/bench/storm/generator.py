"""A generator process, as its parent sees it: start it, give it orders, be sure that it ends."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import trio

from hwangso_tools.bench.lines import BenchFailed
from hwangso_tools.bench.storm.pipe import (
    Begin,
    Connect,
    Connected,
    Done,
    Failed,
    HangUp,
    Order,
    Prepare,
    Report,
)
from hwangso_tools.channel import ChannelError, FrameReader, FrameWriter

ANSWER_WITHIN_S: Final = 60.0
"""To prepare the largest crowd takes a few seconds; a generator that needs more hangs. A Connect
has so long after its own end."""

STOP_WITHIN_S: Final = 10.0
"""For a generator to end by itself once its pipe is closed."""

COMMAND: Final = (sys.executable, "-m", "hwangso_tools.bench.storm.worker")


class Generator:
    """A running generator. Made by `generator`; one task at a time gives it orders.

    Every order raises BenchFailed when the generator cannot carry it out, has died, or hangs.
    """

    def __init__(
        self,
        name: str,
        pid: int,
        orders: trio.abc.SendStream,
        reports: trio.abc.ReceiveStream,
    ) -> None:
        self.pid = pid
        self.is_realtime = False
        """Whether the system gave it real-time priority."""
        self._name = name
        self._orders = FrameWriter[Order](orders)
        self._reports = FrameReader[Report](reports, msgspec.msgpack.Decoder(Report).decode)

    async def begin(self, order: Begin) -> None:
        """The first order, once."""
        report = await self._ask(order, ANSWER_WITHIN_S)
        self.is_realtime = isinstance(report, Done) and report.realtime

    async def prepare(self, devices: Sequence[int], *, spare_keys: int = 0) -> None:
        """Make the next hello of these devices, and key pairs for those that follow."""
        await self._ask(Prepare(list(devices), spare_keys), ANSWER_WITHIN_S)

    async def connect(self, order: Connect) -> Connected:
        """See `Crowd.connect`."""
        left_s = order.until_s - time.monotonic()
        report = await self._ask(order, left_s + ANSWER_WITHIN_S)
        if not isinstance(report, Connected):
            raise BenchFailed(f"the {self._name} generator answered something else")
        return report

    async def hang_up(self) -> None:
        """Close all its sockets."""
        await self._ask(HangUp(), ANSWER_WITHIN_S)

    async def _ask(self, order: Order, within_s: float) -> Report:
        report: Report | None = None
        with trio.move_on_after(within_s) as scope:
            with suppress(trio.BrokenResourceError):  # it has gone; reading says so
                await self._orders.send(order)
            try:
                report = await self._reports.receive()
            except ChannelError as error:
                raise BenchFailed(f"the {self._name} generator wrote nonsense: {error}") from None
        if scope.cancelled_caught:
            raise BenchFailed(f"the {self._name} generator hangs")
        if report is None:
            raise BenchFailed(f"the {self._name} generator died")
        if isinstance(report, Failed):
            raise BenchFailed(f"the {self._name} generator: {report.why}")
        return report


@asynccontextmanager
async def generator(name: str, begin: Begin) -> AsyncIterator[Generator]:
    """Run a generator on the cores of this process; it has ended when this is left."""
    process = await trio.lowlevel.open_process(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # Ctrl-C reaches the parent alone
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process without the pipes that were asked for")
    try:
        started = Generator(name, process.pid, process.stdin, process.stdout)
        await started.begin(begin)
        yield started
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(STOP_WITHIN_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await process.stdout.aclose()
