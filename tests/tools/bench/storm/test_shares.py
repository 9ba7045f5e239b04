import os
import time

import pytest
import trio

from hwangso_tools.bench.storm.shares import CpuLog, core_busy, interpolated, process_cpu
from hwangso_tools.machine import pinned


@pytest.mark.parametrize(
    ("at", "value"), [(1.0, 0.0), (1.5, 2.0), (2.0, 4.0), (3.0, 5.0), (4.0, 6.0)]
)
def test_between_two_readings(at: float, value: float) -> None:
    assert interpolated([1.0, 2.0, 4.0], [0.0, 4.0, 6.0], at) == value


def test_a_share_is_of_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 101.0, 103.0])
    server, generator = iter([5.0, 6.0, 6.5]), iter([0.0, 0.5, 0.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    log = CpuLog({"server": lambda: next(server), "generator": lambda: next(generator)})
    for _ in range(3):
        log.sample()
    assert log.share("server", 100.0, 101.0) == 1.0
    assert log.share("server", 101.0, 103.0) == 0.25
    assert log.share("server", 100.5, 102.0) == 0.5
    assert log.share("generator", 100.0, 102.0) == 0.25


async def test_readings_of_a_real_process_on_a_real_core() -> None:
    core = max(os.sched_getaffinity(0))
    log = CpuLog({"this": process_cpu(os.getpid()), "core": core_busy(core)})
    begin_s = time.monotonic()
    with pinned(core):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)
            spent_s = time.process_time()
            while time.process_time() < spent_s + 0.2:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    log.sample()
    end_s = time.monotonic()
    assert log.share("this", begin_s, end_s) > 0
    assert log.share("core", begin_s, end_s) > 0
