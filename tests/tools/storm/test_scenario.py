from pathlib import Path

import pytest

from hwangso_tools.errors import ExitCode
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.scenario import (
    FILE_MAX_BYTES,
    Alert,
    Jitter,
    Messages,
    Outage,
    Population,
    Published,
    Quake,
    Restart,
    Scenario,
    ScenarioError,
    Slowdown,
    load,
)

ABOUT = """
[scenario]
name = "mine"
title = "Mine"
about = "Nothing yet."
seconds = 100
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def loaded(file: Path, text: str) -> Scenario:
    file.write_text(ABOUT + text)
    return load(file)


def refusal(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert caught.value.code is ExitCode.USAGE
    line = str(caught.value)
    assert line.startswith(f"{file}: ")
    return line.removeprefix(f"{file}: ")


def test_the_least_that_a_file_holds(file: Path) -> None:
    scenario = loaded(file, "")
    assert scenario.scenario.title == "Mine"
    assert scenario.scenario.calm_seconds == 600
    assert scenario.population == Population()
    assert scenario.phones.jitter is Jitter.FULL
    assert (scenario.event, scenario.published) == ((), ())
    assert (scenario.first_event_s, scenario.triggers_end_s) == (0.0, 0.0)


def test_all_kinds_of_events(file: Path) -> None:
    scenario = loaded(
        file,
        """
[[event]]
kind = "quake"
at_s = 3
factor = 5
decay_s = 60
[[event]]
kind = "alert"
at_s = 2
[[event]]
kind = "outage"
at_s = 5
share = 0.5
duration_s = 10
silently = true
spread_s = 3
[[event]]
kind = "messages"
at_s = 7
factor = 2
duration_s = 9
[[event]]
kind = "slowdown"
at_s = 9
factor = 2
duration_s = 8
[[event]]
kind = "restart"
at_s = 11
down_s = 5
[[event]]
kind = "operator"
at_s = 90
action = "relieve"
duration_s = 60
""",
    )
    assert scenario.event[:-1] == (
        Quake(at_s=3, factor=5, decay_s=60),
        Alert(at_s=2, spread_s=5),
        Outage(at_s=5, share=0.5, duration_s=10, silently=True, spread_s=3),
        Messages(at_s=7, factor=2, duration_s=9),
        Slowdown(at_s=9, factor=2, duration_s=8),
        Restart(at_s=11, down_s=5),
    )
    assert scenario.first_event_s == 2
    assert scenario.triggers_end_s == 18  # of the outage; the operator is no trigger


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[population]\ndevice = 1\n", "population: 'device' is unknown; did you mean devices?"),
        (
            "[population]\ndevices = 9\n",
            "population: devices: 9 is not allowed, expected a whole number from 10 to 100,000",
        ),
        (
            "[population.background]\nsleep_s = 0\n",
            (
                "population: background: sleep_s: 0 is not allowed, "
                "expected a number from 0.001 to 86,400"
            ),
        ),
        (
            '[phones]\njitter = "ful"\n',
            "phones: jitter: 'ful' is unknown; did you mean full?",
        ),
        (
            "[phones]\nbackoff_base_s = 100\n",
            (
                "phones: backoff_base_s: 100 is not allowed, expected at most phones: "
                "backoff_cap_s, which is 60"
            ),
        ),
        (
            '[[event]]\nkind = "outage"\nat_s = 0\nshare = 1.7\nduration_s = 3\n',
            "event 1 (outage): share: 1.7 is not allowed, expected a number from 0 to 1",
        ),
        (
            '[[event]]\nkind = "alert"\nat_s = 0\n[[event]]\nkind = "alert"\nat_s = 100\n',
            "event 2: at_s: 100 is not allowed, expected less than scenario: seconds, which is 100",
        ),
        (
            '[[event]]\nkind = "alarm"\nat_s = 0\n',
            "event 1: kind: 'alarm' is unknown; did you mean alert?",
        ),
        (
            '[[published]]\nfigure = "fg_sucess"\nvalue = 1\nsource = "x"\n',
            "published 1: figure: 'fg_sucess' is unknown; did you mean fg_success?",
        ),
        (
            '[[published]]\nfigure = "fg_success"\nsource = "x"\n',
            "published 1: expected exactly one of value, range and at_least",
        ),
        (
            '[[published]]\nfigure = "fg_success"\nsource = "x"\nvalue = 1\nat_least = 1\n',
            "published 1: expected exactly one of value, range and at_least",
        ),
        (
            '[[published]]\nfigure = "fg_success"\nsource = "x"\nrange = [2, 1]\n',
            "published 1: range: [2.0, 1.0] is not allowed, expected [low, high]",
        ),
        (
            2 * '[[published]]\nfigure = "fg_success"\nsource = "x"\nvalue = 1\n',
            "published 2: figure: 'fg_success' has been published already",
        ),
        (
            101 * '[[event]]\nkind = "alert"\nat_s = 0\n',
            "event: 101 of them, expected at most 100",
        ),
    ],
)
def test_what_is_not_allowed(file: Path, text: str, line: str) -> None:
    assert refusal(file, (ABOUT + text).encode()) == line


def test_what_is_no_scenario(file: Path) -> None:
    assert refusal(file, b"x = 1\n") == "'x' is unknown; known: " + ", ".join(
        ["event", "network", "phones", "population", "published", "scenario", "server"]
    )
    assert refusal(file, b"") == "scenario: is missing, expected a table"
    assert refusal(file, b"\xff") == "is not UTF-8 text"
    assert refusal(file, b"x = 1\ny = = 2\n") == "is not TOML: Invalid value (at line 2, column 5)"
    assert refusal(file, b"x = " + 3_000 * b"[").startswith("is not TOML: ")
    assert refusal(file, b"#" * (FILE_MAX_BYTES + 1)) == "larger than 65,536 bytes"


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ScenarioError, match=r"mine\.toml: cannot be read: No such file"):
        load(file)


def test_what_was_published(file: Path) -> None:
    scenario = loaded(
        file,
        '[[published]]\nfigure = "connect_peak_ratio"\nrange = [40, 50]\nsource = "press"\n',
    )
    assert scenario.published == (
        Published(FigureName.CONNECT_PEAK_RATIO, "press", range=(40.0, 50.0)),
    )
