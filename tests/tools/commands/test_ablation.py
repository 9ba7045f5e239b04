"""`hwangso experiment ablation`, with a handful of phones or with findings that are made up."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest

from hwangso_tools.commands import ablation
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode
from hwangso_tools.experiments.ablation import LINES, Line
from hwangso_tools.experiments.trial import Finding, Trial, carry_out

TINY = """
[scenario]
name = "tiny"
title = "Tiny"
about = "An outage."
seconds = 60
calm_seconds = 20

[[event]]
kind = "outage"
at_s = 0
share = 1
duration_s = 5
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return str(file)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Line, int]]:
    """Trials run in this process, those with liars not at all; gives which were ordered."""
    ordered: list[tuple[Line, int]] = []

    async def carry_out_all(
        trials: Mapping[tuple[Line, int], Trial],
        tell: Callable[[tuple[Line, int], Finding], None],
    ) -> dict[tuple[Line, int], Finding]:
        ordered.extend(trials)
        known: dict[Trial, Finding] = {}
        for (line, _), trial in trials.items():
            if not line.liars and not trial.without:
                known[trial] = FOUND[trial.control]
        some = next(iter(known.values()))
        findings = {name: known.get(trial, some) for name, trial in trials.items()}
        for name, finding in findings.items():
            tell(name, finding)
        return findings

    monkeypatch.setattr(ablation, "carry_out_all", carry_out_all)
    return ordered
