"""`hwangso experiment stability` with a map of two cells."""

from pathlib import Path

import msgspec
import pytest

from hwangso_tools.commands import stability as command
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode
from hwangso_tools.experiments import stability


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "SHARES", (1.0,))
    monkeypatch.setattr(stability, "DURATIONS_S", (10.0,))
    monkeypatch.setattr(stability, "BOUND_S", 300.0)


@pytest.mark.usefixtures("small")
def test_a_map_and_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json, svg = tmp_path / "map.json", tmp_path / "map.svg"
    arguments = [
        "--devices",
        "100",
        "--seed",
        "1",
        "--told",
        "--json",
        str(json),
        "--svg",
        str(svg),
    ]
    assert run(["experiment", "stability", *arguments]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "2 of 2 cells" in out
    assert "Control off: the crowd came back in 0 of 1 cells." in out
    assert "Control on: the crowd came back in 1 of 1 cells" in out
    assert "not within 5 minutes. Virtual time, 100 phones, which are told" in svg.read_text()
    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == "experiment stability"
    assert written["config"] == {"devices": 100, "seed": 1, "told": True, "bound_s": 300.0}
    off, on = written["figures"]["cells"]
    assert (off["control"], off["back_after_s"]) == ("off", None)
    assert on["control"] == "on"
    assert 0 < on["back_after_s"] < 300


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--devices", "5"], "--devices 5: from 10 to 10,000"),
        (["--svg", "/nowhere/map.svg"], "--svg /nowhere/map.svg: cannot be written: No such"),
    ],
)
def test_a_map_that_cannot_be(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["experiment", "stability", *arguments]) == ExitCode.USAGE
    assert line in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_no_empty_picture_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "carry_out_all", interrupted)
    svg = tmp_path / "map.svg"
    with pytest.raises(KeyboardInterrupt):
        run(["experiment", "stability", "--svg", str(svg)])
    assert not svg.exists()
