"""`hwangso experiment ablation`: a storm with each mechanism of the control switched off alone."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.experiments import ablation as experiment
from hwangso_tools.experiments import ablation_report, ablation_sockets
from hwangso_tools.experiments.ablation import LINES, Line
from hwangso_tools.experiments.ablation_sockets import Findings
from hwangso_tools.experiments.processes import carry_out_all
from hwangso_tools.experiments.trial import Finding
from hwangso_tools.results import Figure, results_file
from hwangso_tools.storm.library import find, with_devices
from hwangso_tools.storm.scenario import Scenario

DEVICES: Final = 300


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run it."""

    scenario: str = "gyeongju-2016"
    """One of those of hwangso storm, or a file of your own; its first half hour is played."""
    devices: int = DEVICES
    """Phones."""
    seed: int = 0
    """Of everything that is drawn at random."""
    runs: int = 1
    """How often; the table has medians. Each run has another seed, from `seed` on."""
    real: Annotated[bool, Parameter(negative=())] = False
    """On real sockets, told ten times as fast, by a server that is slowed down; or in virtual
    time."""
    json: Path | None = None
    """Write the results to this file."""


def ablation(*, options: Options | None = None) -> None:
    """What each mechanism of the control buys: a storm, again and again, each time without one.

    In virtual time, two runs at a time, about three minutes, and the same seed gives the same
    table. With --real about a minute for each line of the table, those with liars four.
    """
    options = options or Options()
    if options.runs < 1:
        raise CommandError("--runs: at least 1")
    console = Console()
    scenario = with_devices(find(options.scenario), options.devices)
    with results_file(options.json) as results:
        findings = (_on_sockets if options.real else _virtually)(console, options, scenario)
        found = {line: experiment.values(of_line) for line, of_line in findings.items() if of_line}
        if not found:
            raise CommandError("no run counts; use a quieter machine", ExitCode.VERDICT)
        _show(console, ablation_report.table(found), ablation_report.sentences(found))
        config: dict[str, Figure] = {
            "scenario": options.scenario,
            "devices": options.devices,
            "seed": options.seed,
            "runs": options.runs,
            "real": options.real,
        }
        results.write("experiment ablation", ablation_report.as_figures(found), config)


def _virtually(console: Console, options: Options, scenario: Scenario) -> Findings:
    trials = {
        (line, seed): experiment.trial(line, scenario, seed)
        for seed in _seeds(options)
        for line in LINES
    }

    def tell(done: tuple[Line, int], _finding: Finding) -> None:
        line, seed = done
        _say(console, f"{line.world.value}, {line.name}, seed {seed}: played")

    try:
        done = trio.run(carry_out_all, trials, tell)
    except ExceptionGroup as group:
        raise first_of(group) from group
    findings: Findings = {line: [] for line in LINES}
    for (line, _), finding in done.items():
        findings[line].append(finding)
    return findings


def _on_sockets(console: Console, options: Options, scenario: Scenario) -> Findings:
    return ablation_sockets.measure(LINES, scenario, _seeds(options), partial(_say, console))


def _seeds(options: Options) -> range:
    return range(options.seed, options.seed + options.runs)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=not console.is_terminal)


def _show(console: Console, table: Table, sentences: list[str]) -> None:
    console.print(table)
    for line in sentences:
        console.print(Text(line), soft_wrap=not console.is_terminal)
