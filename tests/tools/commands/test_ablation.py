"""`hwangso experiment ablation` with a handful of phones and few lines."""

from pathlib import Path

import msgspec
import pytest

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.commands import ablation
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode
from hwangso_tools.experiments import ablation_sockets
from hwangso_tools.experiments.ablation import LINES, Line
from hwangso_tools.experiments.trial import Finding, Trial, carry_out

TINY = """
[scenario]
name = "tiny"
title = "Tiny"
about = "An outage."
seconds = 120
calm_seconds = 20

[[event]]
kind = "outage"
at_s = 0
share = 1
duration_s = 5
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    lines = (Line(), Line(Mechanism.SPOKEN_DEFER), Line(control=False))
    monkeypatch.setattr(ablation, "LINES", lines)
    return str(file)


def test_a_table_and_what_it_says(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "ablation.json"
    arguments = ["--scenario", tiny, "--devices", "40", "--seed", "3", "--json", str(json)]
    assert run(["experiment", "ablation", *arguments]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.count("seed 3: played\n") == 3
    assert "the storm, without spoken-defer: " in out
    assert "without control off" not in out
    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == "experiment ablation"
    assert written["config"] == {
        "scenario": tiny,
        "devices": 40,
        "seed": 3,
        "runs": 1,
        "real": False,
    }
    full, silent, off = written["figures"]["lines"]
    assert [line["without"] for line in (full, silent, off)] == [
        "all on",
        "spoken-defer",
        "control off",
    ]
    assert full["max_deferrals"] > 0
    assert silent["max_deferrals"] == off["max_deferrals"] == 0


def test_the_same_seeds_say_the_same(
    tiny: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "LINES", (Line(Mechanism.HYSTERESIS),))
    tables: list[str] = []
    for seed in ("3", "3", "5"):
        arguments = ["--scenario", tiny, "--devices", "40", "--seed", seed]
        assert run(["experiment", "ablation", *arguments]) == ExitCode.OK
        out = capsys.readouterr().out
        tables.append("".join(line for line in out.splitlines() if "seed" not in line))
    assert tables[0] == tables[1] != tables[2]


def test_on_real_sockets_it_is_the_same_table(
    tiny: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(trial: Trial) -> tuple[Finding, str | None]:
        return carry_out(trial), "too busy" if trial.without else None

    monkeypatch.setattr(ablation_sockets, "_play", play)
    json = tmp_path / "ablation.json"
    arguments = ["--real", "--scenario", tiny, "--devices", "40", "--json", str(json)]
    assert run(["experiment", "ablation", *arguments]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "the storm, spoken-defer, seed 0: does not count: too busy" in out
    written = msgspec.json.decode(json.read_bytes())
    assert [line["without"] for line in written["figures"]["lines"]] == ["all on", "control off"]
    assert written["config"]["real"] is True


def test_runs_on_sockets_that_do_not_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation_sockets, "measure", lambda *_: {line: [] for line in LINES})
    assert run(["experiment", "ablation", "--real"]) == ExitCode.VERDICT
    assert "no run counts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--runs", "0"], "--runs: at least 1"),
        (["--devices", "9"], "--devices 9: from 10 to 100,000"),
        (["--real", "--devices", "0"], "--devices 0: from 10 to 100,000"),
        (["--scenario", "calm"], "did you mean calm-day?"),
    ],
)
def test_an_ablation_that_cannot_be(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["experiment", "ablation", *arguments]) == ExitCode.USAGE
    assert line in capsys.readouterr().err
