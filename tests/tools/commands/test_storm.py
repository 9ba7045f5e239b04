"""`hwangso storm`."""

from pathlib import Path

import msgspec
import pytest
from tests.tools.report.reading import ReportReader

from hwangso_tools.commands.tree import run
from hwangso_tools.storm.library import shipped

SMALL = """
[scenario]
name = "small"
title = "A small storm"
about = "For tests."
seconds = 60
calm_seconds = 60

[population]
devices = 20

[server]
capacity_per_s = 100

[[event]]
kind = "alert"
at_s = 5

[[published]]
figure = "connect_peak_ratio"
at_least = 5
source = "the newspapers"
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "small.toml"
    file.write_text(SMALL)
    return str(file)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out.splitlines()


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["storm", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.removeprefix("hwangso: ").rstrip()


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["storm"]) == 0
    *listed, where = lines(capsys)
    assert [line.split()[0] for line in listed] == list(shipped())
    assert listed[-1] == "pohang-2017      Pohang earthquake, 15 November 2017, 14:29:31"
    assert where.startswith("Their files are in ")


def test_a_scenario_of_ones_own(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "storm.json"
    assert run(["storm", small, "--seed", "2", "--without", "lanes", "--json", str(json)]) == 0
    shown = lines(capsys)
    assert shown[0] == (
        "20 phones and a server in virtual time, with a modelled processor of 2 resumes a second"
    )
    assert shown[1] == "control on is without lanes"
    assert shown[2:4] == ["control off: played", "control on: played"]
    assert any(line.split()[:5] == ["connects", "at", "the", "peak,", "times"] for line in shown)
    assert "published, connects at the peak, times calm: over 5.0 (the newspapers)" in shown
    assert shown[-3].startswith("Control off: connects rose to ")
    assert shown[-2].startswith("Control on: connects rose to ")
    assert shown[-1].startswith("The control ")

    written = msgspec.json.decode(json.read_bytes())
    assert written["command"] == "storm"
    assert set(written["figures"]) == {"on", "off"}
    assert {
        "connect_peak_ratio",
        "bg_share_peak",
        "fg_success",
        "fg_p99_s",
        "emergency_detected_after_s",
        "response_normal_after_s",
        "stage_normal_after_s",
        "max_bg_wait_s",
        "max_deferrals",
        "second_peak_ratio",
    } <= set(written["figures"]["on"])
    assert written["config"] == {
        "scenario": "small",
        "devices": 20,
        "seed": 2,
        "real": False,
        "real_speed": None,
        "without": ["lanes"],
    }


def test_a_title_is_no_markup(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(small).write_text(SMALL.replace("A small storm", "A [/bold] [red]storm"))
    assert run(["storm", small, "--control", "on"]) == 0
    assert "A [/bold] [red]storm" in "\n".join(lines(capsys))


def test_one_run_of_another_size(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json = tmp_path / "storm.json"
    arguments = ["--control", "on", "--devices", "10", "--virtual", "--json", str(json)]
    assert run(["storm", small, *arguments]) == 0
    assert "control off" not in "\n".join(lines(capsys))
    assert set(msgspec.json.decode(json.read_bytes())["figures"]) == {"on"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["pohang"],
            (
                "scenario: 'pohang' is unknown; did you mean pohang-2017? (a file of your own ends "
                "with .toml)"
            ),
        ),
        (["pohang-2017", "--devices", "9"], "--devices 9: from 10 to 100,000"),
        (["nowhere.toml"], "nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_played(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(arguments, capsys) == line


def test_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean" in refusal(["pohang-2017", "--without", "lane"], capsys)
    assert "--control" in refusal(["pohang-2017", "--control", "maybe"], capsys)


def test_a_real_server_cannot_be_slowed_down_on_the_way(
    small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = '[[event]]\nkind = "slowdown"\nat_s = 1\nfactor = 2\nduration_s = 3\n'
    Path(small).write_text(SMALL + slow)
    assert run(["storm", small, "--real"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("hwangso: --real: this scenario slows the server down on the way")


def test_results_that_cannot_be_written(small: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal([small, "--json", "/nowhere/storm.json"], capsys)
    assert line == "--json /nowhere/storm.json: cannot be written: No such file or directory"


def test_a_report(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, json = tmp_path / "storm.html", tmp_path / "results.json"
    arguments = ["--seed", "2", "--without", "lanes", "--json", str(json), "--report", str(report)]
    assert run(["storm", small, *arguments]) == 0
    shown = lines(capsys)
    assert shown[-1] == f"the report is in {report}"

    read = ReportReader(report.read_text())
    assert set(read.figures) == {
        "connects",
        "turned-away",
        "phones",
        "responses",
        "opens",
        "processor",
        "stages",
    }
    assert shown[-2] in read.text  # the verdict
    assert "over 5.0" in read.text
    again = f"{small} --control both --devices 20 --seed 2 --virtual --without lanes"
    assert f"hwangso storm {again} " in read.text

    results = msgspec.json.decode(json.read_bytes())
    beside = msgspec.json.decode(report.with_suffix(".json").read_bytes())
    assert results["figures"].items() < beside["figures"].items()
    assert results["config"] == beside["config"]
    series = beside["figures"]["series"]
    assert series["off"]["at_s"] == series["on"]["at_s"] == [5.0 * step for step in range(-12, 12)]
    alarmed = series["on"]["at_s"].index(5.0)
    assert series["on"]["connects_background_per_s"][alarmed] > 0.5  # of 20 phones
    assert sum(series["on"]["busy_share"]) > 0
    rows = report.with_suffix(".csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 24


def test_a_report_of_a_calm_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "calm.html"
    arguments = ["--devices", "20", "--control", "on", "--report", str(report)]
    assert run(["storm", "calm-day", *arguments]) == 0
    read = ReportReader(report.read_text())
    assert "Nothing: a calm day." in read.text
    assert read.addresses == []
    assert lines(capsys)[-1] == f"the report is in {report}"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "/nowhere/x.html",
            "--report /nowhere/x.html: cannot be written: No such file or directory",
        ),
        ("x.htm", "--report x.htm: the name of a report ends with .html"),
    ],
)
def test_a_report_that_cannot_be_written(
    name: str, line: str, small: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal([small, "--report", name], capsys) == line


def test_results_and_report_in_the_same_file(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, json = tmp_path / "storm.html", tmp_path / "storm.json"
    line = refusal([small, "--report", str(report), "--json", str(json)], capsys)
    assert line == (
        f"--json {json}: --report {report} writes that file, too; choose another name for one of "
        "them"
    )
    assert not report.exists()
