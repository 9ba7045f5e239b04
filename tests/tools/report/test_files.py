"""The three files of a report."""

import csv
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from tests.tools.report.recordings import recording, story

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.report.files import ReportFiles, as_csv, paths, report_figures, report_files
from hwangso_tools.report.page import page
from hwangso_tools.report.series import COLUMNS, run_of
from hwangso_tools.results import Results


def test_the_files_stand_beside_each_other() -> None:
    assert paths(Path("a/b.c.html")) == [Path("a/b.c.html"), Path("a/b.c.json"), Path("a/b.c.csv")]


@pytest.mark.parametrize("name", ["storm", "storm.json", "storm.csv", "storm.htm", ".html"])
def test_another_name(name: str) -> None:
    with pytest.raises(CommandError, match=r"^--report .*: the name of a report ends with \.html$"):
        paths(Path(name))


def test_all_is_written(tmp_path: Path) -> None:
    with report_files(tmp_path / "storm.html") as report:
        report.write(story(), {"seed": 7})
    assert (tmp_path / "storm.html").read_text() == page(story())
    assert (tmp_path / "storm.csv").read_text() == as_csv(story().runs)
    results = msgspec.json.decode((tmp_path / "storm.json").read_bytes(), type=Results)
    assert results.command == "storm"
    assert results.config == {"seed": 7}
    assert results.figures == report_figures(story())


def test_without_a_path_nothing_is_written() -> None:
    with report_files(None) as report:
        report.write(story(), {})


def test_the_table_has_the_series() -> None:
    """Read back, it is what the charts show."""
    first, *rows = csv.reader(StringIO(as_csv(story().runs)))
    assert first == ["control", *COLUMNS]
    assert len(rows) == 12
    for run in story().runs:
        mine = [row[1:] for row in rows if row[0] == ("on" if run.control else "off")]
        for name, column in zip(COLUMNS, zip(*mine, strict=True), strict=True):
            read = [None if field == "" else field for field in column]
            values = [None if value is None else str(value) for value in run.series.by_name()[name]]
            assert read == values, name


def test_a_row_of_the_table() -> None:
    assert as_csv([run_of(recording())]).splitlines()[3] == (
        "on,0.0,EMERGENCY,1.2,0.6,0.4,0.2,0.8,0.0,14,6,0.25,0.125,3,1,0.75,40.0,0.2,0.1"
    )


def test_the_figures_of_the_json_file() -> None:
    made = report_figures(story())
    assert list(made) == ["off", "on", "events", "step_s", "stages", "open_waits", "series"]
    assert made["events"] == [
        {"at_s": 2.0, "name": "alert", "meaning": "every sleeping phone wakes within 5 s"}
    ]
    assert made["step_s"] == 5
    assert made["stages"] == {
        "off": [],
        "on": [
            {"at_s": -10.0, "stage": "NORMAL"},
            {"at_s": 3.25, "stage": "EMERGENCY"},
            {"at_s": 12.0, "stage": "BUSY"},
        ],
    }
    waits = {
        "opens": 4,
        "failed": 2,
        "p50_s": 0.75,
        "p90_s": None,
        "p99_s": None,
        "p99_9_s": None,
        "max_s": None,
    }
    assert made["open_waits"] == {"off": waits, "on": waits}
    assert made["series"] == {
        control: {name: list(values) for name, values in run.series.by_name().items()}
        for control, run in zip(("off", "on"), story().runs, strict=True)
    }


def test_a_path_that_cannot_be_written_is_known_before_the_run(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "storm.html"
    with (
        pytest.raises(CommandError, match=r"--report .*storm\.html: cannot be written: No such"),
        report_files(missing),
    ):
        raise AssertionError("the run must not begin")


def test_so_is_one_beside_it_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "storm.csv").mkdir()
    with (
        pytest.raises(CommandError, match=r"storm\.csv: cannot be written: Is a directory"),
        report_files(tmp_path / "storm.html"),
    ):
        raise AssertionError("the run must not begin")
    assert [file.name for file in tmp_path.iterdir()] == ["storm.csv"]


def test_a_run_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), report_files(tmp_path / "storm.html"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        with pytest.raises(CommandError, match="not saved") as caught:
            ReportFiles([full, full, full]).write(story(), {})
        assert caught.value.code is ExitCode.STORAGE
