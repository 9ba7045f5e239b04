"""Trials in processes of their own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import trio
from tests.tools.experiments.test_trial import outage

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.experiments import processes
from hwangso_tools.experiments.processes import COMMAND, carry_out_all
from hwangso_tools.experiments.trial import Finding, Trial, carry_out

TRIALS = {"on": Trial(outage(40.0), True, 1), "off": Trial(outage(40.0), False, 1)}


async def test_a_process_finds_what_this_one_does() -> None:
    told: dict[str, Finding] = {}
    found = await carry_out_all(TRIALS, told.__setitem__)
    assert list(found) == ["on", "off"]
    assert told == found
    assert found["on"] != found["off"]


def test_and_with_the_same_seed_the_very_same() -> None:
    (found,) = trio.run(carry_out_all, {1: TRIALS["off"]}, lambda *_: None).values()
    assert found == carry_out(TRIALS["off"])


async def test_a_trial_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = "import sys; sys.stdin.read(); sys.exit('first\\nno memory')"
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", failing))
    with pytest.raises(ExceptionGroup) as failed:
        await carry_out_all({1: TRIALS["on"]}, lambda *_: None)
    (error,) = failed.value.exceptions
    assert isinstance(error, CommandError)
    assert str(error) == "a trial failed with exit code 1: no memory"
    assert error.code is ExitCode.VERDICT


async def test_who_is_cancelled_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pids"
    os.mkfifo(pipe)
    waiting = (
        "import os, pathlib, signal, sys;"
        "pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()}\\n'); signal.pause()"
    )
    monkeypatch.setattr(processes, "COMMAND", (sys.executable, "-c", waiting, str(pipe)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry_out_all, {1: TRIALS["on"]}, lambda *_: None)
        pid = int(await trio.Path(pipe).read_text())
        os.kill(pid, 0)
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_ends_with_its_parent() -> None:
    """The parent starts a trial of hours, says its pid, and is killed."""
    parent = (
        "import os, subprocess, sys, time\n"
        "command = [*sys.argv[1:], str(os.getpid())]\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "child.stdin.write(sys.stdin.buffer.read()); child.stdin.close()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, *COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    ) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(msgspec.json.encode(Trial(outage(80_000.0), True, 1)))
        started.stdin.close()
        assert int(started.stdout.readline()) > 0
        started.send_signal(signal.SIGKILL)
        # The child holds the other end of this pipe until it ends, too.
        assert started.stdout.read() == b""
