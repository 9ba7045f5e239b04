"""A worker in virtual time: orders and reports over memory streams, the client's fake server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from tests.client.fakeserver import FakeServer, open_server
from trio.testing import MockClock, memory_stream_one_way_pair

from hwangso_tools.channel import FrameReader, FrameWriter
from hwangso_tools.swarm.ledger import Ledger
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
    order_reader,
    report_reader,
)
from hwangso_tools.swarm.plan import Plan
from hwangso_tools.swarm.worker import Worker


class Parent:
    """The other end of a worker's pipes."""

    def __init__(self, orders: trio.abc.SendStream, reports: FrameReader[Report]) -> None:
        self.stream = orders
        self.orders = FrameWriter[Order](orders)
        self.reports = reports
        self.progress: Progress | None = None

    async def next(self) -> Report | None:
        """The next report that is no Progress."""
        while True:
            report = await self.reports.receive()
            if not isinstance(report, Progress):
                return report
            self.progress = report

    async def settled(self) -> None:
        while self.progress is None or not self.progress.settled:
            report = await self.reports.receive()
            assert isinstance(report, Progress)
            self.progress = report


@asynccontextmanager
async def worker() -> AsyncIterator[tuple[Parent, FakeServer, trio.Event]]:
    """A running worker; the event is set when it has ended."""
    orders_send, orders_receive = memory_stream_one_way_pair()
    reports_send, reports_receive = memory_stream_one_way_pair()
    ended = trio.Event()

    async def run(server: FakeServer) -> None:
        working = Worker(
            order_reader(orders_receive), FrameWriter[Report](reports_send), lambda _: server, 0.0
        )
        await working.run()
        ended.set()

    async with open_server() as server, trio.open_nursery() as nursery:
        nursery.start_soon(run, server)
        yield Parent(orders_send, report_reader(reports_receive)), server, ended
        nursery.cancel_scope.cancel()


def plan_for(server: FakeServer) -> Plan:
    return Plan(
        run="crowd",
        password="x",
        host="nowhere",
        foreground_port=1,
        background_port=2,
        server_key=server.key,
        devices=4,
        users=4,
        processes=2,
        seconds=10.0,
        message_rate=1.0,
    )


async def test_a_whole_swarm(autojump_clock: MockClock) -> None:
    async with worker() as (parent, server, ended):
        for name in ("crowd-0", "crowd-2"):
            server.user(name)  # the other process's
        await parent.orders.send(Begin(plan_for(server), 1))
        enrolled = await parent.next()
        assert enrolled == Enrolled({1: 1, 3: 1})
        await parent.orders.send(Chat({1: 1, 3: 1}))
        await parent.settled()
        await parent.orders.send(Finish())
        ledger = Ledger()
        while isinstance(report := await parent.next(), Part):
            ledger.merge(report.books)
        assert isinstance(report, Done)
        await ended.wait()
        audit = ledger.audit(lambda user: int(user in (1, 3)))
        assert audit.exactly_once
        assert audit.acknowledged == report.figures.counts["sent"] > 0
        assert report.load.windows > 0
        assert (report.connected, report.unanswered) == (2, 0)


async def test_it_tells_when_the_server_has_gone(autojump_clock: MockClock) -> None:
    async with worker() as (parent, server, _):
        await parent.orders.send(Begin(plan_for(server), 1))
        await parent.next()
        server.reachable = False
        for name in ("crowd-1", "crowd-3"):
            server.session_of(name).cut()
        await parent.orders.send(Chat({1: 1, 3: 1}))
        await trio.sleep(60)
        await parent.orders.send(Finish())
        while isinstance(report := await parent.next(), Part):
            pass
        assert isinstance(report, Done)
        assert report.connected == 0
        assert report.unanswered == report.figures.counts["sent"] > 0


async def test_it_ends_when_its_parent_does(autojump_clock: MockClock) -> None:
    async with worker() as (parent, server, ended):
        await parent.orders.send(Begin(plan_for(server), 0))
        await parent.next()
        await parent.stream.aclose()
        await ended.wait()


async def test_it_ends_when_its_parent_never_says_anything(autojump_clock: MockClock) -> None:
    async with worker() as (parent, _, ended):
        await parent.stream.aclose()
        await ended.wait()
