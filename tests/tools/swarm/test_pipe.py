import trio
from trio.testing import memory_stream_one_way_pair

from hwangso_tools.channel import FrameWriter
from hwangso_tools.swarm.figures import Snapshot
from hwangso_tools.swarm.ledger import Books, Sent
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
from hwangso_tools.swarm.saturation import Load

PLAN = Plan(
    run="r",
    password="x",
    host="h",
    foreground_port=1,
    background_port=2,
    server_key=bytes(range(32)),
    devices=2,
    users=2,
)
ORDERS: list[Order] = [Begin(PLAN, 1), Chat({0: 1, 7: 2**64 - 1}), Finish()]
REPORTS: list[Report] = [
    Progress(1, 2, 3, {"sent": 4}, saturated=True, settled=True),
    Enrolled({0: 3}, "registration_closed"),
    Part(Books([(b"i" * 16, Sent(0, 1, 2))], [(b"i" * 16, 2**63, 1)], 1, 2)),
    Done(Snapshot({"a": 1}, {"b": b"encoded"}), Load(1, 1, 2.0, 0.5), connected=3, unanswered=1),
]


async def test_orders_and_reports_come_as_they_were_sent() -> None:
    send, receive = memory_stream_one_way_pair()
    orders = order_reader(receive)
    for order in ORDERS:
        await FrameWriter[Order](send).send(order)
        assert await orders.receive() == order
    send, receive = memory_stream_one_way_pair()
    writer, reports = FrameWriter[Report](send), report_reader(receive)
    async with trio.open_nursery() as nursery:
        for report in REPORTS:
            nursery.start_soon(writer.send, report)
    await send.aclose()
    got = [await reports.receive() for _ in REPORTS]
    assert sorted(map(repr, got)) == sorted(map(repr, REPORTS))
    assert await reports.receive() is None
