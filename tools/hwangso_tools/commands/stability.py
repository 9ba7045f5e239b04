"""`hwangso experiment stability`: outages of every size and length, control off and on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import trio
from rich.console import Console

from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.experiments import stability as experiment
from hwangso_tools.experiments.processes import carry_out_all
from hwangso_tools.experiments.stability import Cell
from hwangso_tools.experiments.stability_picture import picture
from hwangso_tools.experiments.stability_report import as_figures, grids, sentences
from hwangso_tools.experiments.trial import Finding
from hwangso_tools.results import results_file

TOLD_TIMES: Final = 10
"""How often a run says how far it is."""


def stability(
    *,
    devices: int = experiment.DEVICES,
    seed: int = 0,
    told: bool = False,
    json: Path | None = None,
    svg: Path | None = None,
) -> None:
    """Which outages of a carrier outlive their trigger, control off and on: a map.

    In virtual time, two runs at a time, about five minutes; the same seed gives the same map.

    Parameters
    ----------
    devices
        Phones in each cell; the server's capacity goes with them.
    seed
        Of everything that is drawn at random.
    told
        Phones know that they have no service, lose all connections at once, and try again only when
        it is back. Otherwise they are not told, and go on trying.
    json
        Write the results to this file.
    svg
        Draw the map into this file.
    """
    if not 10 <= devices <= 10_000:
        raise CommandError(f"--devices {devices}: from 10 to 10,000")
    console = Console()
    wanted = experiment.cells(experiment.SHARES, experiment.DURATIONS_S)
    cells = {cell: experiment.trial(cell, devices, seed, told=told) for cell in wanted}
    done = 0

    def tell(_cell: Cell, _finding: Finding) -> None:
        nonlocal done
        done += 1
        if done * TOLD_TIMES // len(cells) > (done - 1) * TOLD_TIMES // len(cells):
            console.print(f"{done} of {len(cells)} cells", highlight=False)

    with results_file(json) as results, _picture_file(svg) as drawing:
        try:
            findings = trio.run(carry_out_all, cells, tell)
        except ExceptionGroup as group:
            raise first_of(group) from group
        found = {cell: finding.back_after_s for cell, finding in findings.items()}
        console.print("Seconds from the end of the outage until all phones are back, by share:")
        for grid in grids(found):
            console.print(grid)
        for line in sentences(found):
            console.print(line, highlight=False, soft_wrap=not console.is_terminal)
        config = {"devices": devices, "seed": seed, "told": told, "bound_s": experiment.BOUND_S}
        results.write("experiment stability", as_figures(found), config)
        if drawing is not None:
            drawing.write(picture(found, _caption(devices, seed, told=told)))


def _caption(devices: int, seed: int, *, told: bool) -> str:
    bound_min = experiment.BOUND_S / 60
    known = "are told" if told else "are not told"
    return (
        f"Seconds from the end of the outage until all phones are back; never: not within "
        f"{bound_min:.0f} minutes. Virtual time, {devices:,} phones, which {known}, seed {seed}."
    )


@contextmanager
def _picture_file(path: Path | None) -> Iterator[IO[str] | None]:
    """Opened before the run, like a results file; an empty one does not stay."""
    if path is None:
        yield None
        return
    try:
        stream = path.open("w")
    except OSError as error:
        raise CommandError(f"--svg {path}: cannot be written: {error.strerror}") from None
    try:
        with stream:
            yield stream
    except OSError as error:
        raise CommandError(f"--svg {path}: {error.strerror}", ExitCode.STORAGE) from None
    finally:
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()
