"""The parent with real worker processes, and with processes that misbehave."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from hwangso_tools.childserver import ChildServer, child_server
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.swarm import coordinator as module
from hwangso_tools.swarm.coordinator import Coordinator, WorkerFailed
from hwangso_tools.swarm.plan import Plan

QUICK = ("--argon2-memory-kib", "8", "--argon2-iterations", "1")


def plan_for(server: ChildServer | None) -> Plan:
    return Plan(
        run="swarm",
        password="x",
        host="127.0.0.1",
        foreground_port=server.address.foreground_port if server else 1,
        background_port=server.address.background_port if server else 1,
        server_key=server.server_key if server else bytes(32),
        devices=6,
        users=2,
        processes=2,
        seconds=1.0,
        message_rate=4.0,
    )


async def test_two_processes_and_a_real_server(tmp_path: Path) -> None:
    arguments = ["--data", "data", "--registration", "open", *QUICK]
    async with child_server(arguments, cwd=tmp_path) as server:
        outcome = await Coordinator(plan_for(server)).run()
    assert outcome.enrolled == 6
    assert outcome.audit.exactly_once
    assert outcome.audit.acknowledged > 0
    assert outcome.audit.expected == 5 * outcome.audit.acknowledged
    figures = outcome.as_figures()
    assert figures["logins"] == 6
    assert figures["received"] == outcome.audit.expected


async def fail(plan: Plan) -> CommandError:
    """The error that a swarm ends with."""
    with pytest.raises(ExceptionGroup) as caught:
        await Coordinator(plan).run()
    error = first_of(caught.value)
    assert isinstance(error, CommandError)
    return error


async def test_closed_registration_says_what_to_do(tmp_path: Path) -> None:
    async with child_server(["--data", "data", *QUICK], cwd=tmp_path) as server:
        error = await fail(plan_for(server))
    assert "--registration open" in str(error)
    assert error.code is ExitCode.UNREACHABLE


def workers_run(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def command() -> Sequence[str]:
        return [sys.executable, "-c", code]

    monkeypatch.setattr(module, "worker_command", command)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(5)", "died: exit code 5"),
        ("import os; os.kill(os.getpid(), 9)", "died: signal 9"),
        ("import sys; sys.stdin.read(1); sys.exit(5)", "died: exit code 5"),
        ("print('hello, world')", "wrote nonsense"),
    ],
)
async def test_a_process_that_dies_is_named(
    code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_run(monkeypatch, code)
    error = await fail(plan_for(None))
    assert isinstance(error, WorkerFailed)
    assert "of the swarm" in str(error)
    assert said in str(error)
    assert error.code is ExitCode.VERDICT


async def test_a_process_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    workers_run(monkeypatch, "import sys; sys.stdin.read()")
    monkeypatch.setattr(module, "SILENT_MAX_S", 0.2)
    assert "said nothing" in str(await fail(plan_for(None)))


async def test_no_process_outlives_a_cancelled_swarm(monkeypatch: pytest.MonkeyPatch) -> None:
    workers_run(monkeypatch, "import time; time.sleep(1000)")  # does not mind its pipe
    monkeypatch.setattr(module, "STOP_WITHIN_S", 0.1)
    pids: list[int] = []
    opened = trio.lowlevel.open_process

    async def open_process(command: Sequence[str], **options: Any) -> trio.Process:
        process: trio.Process = await opened(command, **options)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(trio.lowlevel, "open_process", open_process)
    swarm = Coordinator(plan_for(None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swarm.run)
        while len(swarm.workers) < 2:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert len(pids) == 2
    for pid in pids:
        assert not await trio.Path(f"/proc/{pid}").exists()
