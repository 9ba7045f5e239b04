"""Whole runs with real servers and a small crowd: their counts mean something, their times not."""

from pathlib import Path

import pytest

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.bench.runs import Place
from hwangso_tools.bench.storm import parts as module
from hwangso_tools.bench.storm import site
from hwangso_tools.bench.storm.parts import Program
from hwangso_tools.bench.storm.plan import Part

DEVICES = 40
REQUIRED = {
    "fg_p99_calm_ms",
    "fg_p99_storm_ms",
    "fg_max_storm_ms",
    "fg_p99_ratio",
    "fg_failures",
    "fg_p99_ratio_control_off",
    "bg_ideal_s",
    "bg_t99_s",
    "bg_drain_ratio",
    "attempts_per_device",
    "impatient_drain_ratio",
    "disobedient_fg_p99_ratio",
    "defer_cost_ratio",
}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALM_S", 0.3)
    monkeypatch.setattr(module, "STORM_S", 0.5)
    monkeypatch.setattr(module, "wait_quiet", lambda _: None)
    monkeypatch.setattr(site, "BEGIN_IN_S", 0.1)
    monkeypatch.setattr(site, "STAGE_LOOK_S", 0.01)


async def test_all_parts(tmp_path: Path) -> None:
    said: list[str] = []
    run = await Program(list(Part), [], said.append).run(Place(tmp_path / "data", DEVICES, None))
    figures = run.figures
    assert figures.keys() >= REQUIRED
    for part in Part:
        assert figures[f"{part.value}_bg_back"] == DEVICES, part
        assert figures[f"{part.value}_fg_failures"] == 0, part
        assert figures[f"{part.value}_fg_opens"] == figures["base_fg_opens"] > 0
        assert figures[f"{part.value}_bg_attempts"] >= DEVICES
    assert figures["off_bg_deferrals"] == figures["off_bg_disobeyed"] == 0
    assert figures["base_bg_disobeyed"] == 0
    assert figures["fg_opens_calm"] == figures["fg_opens_calm_off"] > 0
    assert [line for line in said if "storm" in line] == [
        "the base storm",
        "the impatient storm",
        "the disobedient storm",
        "the storm with control off",
    ]


async def test_one_part_needs_one_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Started(Exception):
        pass

    def start(_folder: Path, _tickets: object, devices: int, flags: list[str], _core: None) -> None:
        assert devices == DEVICES
        raise Started(*flags)

    monkeypatch.setattr(module, "site", start)
    without = [Mechanism.HYSTERESIS, Mechanism.CLIENT_JITTER]
    for part, flags in (
        (Part.IMPATIENT, ("--control", "on", "--without=hysteresis", "--without=client-jitter")),
        (Part.OFF, ("--control", "off", "--port", "0")),
    ):
        place = Place(tmp_path / part.value, DEVICES, None)
        with pytest.raises(Started) as started:
            await Program([part], without, lambda _: None).run(place)
        assert started.value.args == flags


async def test_without_a_spoken_defer_none_is_measured(tmp_path: Path) -> None:
    program = Program([Part.BASE], [Mechanism.SPOKEN_DEFER], lambda _: None)
    figures = (await program.run(Place(tmp_path / "data", DEVICES, None))).figures
    assert figures["base_bg_deferrals"] == 0
    assert figures["base_bg_back"] == DEVICES
    assert "defer_cost_ratio" not in figures
