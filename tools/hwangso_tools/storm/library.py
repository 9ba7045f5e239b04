"""The scenarios that come along, by name, and those of a user, by path."""

from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from hwangso_tools.storm.checking import Mistake, refuse_unknown
from hwangso_tools.storm.scenario import Scenario, ScenarioError, load

SUFFIX: Final = ".toml"


def shipped() -> dict[str, Path]:
    """The files that come along, by name. Copy one to make a scenario of your own."""
    with resources.as_file(resources.files("hwangso_tools") / "scenarios") as folder:
        return {file.stem: file for file in sorted(folder.glob(f"*{SUFFIX}"))}


def find(name: str) -> Scenario:
    """The scenario with that name, or in that file: whatever ends with .toml or has a slash in it
    is a file. Raises ScenarioError."""
    if name.endswith(SUFFIX) or "/" in name:
        return load(Path(name))
    known = shipped()
    if name not in known:
        try:
            refuse_unknown("scenario", name, known)
        except Mistake as mistake:
            raise ScenarioError(f"{mistake} (a file of your own ends with {SUFFIX})") from None
    return load(known[name])


def with_devices(scenario: Scenario, devices: int | None) -> Scenario:
    """The same with so many devices, None for its own number. Raises ScenarioError."""
    if devices is None:
        return scenario
    population = {**msgspec.to_builtins(scenario.population), "devices": devices}
    try:
        sized = msgspec.convert(population, type(scenario.population))
    except msgspec.ValidationError:
        raise ScenarioError(f"--devices {devices}: from 10 to 100,000") from None
    return msgspec.structs.replace(scenario, population=sized)
