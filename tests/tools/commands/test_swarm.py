"""`hwangso swarm` against a real server."""

import os
import signal
from pathlib import Path

import msgspec
import pytest
import trio

from hwangso_tools.childserver import child_server
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode
from hwangso_tools.swarm import coordinator

SERVER = ("--data", "hwangso-data", "--registration", "open", "--argon2-memory-kib", "8",
          "--argon2-iterations", "1")  # fmt: skip


async def swarm(*arguments: str) -> int:
    return await trio.to_thread.run_sync(run, ("swarm", *arguments))


async def test_a_swarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the key is found in ./hwangso-data
    monkeypatch.delenv("HWANGSO_SERVER_KEY", raising=False)
    async with child_server(SERVER, cwd=tmp_path) as server:
        at = ("--server", str(server.address), "--devices", "10", "--seconds", "1")
        assert await swarm(*at, "--message-rate", "2", "--json", "swarm.json") == 0
        shown = capsys.readouterr()
        assert "devices: 10 of 10 enrolled" in shown.out
        assert shown.err == ""
        written = msgspec.json.decode(await trio.Path("swarm.json").read_bytes())
        assert written["command"] == "swarm"
        assert written["figures"]["logins"] == 10
        assert written["figures"]["lost"] == 0
        assert written["figures"]["acknowledged"] == written["figures"]["sent"] > 0

        monkeypatch.setenv("HWANGSO_SERVER_KEY", "ab" * 32)
        assert await swarm(*at) == ExitCode.UNREACHABLE
        assert "has not the key" in capsys.readouterr().err
    monkeypatch.setenv("HWANGSO_SERVER_KEY", server.server_key.hex())
    assert await swarm(*at) == ExitCode.UNREACHABLE
    assert "cannot connect to the server" in capsys.readouterr().err


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_a_server_that_goes_away_during_the_run_is_a_bad_verdict(
    by: signal.Signals,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(coordinator, "SETTLE_WITHIN_S", 0.5)
    chat_and_settle = coordinator.Coordinator._settle

    async def without_server(swarm: coordinator.Coordinator) -> None:
        os.kill(server.pid, by)
        await chat_and_settle(swarm)

    monkeypatch.setattr(coordinator.Coordinator, "_settle", without_server)
    async with child_server(SERVER, cwd=tmp_path) as server:
        monkeypatch.setenv("HWANGSO_SERVER_KEY", server.server_key.hex())
        at = ("--server", str(server.address), "--devices", "10", "--seconds", "1")
        code = await swarm(*at, "--message-rate", "10", "--json", "swarm.json")
        if by is signal.SIGSTOP:
            os.kill(server.pid, signal.SIGCONT)
    assert code == ExitCode.VERDICT
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1].startswith("Not as it should be: ")
    assert "messages were never acknowledged" in shown
    figures = msgspec.json.decode(await trio.Path("swarm.json").read_bytes())["figures"]
    assert figures["unanswered"] > 0
    if by is not signal.SIGSTOP:  # whose connections look alive
        assert "the server is gone" in shown
        assert figures["connected"] == 0
