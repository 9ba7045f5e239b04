import os
import resource
import subprocess
import sys

import pytest

from hwangso_tools.machine import (
    REALTIME_PRIORITY,
    ask_for_realtime,
    machine,
    pin,
    pinned,
    raise_descriptor_limit,
    separate_cores,
    versions,
)

LINUX = sys.platform == "linux"


def test_machine() -> None:
    this = machine()
    assert this.cores == os.cpu_count()
    assert this.memory_bytes > 2**20
    assert this.system
    assert this.processor


def test_versions() -> None:
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["hwangso"]
    assert found["trio"]


def test_descriptor_limit_goes_to_the_hard_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = raise_descriptor_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limit
    assert hard in (limit, resource.RLIM_INFINITY)


def test_separate_cores_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 3, 5}, raising=False)
    cores = separate_cores()
    assert cores is not None
    assert (cores.server, cores.generator) == (3, 7)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert separate_cores() is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert separate_cores() is None


if LINUX:

    def test_pinned_goes_back() -> None:
        before = os.sched_getaffinity(0)
        core = min(before)
        with pinned(core):
            assert os.sched_getaffinity(0) == {core}
        assert os.sched_getaffinity(0) == before
        with pinned(None):
            assert os.sched_getaffinity(0) == before

    def test_pin_another_process() -> None:
        core = min(os.sched_getaffinity(0))
        with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
            pin(process.pid, core)
            assert os.sched_getaffinity(process.pid) == {core}

    def test_realtime_priority_may_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[tuple[int, int, int]] = []

        def given(pid: int, policy: int, parameter: os.sched_param) -> None:
            asked.append((pid, policy, parameter.sched_priority))

        def refused(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "sched_setscheduler", given)
        assert ask_for_realtime()
        assert asked == [(0, os.SCHED_FIFO, REALTIME_PRIORITY)]
        monkeypatch.setattr(os, "sched_setscheduler", refused)
        assert not ask_for_realtime()
        monkeypatch.setattr(sys, "platform", "darwin")
        assert not ask_for_realtime()
