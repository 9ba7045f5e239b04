import os
import subprocess

import pytest

from hwangso_tools.bench import meter
from hwangso_tools.bench.meter import Meter, Usage, resident_bytes, wait_quiet


def test_shares_are_of_one_core() -> None:
    usage = Usage(elapsed_s=2.0, server_cpu_s=1.0, generator_cpu_s=0.5)
    assert usage.server_share == 0.5
    assert usage.generator_share == 0.25


def test_the_generator_pays_for_its_own_work() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as idle:
        measured = Meter(idle.pid)
        while measured.usage().generator_cpu_s < 0.05:
            pass
        usage = measured.usage()
    assert usage.elapsed_s > 0
    assert usage.server_cpu_s < usage.generator_cpu_s


def test_resident_memory() -> None:
    assert resident_bytes(os.getpid()) > 2**20


def test_quiet_or_not_the_wait_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    busy_s = iter(range(1_000))
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr(meter, "_cpu_s", lambda _: 0.0)
    wait_quiet(os.getpid())
    assert len(slept) == 1
    monkeypatch.setattr(meter, "_cpu_s", lambda _: float(next(busy_s)))
    wait_quiet(os.getpid())
    assert len(slept) == 1 + round(meter.QUIET_WITHIN_S / meter.QUIET_WINDOW_S) == 61
