"""A generator process: `python -m hwangso_tools.bench.storm.worker`, started by `generator`.

Takes orders on standard input, answers on standard output (`pipe`), and ends when its input does.
"""

import gc
import sys
import time
from contextlib import closing, suppress
from random import Random
from typing import BinaryIO

from hwangso_tools.bench.lines import BenchFailed
from hwangso_tools.bench.storm.crowd import Crowd, ParentGone
from hwangso_tools.bench.storm.pipe import (
    ORDERS,
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
from hwangso_tools.machine import ask_for_realtime, raise_descriptor_limit


def main() -> None:
    """Carry out the orders of the parent at the other end of the pipes."""
    raise_descriptor_limit()
    gc.disable()  # a collection would walk through tens of thousands of devices, and find no cycle
    with suppress(ParentGone, BrokenPipeError, KeyboardInterrupt):
        work(sys.stdin.buffer, sys.stdout.buffer)


def work(orders: BinaryIO, reports: BinaryIO) -> None:
    """One generator, from Begin to the end of its orders."""
    begin = read_order(orders)
    if not isinstance(begin, Begin):
        return
    crowd = Crowd(
        begin.host, begin.port, begin.intent, begin.tickets, Random(begin.seed), parent=ORDERS
    )
    realtime = begin.realtime and ask_for_realtime()
    with closing(crowd):
        write_report(reports, Done(realtime))
        while (order := read_order(orders)) is not None:
            try:
                report = _carry_out(crowd, order, realtime=realtime)
            except BenchFailed as error:
                write_report(reports, Failed(str(error)))
                return
            write_report(reports, report)


def _carry_out(crowd: Crowd, order: Order, *, realtime: bool) -> Report:
    match order:
        case Connect():
            return _connect(crowd, order)
        case Prepare(devices, spare_keys):
            crowd.prepare(devices, spare_keys=spare_keys)
        case HangUp():
            crowd.cut()
        case Begin():
            raise BenchFailed("a second Begin")
    return Done(realtime)


def _connect(crowd: Crowd, order: Connect) -> Connected:
    time.sleep(max(0.0, order.begin_s - time.monotonic()))
    if order.cut:
        crowd.cut()
    cut_s = time.monotonic() - order.begin_s
    outcome = crowd.connect(
        order.begin_s,
        order.starts,
        order.patience,
        until_s=order.until_s,
        in_flight_max=order.in_flight_max,
        disobedient=frozenset(order.disobedient),
    )
    return Connected(outcome, cut_s)


if __name__ == "__main__":
    main()
