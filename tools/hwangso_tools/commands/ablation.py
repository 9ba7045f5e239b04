"""`hwangso experiment ablation`: a storm with each mechanism of the control switched off alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwangso_server.accounts import AdministrationError
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.experiments import ablation as experiment
from hwangso_tools.experiments import ablation_report, ablation_sockets
from hwangso_tools.experiments.ablation import LINES, Line
from hwangso_tools.experiments.processes import carry_out_all
from hwangso_tools.experiments.trial import Finding
from hwangso_tools.results import Figure, results_file
from hwangso_tools.storm.library import find, with_devices

DEVICES: Final = 300
DEVICES_ON_SOCKETS: Final = 3_000


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run it."""

    scenario: str = "gyeongju-2016"
    """One of those of hwangso storm, or a file of your own; its first half hour is played."""
    devices: int | None = None
    """Phones [300; with --real 3,000]."""
    seed: int = 0
    """Of everything that is drawn at random."""
    runs: int = 1
    """How often; the table has medians. In virtual time each run has another seed, from `seed`
    on."""
    real: Annotated[bool, Parameter(negative=())] = False
    """The storm of hwangso bench storm on real sockets, in place of a scenario."""
    json: Path | None = None
    """Write the results to this file."""


def ablation(*, options: Options | None = None) -> None:
    """What each mechanism of the control buys: a storm, again and again, each time without one.

    In virtual time, two runs at a time, about three minutes, and the same seed gives the same
    table. With --real two minutes for each line of the table.
    """
    options = options or Options()
    if options.runs < 1:
        raise CommandError("--runs: at least 1")
    if _devices(options) < 1:
        raise CommandError(f"--devices {options.devices}: at least 1")
    console = Console()
    with results_file(options.json) as results:
        try:
            figures = (_on_sockets if options.real else _virtually)(console, options)
        except ExceptionGroup as group:
            raise first_of(group) from group
        except AdministrationError as error:
            raise CommandError(str(error), ExitCode.UNREACHABLE) from error
        config: dict[str, Figure] = {
            "scenario": None if options.real else options.scenario,
            "devices": _devices(options),
            "seed": options.seed,
            "runs": options.runs,
            "real": options.real,
        }
        results.write("experiment ablation", figures, config)


def _virtually(console: Console, options: Options) -> dict[str, Figure]:
    scenario = with_devices(find(options.scenario), _devices(options))
    trials = {
        (line, seed): experiment.trial(line, scenario, seed)
        for seed in range(options.seed, options.seed + options.runs)
        for line in LINES
    }

    def tell(done: tuple[Line, int], _finding: Finding) -> None:
        line, seed = done
        liars = ", with liars" if line.liars else ""
        console.print(f"{line.name}{liars}, seed {seed}: played", highlight=False)

    findings = trio.run(carry_out_all, trials, tell)
    found = {
        line: experiment.values([one for (of, _), one in findings.items() if of == line])
        for line in LINES
    }
    _show(console, ablation_report.table(found), ablation_report.sentences(found))
    return ablation_report.as_figures(found)


def _on_sockets(console: Console, options: Options) -> dict[str, Figure]:
    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)

    found = ablation_sockets.measure(_devices(options), options.runs, say)
    if not any(found.values()):
        raise CommandError(
            "no run counts: in none of them was the server the limit; use a quieter machine, with "
            "two cores",
            ExitCode.VERDICT,
        )
    _show(console, ablation_sockets.table(found), [])
    return ablation_sockets.as_figures(found)


def _show(console: Console, table: Table, sentences: list[str]) -> None:
    console.print(table)
    for line in sentences:
        console.print(Text(line), soft_wrap=not console.is_terminal)


def _devices(options: Options) -> int:
    if options.devices is not None:
        return options.devices
    return DEVICES_ON_SOCKETS if options.real else DEVICES
