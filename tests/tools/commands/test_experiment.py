"""`hwangso experiment` with a small crowd; its figures mean nothing, their names do."""

from pathlib import Path

import msgspec
import pytest

from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode
from hwangso_tools.experiments import budget, jitter
from hwangso_tools.experiments.budget_storm import Scenario, always
from hwangso_tools.experiments.jitter_storm import Setting

SCENARIO = Scenario(
    name="tiny",
    about="forty devices",
    devices=40,
    handshakes_per_s=100.0,
    foreground=always(0.05),
    calm_s=1.0,
)
CASE = jitter.Case(
    "tiny", "forty devices", [Setting(capacity=1, queue=0.1, outage_s=3, devices=40)]
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "SCENARIOS", (SCENARIO,))


@pytest.fixture
def tiny_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jitter, "CASES", (CASE,))


@pytest.mark.usefixtures("tiny")
def test_budget_compares_all_controllers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "budget.json"
    assert run(["experiment", "budget", "--seed", "7", "--json", str(json)]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert shown.startswith("tiny: forty devices\n")
    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == "experiment budget"
    assert written["config"] == {"seed": 7}
    figures = written["figures"]
    controllers = ["AIMD", "PID", "gradient", "measured", "fixed low", "fixed high"]
    assert list(figures["scenarios"]["tiny"]) == controllers
    assert list(figures["mean_drain_ratios"]) == controllers
    assert figures["best"] in controllers[:4]
    assert f"smallest mean drain time: {figures['best']}" in shown
    for controller in controllers:
        assert controller in shown


@pytest.mark.usefixtures("tiny")
def test_budget_says_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    for seed in ("7", "7", "8"):
        assert run(["experiment", "budget", "--seed", seed]) == ExitCode.OK
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]


def test_budget_wants_a_file_that_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "missing" / "budget.json"
    assert run(["experiment", "budget", "--json", str(json)]) == ExitCode.USAGE
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny_crowd")
def test_jitter_compares_all_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json = tmp_path / "jitter.json"
    assert run(["experiment", "jitter", "--seed", "7", "--json", str(json)]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert shown.startswith("tiny: forty devices\n")
    written = msgspec.json.decode(json.read_bytes())
    assert (written["command"], written["config"]) == ("experiment jitter", {"seed": 7})
    figures = written["figures"]
    kinds = ["full", "decorrelated", "equal", "full, 4 base", "none"]
    assert list(figures["cases"]["tiny"]) == list(figures["together"]) == kinds
    assert figures["best"] in kinds[:3]
    assert f"soonest on average: {figures['best']}" in shown


@pytest.mark.usefixtures("tiny_crowd")
def test_jitter_says_the_same_for_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    for seed in ("7", "7", "8"):
        assert run(["experiment", "jitter", "--seed", seed]) == ExitCode.OK
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]
