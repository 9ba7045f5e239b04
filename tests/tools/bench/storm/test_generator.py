"""A generator in a process of its own, against a scripted server."""

import os
import signal
import sys
import time
from collections.abc import Sequence

import psutil
import pytest
import trio
from tests.tools.bench.storm.scripted import Admit, Silence, scripted, tickets

from hwangso_protocol.hello import Intent
from hwangso_tools.bench.lines import BenchFailed
from hwangso_tools.bench.storm import generator as module
from hwangso_tools.bench.storm.generator import generator
from hwangso_tools.bench.storm.pipe import Begin, Connect
from hwangso_tools.bench.storm.plan import PATIENT, Start

DEVICES = 5


def begin(port: int, *, realtime: bool = False) -> Begin:
    return Begin("127.0.0.1", port, Intent.BACKGROUND, tickets(DEVICES), 1, realtime=realtime)


def everybody(*, cut: bool = False) -> Connect:
    now_s = time.monotonic()
    starts = [Start(number, 0.0) for number in range(DEVICES)]
    return Connect(now_s, now_s + 30, starts, PATIENT, cut=cut)


async def test_a_storm_in_another_process() -> None:
    with scripted(lambda _hello, _number: Admit()) as server:
        async with generator("background", begin(server.port)) as crowd:
            assert crowd.pid != os.getpid()
            assert not crowd.is_realtime
            await crowd.prepare(range(DEVICES), spare_keys=2)
            connected = await crowd.connect(everybody())
            assert len(connected.outcome.ready_s) == DEVICES
            assert len((await crowd.connect(everybody(cut=True))).outcome.ready_s) == DEVICES
            await crowd.hang_up()
            assert len((await crowd.connect(everybody())).outcome.ready_s) == DEVICES
        assert not psutil.pid_exists(crowd.pid)
    assert server.proven == 3 * DEVICES


async def test_nothing_begins_before_its_time() -> None:
    with scripted(lambda _hello, _number: Admit()) as server:
        async with generator("background", begin(server.port)) as crowd:
            begin_s = time.monotonic() + 0.2
            order = Connect(begin_s, begin_s + 30, [Start(0, 0.0)], PATIENT)
            outcome = (await crowd.connect(order)).outcome
    assert server.times_s[0] >= begin_s
    assert min(outcome.start_lateness_s) >= 0


async def test_it_ends_with_its_parent_in_the_middle_of_a_storm() -> None:
    """Leaving closes the pipe, long before the storm is over, and nothing is killed."""
    with scripted(lambda _hello, _number: Silence()) as server:
        with trio.fail_after(20):
            async with (
                generator("background", begin(server.port)) as crowd,
                trio.open_nursery() as nursery,
            ):
                process = psutil.Process(crowd.pid)
                nursery.start_soon(crowd.connect, everybody())
                while not server.hellos:
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        assert not process.is_running()


async def test_one_that_dies() -> None:
    with scripted(lambda _hello, _number: Silence()) as server:
        async with generator("background", begin(server.port)) as crowd:
            os.kill(crowd.pid, signal.SIGKILL)
            with pytest.raises(BenchFailed, match="the background generator died"):
                await crowd.prepare(range(DEVICES))


def code(text: str) -> Sequence[str]:
    """A program instead of the generator. It reads orders until there are no more."""
    return [sys.executable, "-c", f"import sys\n{text}\nsys.stdout.flush()\nsys.stdin.read()"]


FAILS = """from hwangso_tools.bench.storm.pipe import *
write_report(sys.stdout.buffer, Failed('no more sockets'))"""


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("sys.stdout.write('\\0\\0\\0\\1\\0')", "the background generator wrote nonsense"),
        ("pass", "the background generator hangs"),
        (
            FAILS,
            "the background generator: no more sockets",
        ),
    ],
    ids=["nonsense", "nothing", "failed"],
)
async def test_one_that_is_no_use(program: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMAND", code(program))
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 10.0 if program != "pass" else 0.05)
    with pytest.raises(BenchFailed, match=line):
        async with generator("background", begin(1)):
            pass
