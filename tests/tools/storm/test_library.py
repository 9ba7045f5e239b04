"""The scenarios that come along."""

from pathlib import Path

import msgspec
import pytest

from hwangso_tools.storm.library import find, shipped, with_devices
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.scenario import (
    NetworkModel,
    Operator,
    Phones,
    Population,
    Scenario,
    ScenarioError,
    ServerModel,
    load,
)

NAMES = [
    "calm-day",
    "carrier-outage",
    "exam-delay-2017",
    "gyeongju-2016",
    "new-year-2018",
    "pohang-2017",
]


def test_these_come_along() -> None:
    assert list(shipped()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_sound_and_happens_to_the_same_people(name: str) -> None:
    scenario = find(name)
    assert scenario.scenario.name == name
    assert len(scenario.scenario.title) < 70
    assert "\n" not in scenario.scenario.about.strip()
    assert scenario.population == Population()
    assert scenario.phones == Phones()
    assert scenario.server == ServerModel()
    assert scenario.network == NetworkModel()
    assert scenario.triggers_end_s < scenario.scenario.seconds


def test_the_calm_day_spells_out_every_key() -> None:
    """It is the one to copy."""
    text = shipped()["calm-day"].read_text()
    for table in (Population(), Phones(), ServerModel(), NetworkModel()):
        for key, value in _leaves(msgspec.to_builtins(table)):
            assert f"\n{key} = " in text, (key, value)


def _leaves(table: dict[str, object]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in table.items():
        found.extend(_leaves(value) if isinstance(value, dict) else [(key, value)])
    return found


def test_published_figures_of_the_story() -> None:
    told = {
        name: {one.figure: one for one in find(name).published}
        for name in ("gyeongju-2016", "pohang-2017", "calm-day")
    }
    assert told["gyeongju-2016"][FigureName.CONNECT_PEAK_RATIO].range == (40, 50)
    assert told["gyeongju-2016"][FigureName.RESPONSE_NORMAL_AFTER_S].at_least == 7_200
    assert told["pohang-2017"][FigureName.CONNECT_PEAK_RATIO].at_least == 5
    assert told["pohang-2017"][FigureName.BG_SHARE_PEAK].value == 0.96
    assert told["calm-day"][FigureName.BG_SHARE_CALM].at_least == 0.8


def test_the_operator_of_gyeongju_comes_at_21_52() -> None:
    (operator,) = (event for event in find("gyeongju-2016").event if isinstance(event, Operator))
    assert operator.at_s == (21 * 60 + 52 - 19 * 60 - 44) * 60


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_bytes(shipped()["pohang-2017"].read_bytes())
    monkeypatch.chdir(tmp_path)
    mine: Scenario = find("mine.toml")
    assert mine == find("./mine.toml") == load(shipped()["pohang-2017"])


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(ScenarioError) as caught:
        find("pohang")
    assert str(caught.value) == (
        "scenario: 'pohang' is unknown; did you mean pohang-2017? (a file of your own ends with "
        ".toml)"
    )
    with pytest.raises(ScenarioError, match=r"^there/mine: cannot be read: No such file"):
        find("there/mine")


@pytest.mark.parametrize("devices", [10, 100_000])
def test_the_same_with_so_many_devices(devices: int) -> None:
    """Nothing else changes; the server's capacity is for each 1,000 of them anyway."""
    scenario = find("pohang-2017")
    sized = with_devices(scenario, devices)
    assert sized.population.devices == devices
    assert with_devices(sized, scenario.population.devices) == scenario
    assert sized != scenario


def test_its_own_number_of_devices() -> None:
    scenario = find("pohang-2017")
    assert with_devices(scenario, None) == scenario


@pytest.mark.parametrize("devices", [-1, 0, 9, 100_001])
def test_too_few_or_too_many_devices(devices: int) -> None:
    with pytest.raises(ScenarioError) as caught:
        with_devices(find("pohang-2017"), devices)
    assert str(caught.value) == f"--devices {devices}: from 10 to 100,000"
