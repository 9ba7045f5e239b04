"""What a worker makes of its orders; `test_generator` runs it as a process."""

import io
import os
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from tests.tools.bench.storm.scripted import Admit, Denial, scripted, tickets

from hwangso_protocol.hello import Intent
from hwangso_tools.bench.storm import worker as module
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
from hwangso_tools.bench.storm.plan import PATIENT, Start
from hwangso_tools.bench.storm.worker import work
from hwangso_tools.channel import length_of, pack


def answers(orders: Sequence[Order]) -> list[Report]:
    """The reports that a worker gives to these orders and the end of its input."""
    given = b"".join(pack(order) for order in orders)
    written = io.BytesIO()
    work(io.BytesIO(given), written)
    data, reports = written.getvalue(), []
    while data:
        size = length_of(data[:4])
        reports.append(msgspec.msgpack.decode(data[4 : 4 + size], type=Report))
        data = data[4 + size :]
    return reports


@pytest.fixture(autouse=True)
def no_parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process's own standard input is nobody's order."""
    reading, writing = os.pipe()
    monkeypatch.setattr(module, "ORDERS", reading)
    yield
    os.close(reading)
    os.close(writing)


def begin(port: int, *, realtime: bool = False) -> Begin:
    return Begin("127.0.0.1", port, Intent.FOREGROUND, tickets(2), 1, realtime=realtime)


CONNECT = Connect(0.0, 1e9, [Start(0, 0.0), Start(1, 0.0)], PATIENT)


def test_every_order_has_its_answer() -> None:
    with scripted(lambda _hello, _number: Admit()) as server:
        first, prepared, connected, hung_up = answers(
            [begin(server.port), Prepare([0, 1], 1), CONNECT, HangUp()]
        )
    assert first == prepared == hung_up == Done(realtime=False)
    assert isinstance(connected, Connected)
    assert connected.outcome.tally.attempts == 2
    assert {hello.intent for hello in server.hellos} == {Intent.FOREGROUND}


def test_an_order_that_cannot_be_carried_out_is_the_last() -> None:
    with scripted(lambda _hello, _number: Denial()) as server:
        _, failed = answers([begin(server.port), CONNECT, HangUp()])
    assert isinstance(failed, Failed)
    assert "a resume was denied" in failed.why


@pytest.mark.parametrize("given", [True, False])
def test_realtime_priority_is_asked_for(*, given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask_for_realtime", lambda: given)
    assert answers([begin(1, realtime=True)]) == [Done(realtime=given)]
    assert answers([begin(1)]) == [Done(realtime=False)]


def test_nothing_is_done_before_begin() -> None:
    assert answers([HangUp(), begin(1)]) == []
    assert answers([begin(1), begin(1)]) == [Done(realtime=False), Failed("a second Begin")]
