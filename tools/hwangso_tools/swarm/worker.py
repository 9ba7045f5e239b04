"""A worker process of a swarm: `python -m hwangso_tools.swarm.worker`, started by `coordinator`.

Takes orders on standard input, reports on standard output (`pipe`), and ends when its input does.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from hwangso_client.address import ServerAddress
from hwangso_client.network import Network, TcpNetwork
from hwangso_tools.channel import FrameReader, FrameWriter
from hwangso_tools.machine import raise_descriptor_limit
from hwangso_tools.swarm.crowd import Crowd, open_crowd
from hwangso_tools.swarm.pipe import (
    BOOKS_CHUNK,
    PROGRESS_EVERY_S,
    Begin,
    Chat,
    Done,
    Enrolled,
    Finish,
    Order,
    Part,
    Progress,
    Report,
    order_reader,
)
from hwangso_tools.swarm.plan import Plan
from hwangso_tools.swarm.saturation import SaturationWatch

ORDERS_WAITING: Final = 4
"""A parent gives three orders in all."""


class Worker:
    """One process's part of a swarm."""

    def __init__(
        self,
        orders: FrameReader[Order],
        reports: FrameWriter[Report],
        make_network: Callable[[Plan], Network],
        epoch_s: float,
    ) -> None:
        self._orders = orders
        self._reports = reports
        self._make_network = make_network
        self._epoch_s = epoch_s
        self._watch = SaturationWatch()
        self._chat_is_over = False

    async def run(self) -> None:
        """Carry out the parent's orders; returns at once when the parent goes away."""
        send, receive = trio.open_memory_channel[Order](ORDERS_WAITING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_orders, send, nursery.cancel_scope)
            begin = await receive.receive()
            if isinstance(begin, Begin):
                with suppress(trio.BrokenResourceError):
                    await self._work(begin, receive)
            nursery.cancel_scope.cancel()

    async def _read_orders(
        self, orders: trio.MemorySendChannel[Order], parent_gone: trio.CancelScope
    ) -> None:
        while True:
            order = await self._orders.receive()
            if order is None:
                parent_gone.cancel()
                return
            await orders.send(order)

    async def _work(self, begin: Begin, orders: trio.MemoryReceiveChannel[Order]) -> None:
        plan = begin.plan
        network = self._make_network(plan)
        devices = plan.share(begin.process)
        async with (
            open_crowd(plan, devices, network, epoch_s=self._epoch_s) as crowd,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._watch.run)
            nursery.start_soon(self._report_progress, crowd)
            await crowd.enrol()
            refusal = None if crowd.refusal is None else str(crowd.refusal)
            await self._reports.send(Enrolled(crowd.enrolled(), refusal))
            async for order in orders:
                if isinstance(order, Chat):
                    crowd.present = order.present
                    await crowd.chat(plan.seconds)
                    self._chat_is_over = True
                elif isinstance(order, Finish):
                    break
            connected, unanswered = crowd.ready, crowd.unanswered  # before the devices are closed
            nursery.cancel_scope.cancel()
        for books in crowd.ledger.export(BOOKS_CHUNK):
            await self._reports.send(Part(books))
        figures = crowd.figures.snapshot()
        await self._reports.send(Done(figures, self._watch.load, connected, unanswered))

    async def _report_progress(self, crowd: Crowd) -> None:
        while True:
            await self._reports.send(
                Progress(
                    ready=crowd.ready,
                    expected=crowd.expected,
                    arrivals=crowd.arrivals,
                    counts=dict(crowd.figures.counts),
                    saturated=self._watch.saturated_now,
                    settled=self._chat_is_over and not crowd.unanswered,
                )
            )
            await trio.sleep(PROGRESS_EVERY_S)


def tcp_network(plan: Plan) -> Network:
    """The server of the plan, over TCP."""
    return TcpNetwork(ServerAddress(plan.host, plan.foreground_port, plan.background_port))


async def main() -> None:
    """Work for the parent at the other end of standard input and output."""
    raise_descriptor_limit()
    async with (
        trio.lowlevel.FdStream(sys.stdin.fileno()) as orders,
        trio.lowlevel.FdStream(sys.stdout.fileno()) as reports,
    ):
        worker = Worker(
            order_reader(orders),
            FrameWriter[Report](reports),
            tcp_network,
            time.perf_counter() - trio.current_time(),
        )
        await worker.run()


if __name__ == "__main__":
    trio.run(main)
