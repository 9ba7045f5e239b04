from pathlib import Path

import msgspec
import pytest

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.results import Results, ResultsFile, opened, results_file


def test_the_shape_of_every_results_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with results_file(path) as results:
        results.write("swarm", {"lost": 0, "by": {"a": 1.5}}, {"devices": 3})
    content = msgspec.json.decode(path.read_bytes())
    assert list(content) == ["command", "figures", "machine", "versions", "config"]
    read = msgspec.convert(content, Results)
    assert read.command == "swarm"
    assert read.figures == {"lost": 0, "by": {"a": 1.5}}
    assert read.config == {"devices": 3}
    assert read.machine.cores > 0


def test_without_a_path_nothing_is_written() -> None:
    with results_file(None) as results:
        results.write("swarm", {}, {})


def test_a_path_that_cannot_be_written_is_known_before_the_run(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"--json .*cannot be written: No such file"),
        results_file(tmp_path / "missing" / "r.json"),
    ):
        raise AssertionError("the run must not begin")
    with pytest.raises(CommandError, match="Is a directory"), results_file(tmp_path):
        raise AssertionError("the run must not begin")


def test_a_run_that_fails_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with pytest.raises(ZeroDivisionError), results_file(path):
        raise ZeroDivisionError
    assert not path.exists()


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb", buffering=0) as stream:
        results = ResultsFile(stream)
        with pytest.raises(CommandError, match="not saved") as caught:
            results.write("swarm", {}, {})
    assert caught.value.code is ExitCode.STORAGE


def test_the_option_is_named_where_its_file_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"^--report .*/r: cannot be written: No such file"),
        opened("--report", tmp_path / "missing" / "r"),
    ):
        raise AssertionError("the run must not begin")
