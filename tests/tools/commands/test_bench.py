"""`hwangso bench` with a handful of devices; its figures mean nothing, their names do."""

from pathlib import Path

import msgspec
import pytest

from hwangso_tools.bench import idle, messages
from hwangso_tools.bench.runs import Kind, Limit, Run
from hwangso_tools.commands import bench
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode

FIGURES = {
    "login": {"login_per_s"},
    "resume": {"resume_per_s", "resume_crypto_share"},
    "idle": {"idle_bytes_per_connection"},
    "message": {"messages_per_s", "delivery_p50_ms", "delivery_p99_ms"},
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "WARM_UP_S", 0.05)
    monkeypatch.setattr(messages, "SATURATED_S", 0.2)
    monkeypatch.setattr(messages, "OPEN_LOOP_S", 0.2)
    monkeypatch.setattr(idle, "SETTLE_AT_LEAST_S", 0.0)
    monkeypatch.setattr(idle, "STABLE_S", 0.0)
    monkeypatch.setattr(idle, "STEP_S", 0.01)
    monkeypatch.setattr(bench, "require_disk", lambda _: "a disk")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("kind", list(FIGURES))
def test_the_figures_have_their_names(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "bench.json"
    arguments = ["bench", kind, "--runs", "1", "--devices", "4", "--json", str(json)]
    assert run(arguments) in (ExitCode.OK, ExitCode.VERDICT)  # a busy machine may limit it
    assert "run 1: " in capsys.readouterr().out
    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == f"bench {kind}"
    assert FIGURES[kind] <= written["figures"]["runs"][0].keys()
    assert written["config"]["devices"] == 4


def test_runs_that_the_generator_limited_do_not_count(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def repeat(kind: Kind, *_: object) -> list[Run]:
        return [Run({"login_per_s": 5.0}, Limit.GENERATOR)]

    monkeypatch.setattr(bench, "repeat", repeat)
    assert run(["bench", "login"]) == ExitCode.VERDICT
    assert "no run counts: in none of them was the server the limit" in capsys.readouterr().err
