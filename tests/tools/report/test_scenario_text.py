"""A scenario as a file, read again."""

from pathlib import Path

import msgspec
import pytest
from tests.tools.report.recordings import SCENARIO

from hwangso_tools.report.scenario_text import scenario_text
from hwangso_tools.storm.library import shipped
from hwangso_tools.storm.scenario import Scenario, load


def read_again(scenario: Scenario, folder: Path) -> Scenario:
    file = folder / "again.toml"
    file.write_text(scenario_text(scenario))
    return load(file)


@pytest.mark.parametrize("name", shipped())
def test_the_scenarios_that_come_along(name: str, tmp_path: Path) -> None:
    scenario = load(shipped()[name])
    assert read_again(scenario, tmp_path) == scenario


@pytest.mark.parametrize(
    "text", ['"', "\\", "# no comment", "황소 🐂", "</script>", "line\nline\ttab\x7f\x01"]
)
def test_any_text(text: str, tmp_path: Path) -> None:
    about = msgspec.structs.replace(SCENARIO.scenario, about=text)
    scenario = msgspec.structs.replace(SCENARIO, scenario=about)
    assert read_again(scenario, tmp_path) == scenario


def test_how_it_looks() -> None:
    text = scenario_text(SCENARIO)
    assert text.startswith('[scenario]\nname = "small"\n')
    assert "\n\n[population]\ndevices = 1000\nbackground.idle_s = 900.0\n" in text
    assert text.endswith(
        '\n\n[[published]]\nfigure = "connect_peak_ratio"\nsource = "papers \\"<b>\\""\n'
        "at_least = 5.0\n"
    )
    assert '\n\n[[event]]\nkind = "alert"\nat_s = 2.0\nspread_s = 5.0\n' in text
