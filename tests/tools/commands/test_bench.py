"""`hwangso bench` with a handful of devices; its figures mean nothing, their names do."""

from collections.abc import Callable
from pathlib import Path
from types import MethodType

import msgspec
import pytest

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.bench import idle, messages
from hwangso_tools.bench.runs import Limit, Run
from hwangso_tools.bench.storm.parts import Program
from hwangso_tools.bench.storm.plan import Part
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
    async def repeat(*_: object) -> list[Run]:
        return [Run({"login_per_s": 5.0}, Limit.GENERATOR)]

    monkeypatch.setattr(bench, "repeat", repeat)
    assert run(["bench", "login"]) == ExitCode.VERDICT
    assert "no run counts: in none of them was the server the limit" in capsys.readouterr().err


FOUND = Run({"fg_p99_ratio": 2.5, "base_fg_p99_ms": 12.5, "base_bg_lost": 0.0}, Limit.SERVER)


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """What storms would be made of; none is."""
    programs: list[Program] = []

    async def repeat(
        measure: MethodType,
        runs: int,
        _work: Path,
        devices: int,
        tell: Callable[[int, Run], None],
    ) -> list[Run]:
        assert (runs, devices) == (2, 7)
        assert isinstance(measure.__self__, Program)
        programs.append(measure.__self__)
        tell(1, FOUND)
        return [FOUND]

    monkeypatch.setattr(bench, "repeat", repeat)
    return programs


def test_a_storm(
    ordered: list[Program], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "storm.json"
    arguments = ["--runs", "2", "--devices", "7", "--json", str(json)]
    assert run(["bench", "storm", *arguments]) == ExitCode.OK
    assert list(ordered[0].parts) == list(Part)
    assert list(ordered[0].without) == []
    out = capsys.readouterr().out
    assert "run 1: fg_p99_ratio 2.5\n" in out  # the others are in the file
    assert "FG p99, patient" in out
    assert "at most 3" in out
    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == "bench storm"
    assert written["figures"]["fg_p99_ratio"] == 2.5
    assert written["figures"]["runs"] == [{**FOUND.figures, "limited_by": "server"}]
    assert written["config"]["parts"] == ["base", "off", "impatient", "disobedient"]


def test_a_storm_in_parts_and_without_mechanisms(ordered: list[Program]) -> None:
    arguments = ["--parts", "off, base", "--without", "lanes", "--without", "hysteresis"]
    arguments += ["--runs", "2", "--devices", "7"]
    assert run(["bench", "storm", *arguments]) == ExitCode.OK
    assert list(ordered[0].parts) == [Part.OFF, Part.BASE]
    assert list(ordered[0].without) == [Mechanism.LANES, Mechanism.HYSTERESIS]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--parts", "base,calm"], "--parts 'base,calm': some of base, off, impatient, disobed"),
        (["--without", "luck"], "--without luck: one of lanes, spoken-defer"),
        (["--devices", "0"], "--devices: at least 1"),
        (["--runs", "0"], "--runs: at least 1"),
        (["--work", "/nowhere"], "--work /nowhere: not a folder"),
    ],
)
def test_a_storm_that_cannot_be(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "storm", *arguments]) == ExitCode.USAGE
    assert line in capsys.readouterr().err
