"""`hwangso bench`: how fast and how small the server is, on this machine."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio
from cyclopts import App, Parameter
from rich.console import Console

from hwangso_tools.bench.disk import require_disk
from hwangso_tools.bench.report import as_figures, shown, table
from hwangso_tools.bench.runs import DEVICES, Kind, Limit, Run, medians, repeat
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.machine import separate_cores
from hwangso_tools.results import results_file

app = App(name="bench", help="How fast and how small the server is.")

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
    """Connections [5,000; idle 10,000; message 1,000, two a pair]."""
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


def _bench(kind: Kind, options: Options) -> None:
    devices = DEVICES[kind] if options.devices is None else options.devices
    if options.runs < 1:
        raise CommandError("--runs: at least 1")
    if devices < 2 or devices % 2:
        raise CommandError("--devices: an even number, at least 2")
    work = options.work or Path(tempfile.gettempdir())
    if not work.is_dir():
        raise CommandError(f"--work {work}: not a folder")
    disk = require_disk(work) if kind is Kind.MESSAGE else None
    console = Console()
    with results_file(options.json) as results:
        try:
            runs = trio.run(repeat, kind, options.runs, work, devices, partial(_tell, console))
        except ExceptionGroup as group:
            raise first_of(group) from group
        figures = medians(runs)
        cores = separate_cores()
        config = {
            "runs": options.runs,
            "devices": devices,
            "separate_cores": cores is not None,
            "file_system": disk,
        }
        if disk is not None:
            console.print(f"the database was on {disk}, in {work}")
        if figures:
            console.print(table(figures))
        results.write(f"bench {kind.value}", as_figures(figures, runs), config)
    if not figures:
        raise CommandError(
            "no run counts: in none of them was the server the limit; use a quieter machine, with "
            "two cores",
            ExitCode.VERDICT,
        )


def _tell(console: Console, number: int, run: Run) -> None:
    figures = ", ".join(f"{name} {shown(value)}" for name, value in run.figures.items())
    console.print(f"run {number}: {figures}", highlight=False, soft_wrap=not console.is_terminal)
    if run.limit is not None and run.limit in REMARKS:
        console.print(f"run {number} {REMARKS[run.limit]}", soft_wrap=not console.is_terminal)
