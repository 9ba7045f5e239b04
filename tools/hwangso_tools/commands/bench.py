"""`hwangso bench`: how fast and how small the server is here, and how it stands a storm."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio
from cyclopts import App, Parameter
from rich.console import Console

from hwangso_server.accounts import AdministrationError
from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.bench.disk import require_disk
from hwangso_tools.bench.report import as_figures, shown, table
from hwangso_tools.bench.runs import DEVICES, RUNS, Kind, Limit, Measure, Run, medians, repeat
from hwangso_tools.bench.storm import report as storm_report
from hwangso_tools.bench.storm.parts import Program
from hwangso_tools.bench.storm.plan import Part
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.machine import separate_cores
from hwangso_tools.results import Figure, results_file

app = App(name="bench", help="How fast and how small the server is, and how it stands a storm.")

STORM_DEVICES: Final = 10_000
"""As in the comparison with other servers."""

REMARKS: Final = {
    Limit.GENERATOR: "does not count: the generator was the limit, not the server",
    Limit.DISTURBED: "does not count: something else used the cores",
    Limit.DISK: "was limited by the disk, or by something else that used the cores",
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """How to measure."""

    runs: int = 3
    """How often to measure."""
    devices: int | None = None
    """Connections [5,000; idle and storm 10,000; message 1,000, two a pair]."""
    work: Path | None = None
    """Folder for the data folders of the runs, on a disk [the system's folder for such things]."""
    json: Path | None = None
    """Write the results to this file."""


@app.command
def login(*, options: Options | None = None) -> None:
    """Logins a second: devices with a key and no ticket, 64 in flight."""
    _bench(Kind.LOGIN, options or Options())


@app.command
def resume(*, options: Options | None = None) -> None:
    """Resumes a second, 64 in flight, and how much of that is cryptography."""
    _bench(Kind.RESUME, options or Options())


@app.command
def idle(*, options: Options | None = None) -> None:
    """Resident memory of a silent connection."""
    _bench(Kind.IDLE, options or Options())


@app.command
def message(*, options: Options | None = None) -> None:
    """Messages a second, on disk before their acknowledgement; delivery latency at half that."""
    _bench(Kind.MESSAGE, options or Options())


@app.command
def storm(
    *,
    parts: str = ",".join(part.value for part in Part),
    without: tuple[str, ...] = (),
    options: Options | None = None,
) -> None:
    """Devices cut at once, who all come back, while people open the app. Four minutes a run.

    Parameters
    ----------
    parts
        Which storms, with commas: base, off (control off), impatient, disobedient.
    without
        Mechanisms of the control to switch off: see server/README.md. May be given several times.
    """
    options = options or Options()
    devices = STORM_DEVICES if options.devices is None else options.devices
    if devices < 1:
        raise CommandError("--devices: at least 1")
    console = Console()
    chosen, left_out = _parts(parts), [_mechanism(name) for name in without]
    program = Program(chosen, left_out, console.print)
    with results_file(options.json) as results:
        tell = partial(_tell, console, storm_report.HEADLINES)
        runs = _measure(program.run, options, devices, tell)
        figures = medians(runs)
        if figures:
            console.print(storm_report.comparison(figures))
            if devices != STORM_DEVICES:
                console.print(f"the other servers' figures are for {STORM_DEVICES:,} devices")
            console.print(storm_report.goals(figures))
        config = _config(options, devices) | {
            "parts": [part.value for part in chosen],
            "without": [mechanism.value for mechanism in left_out],
        }
        results.write("bench storm", as_figures(figures, runs), config)
    _require_counted(figures)


def _bench(kind: Kind, options: Options) -> None:
    devices = DEVICES[kind] if options.devices is None else options.devices
    if devices < 2 or devices % 2:
        raise CommandError("--devices: an even number, at least 2")
    disk = require_disk(_work(options)) if kind is Kind.MESSAGE else None
    console = Console()
    with results_file(options.json) as results:
        runs = _measure(RUNS[kind], options, devices, partial(_tell, console, None))
        figures = medians(runs)
        if disk is not None:
            console.print(f"the database was on {disk}, in {_work(options)}")
        if figures:
            console.print(table(figures))
        config = _config(options, devices) | {"file_system": disk}
        results.write(f"bench {kind.value}", as_figures(figures, runs), config)
    _require_counted(figures)


def _measure(
    measure: Measure, options: Options, devices: int, tell: Callable[[int, Run], None]
) -> list[Run]:
    if options.runs < 1:
        raise CommandError("--runs: at least 1")
    try:
        return trio.run(repeat, measure, options.runs, _work(options), devices, tell)
    except ExceptionGroup as group:
        raise first_of(group) from group
    except AdministrationError as error:
        raise CommandError(str(error), ExitCode.UNREACHABLE) from error


def _work(options: Options) -> Path:
    work = options.work or Path(tempfile.gettempdir())
    if not work.is_dir():
        raise CommandError(f"--work {work}: not a folder")
    return work


def _config(options: Options, devices: int) -> dict[str, Figure]:
    return {
        "runs": options.runs,
        "devices": devices,
        "separate_cores": separate_cores() is not None,
    }


def _require_counted(figures: Mapping[str, float]) -> None:
    if not figures:
        raise CommandError(
            "no run counts: in none of them was the server the limit; use a quieter machine, with "
            "two cores",
            ExitCode.VERDICT,
        )


def _parts(text: str) -> Sequence[Part]:
    try:
        return [Part(name.strip()) for name in text.split(",")]
    except ValueError:
        known = ", ".join(part.value for part in Part)
        raise CommandError(f"--parts {text!r:.60}: some of {known}, with commas") from None


def _mechanism(name: str) -> Mechanism:
    try:
        return Mechanism(name)
    except ValueError:
        known = ", ".join(mechanism.value for mechanism in Mechanism)
        raise CommandError(f"--without {name:.60}: one of {known}") from None


def _tell(console: Console, names: Sequence[str] | None, number: int, run: Run) -> None:
    """Show a run: all its figures, or those of these names."""
    chosen = run.figures if names is None else [name for name in names if name in run.figures]
    figures = ", ".join(f"{name} {shown(run.figures[name])}" for name in chosen)
    console.print(f"run {number}: {figures}", highlight=False, soft_wrap=not console.is_terminal)
    if run.limit is not None and run.limit in REMARKS:
        console.print(f"run {number} {REMARKS[run.limit]}", soft_wrap=not console.is_terminal)
