"""The scenarios that come along, by name, and those of a user, by path."""

from importlib import resources
from pathlib import Path
from typing import Final

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
