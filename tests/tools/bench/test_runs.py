from pathlib import Path

import pytest
import trio

from hwangso_tools.bench.meter import Usage
from hwangso_tools.bench.runs import (
    BUSY_SHARE,
    DEVICES,
    RUNS,
    Kind,
    Limit,
    Place,
    Run,
    limit_of,
    medians,
    repeat,
)


@pytest.mark.parametrize(
    ("server_s", "generator_s", "limit"),
    [
        (BUSY_SHARE, 1.0, Limit.SERVER),
        (0.5, BUSY_SHARE, Limit.GENERATOR),
        (0.5, 0.5, Limit.DISK),
    ],
)
def test_what_a_run_was_limited_by(server_s: float, generator_s: float, limit: Limit) -> None:
    assert limit_of(Usage(1.0, server_s, generator_s), Limit.DISK) is limit


def test_medians_figure_by_figure_of_the_runs_that_count() -> None:
    found = medians(
        [
            Run({"a": 1.0, "b": 9.0}, Limit.SERVER),
            Run({"a": 100.0, "b": 100.0}, Limit.GENERATOR),
            Run({"a": 200.0, "b": 0.0}, Limit.DISTURBED),
            Run({"a": 3.0, "b": 5.0}, Limit.DISK),
            Run({"a": 2.0, "b": 7.0}),
        ]
    )
    assert found == {"a": 2.0, "b": 7.0}


def test_no_run_counts() -> None:
    assert medians([Run({"a": 1.0}, Limit.GENERATOR)]) == {}
    assert medians([]) == {}


async def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders: list[Path] = []

    async def one(place: Place) -> Run:
        assert place.folder.parent.parent == tmp_path
        assert place.devices == 8
        folders.append(place.folder)
        return Run({"a": float(len(folders))})

    heard: list[tuple[int, Run]] = []
    done = await repeat(one, 3, tmp_path, 8, lambda number, run: heard.append((number, run)))
    assert [run.figures["a"] for run in done] == [1.0, 2.0, 3.0]
    assert heard == list(enumerate(done, start=1))
    assert len(set(folders)) == 3
    assert list(await trio.Path(tmp_path).iterdir()) == []


def test_there_is_a_run_and_a_size_for_each_kind() -> None:
    assert RUNS.keys() == DEVICES.keys() == set(Kind)
    assert DEVICES[Kind.IDLE] == 10_000
    assert DEVICES[Kind.MESSAGE] == 1_000
