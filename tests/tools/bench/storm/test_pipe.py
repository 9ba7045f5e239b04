import io

import msgspec
import pytest
import trio
from trio.testing import memory_stream_one_way_pair

from hwangso_protocol.hello import Intent
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
    read_order,
    write_report,
)
from hwangso_tools.bench.storm.plan import PATIENT, HeldTicket, Outcome, Start, Tally
from hwangso_tools.channel import VERSION, ChannelError, FrameReader, FrameWriter

ORDERS: list[Order] = [
    Begin("h", 7, Intent.FOREGROUND, [HeldTicket(b"ticket", b"psk")], 1, realtime=True),
    Prepare([1, 2], 3),
    Connect(1.5, 2.5, [Start(1, 0.25)], PATIENT, cut=True, in_flight_max=4, disobedient=[1]),
    HangUp(),
]
REPORTS: list[Report] = [
    Done(realtime=True),
    Connected(Outcome([0.5], [1.5], [0.0], [0.1], Tally(attempts=2, timeouts=1)), cut_s=0.1),
    Failed("no more sockets"),
]


async def test_orders_and_reports_come_as_they_were_sent() -> None:
    send, receive = memory_stream_one_way_pair()
    async with trio.open_nursery() as nursery:
        for order in ORDERS:
            nursery.start_soon(FrameWriter[Order](send).send, order)
            await trio.testing.wait_all_tasks_blocked()
    await send.aclose()
    orders = io.BytesIO(bytes(await receive.receive_some()))
    assert [read_order(orders) for _ in ORDERS] == ORDERS
    assert read_order(orders) is None

    written = io.BytesIO()
    for report in REPORTS:
        write_report(written, report)
    send, receive = memory_stream_one_way_pair()
    await send.send_all(written.getvalue())
    reader = FrameReader[Report](receive, msgspec.msgpack.Decoder(Report).decode)
    assert [await reader.receive() for _ in REPORTS] == REPORTS


def test_half_an_order_is_none() -> None:
    assert read_order(io.BytesIO(b"\0\0")) is None
    assert read_order(io.BytesIO(bytes([VERSION, 0, 0, 5]))) is None
    with pytest.raises(ChannelError):
        read_order(io.BytesIO(bytes([VERSION + 1, 0, 0, 5])))
    with pytest.raises(msgspec.DecodeError):
        read_order(io.BytesIO(bytes([VERSION, 0, 0, 5, 0x81])))
