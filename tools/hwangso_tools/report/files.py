"""Where a report goes: FILE.html, and the same numbers beside it in FILE.json and FILE.csv."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import IO, Final

from hwangso_tools.errors import CommandError
from hwangso_tools.report.events import marks
from hwangso_tools.report.series import COLUMNS, Run
from hwangso_tools.report.story import Story
from hwangso_tools.results import Figure, Figures, ResultsFile, opened, save
from hwangso_tools.storm.report import as_figures

OPTION: Final = "--report"
SUFFIX: Final = ".html"
BESIDE: Final = (".json", ".csv")


def paths(path: Path) -> list[Path]:
    """The files of a report, the page first. Raises CommandError for a name that does not end with
    .html."""
    if path.suffix != SUFFIX:
        raise CommandError(f"{OPTION} {path}: the name of a report ends with {SUFFIX}")
    return [path, *(path.with_suffix(suffix) for suffix in BESIDE)]


class ReportFiles:
    """Where a report is written to; nowhere without a path. Use `report_files`."""

    def __init__(self, streams: Sequence[IO[bytes]]) -> None:
        self._streams = streams

    def write(self, story: Story, config: Figures) -> None:
        """Write all of it, once. Raises CommandError when the disk does not take it."""
        if not self._streams:
            return
        # Imported now, for that of plotly takes 0.3 s, and most storms want no report.
        from hwangso_tools.report.page import page  # noqa: PLC0415

        html, json, table = self._streams
        save(html, page(story).encode())
        ResultsFile(json).write("storm", report_figures(story), config)
        save(table, as_csv(story.runs).encode())


@contextmanager
def report_files(path: Path | None) -> Iterator[ReportFiles]:
    """Open the files before the run, as `results_file` does. Raises CommandError."""
    with ExitStack() as stack:
        wanted = [] if path is None else paths(path)
        yield ReportFiles([stack.enter_context(opened(OPTION, one)) for one in wanted])


def as_csv(runs: Sequence[Run]) -> str:
    """A row for each run and step; an empty field is None."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["control", *COLUMNS])
    for run in runs:
        control = _control(run)
        for values in zip(*run.series.by_name().values(), strict=True):
            rows.writerow([control, *values])
    return text.getvalue()


def report_figures(story: Story) -> dict[str, Figure]:
    """Those of `hwangso storm --json`, and what the charts show."""
    runs = {_control(run): run for run in story.runs}
    return {
        **as_figures(story.outcome),
        "events": [
            {"at_s": mark.at_s, "name": mark.name, "meaning": mark.meaning}
            for mark in marks(story.outcome.scenario)
        ],
        "step_s": story.runs[0].step_s,
        "stages": {
            control: [{"at_s": change.at_s, "stage": change.stage.name} for change in run.stages]
            for control, run in runs.items()
        },
        "open_waits": {control: _waits(run) for control, run in runs.items()},
        "series": {
            control: {name: list(values) for name, values in run.series.by_name().items()}
            for control, run in runs.items()
        },
    }


def _control(run: Run) -> str:
    return "on" if run.control else "off"


def _waits(run: Run) -> dict[str, Figure]:
    waits = run.waits
    return {
        "opens": waits.opens,
        "failed": waits.failed,
        "p50_s": waits.p50_s,
        "p90_s": waits.p90_s,
        "p99_s": waits.p99_s,
        "p99_9_s": waits.p99_9_s,
        "max_s": waits.max_s,
    }
