from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.admission_status import EMERGENCY
from tests.tools.commands.fakes import answering, command

from hwangso_server.admin_messages import (
    CONTROL_OFF,
    AdminError,
    AdmissionStatus,
    FreeStage,
    ServerStatus,
    SetStage,
    Status,
)
from hwangso_server.admission.signals import QueueSignals, Signals
from hwangso_server.admission.stage import Reading, Stage, StageRule
from hwangso_tools.commands.stage import pin_of, status_lines
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import CommandError, ExitCode


async def test_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "stage.json"
    async with answering(tmp_path, ServerStatus({"now.sessions": 1}, EMERGENCY)) as asked:
        assert await command("stage", "show", "--data", str(tmp_path), "--json", str(file)) == 0
    assert asked == [Status()]
    assert capsys.readouterr().out == (
        "stage     2 EMERGENCY for 12 s\n"
        "          foreground first, background only with a due slot\n"
        "because   connect-surge: a standing queue, and connects far over the usual\n"
        "pinned    no: it follows from pressure\n"
        "budget    812 background connects a second\n"
        "calendar  6,120 slots, the last in 8 min 2 s\n"
        "\n"
        "connects                    arriving     waiting   answered in\n"
        "foreground                      20/s           3          5 ms\n"
        "background                   1,920/s         240        310 ms\n"
        "\n"
        "pressure                         now       limit\n"
        "background standing           143 ms       20 ms  over\n"
        "surge ratio                     5.25           3  over\n"
        "connect share                    0.3         0.3  over\n"
        "backlog                          0 s         3 s\n"
    )
    figures = msgspec.json.decode(file.read_bytes())["figures"]
    assert msgspec.convert(figures, AdmissionStatus) == EMERGENCY


async def test_show_a_pin_and_an_empty_calendar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = msgspec.structs.replace(
        EMERGENCY,
        stage=Stage.NORMAL,
        entered_ago_s=None,
        pinned_left_s=588.0,
        slots=0,
        last_slot_in_s=None,
    )
    async with answering(tmp_path, ServerStatus({}, pinned)):
        assert await command("stage", "show", "--data", str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stage     0 NORMAL since the start"
    assert "pinned    for 9 min 48 s (`hwangso stage auto` ends it)" in lines
    assert "calendar  no slots" in lines


SECONDS = st.floats(0, 1e9)
COUNTS = st.integers(0, 10**9)


@given(
    st.builds(
        AdmissionStatus,
        rule=st.sampled_from([*StageRule, "a rule of next year"]),
        entered_ago_s=st.none() | SECONDS,
        pinned_left_s=st.none() | st.floats(0, 86_400),
        readings=st.lists(
            st.builds(
                Reading, st.sampled_from(["background_standing_s", "surge_ratio"]), SECONDS, SECONDS
            )
        ).map(tuple),
        signals=st.builds(
            Signals,
            foreground=st.builds(QueueSignals, arrivals_per_s=SECONDS, response_s=SECONDS),
            background=st.builds(QueueSignals, arrivals_per_s=SECONDS, response_s=SECONDS),
        ),
        background_per_s=SECONDS,
        foreground_waiting=COUNTS,
        background_waiting=COUNTS,
        slots=COUNTS,
        last_slot_in_s=st.none() | st.floats(0, 900),
    )
)
def test_whatever_is_shown_fits_80_columns(status: AdmissionStatus) -> None:
    assert all(len(line) <= 80 for line in status_lines(status))


async def test_show_with_control_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "stage.json"
    async with answering(tmp_path, ServerStatus({}, None)):
        shown = await command("stage", "show", "--data", str(tmp_path), "--json", str(file))
    assert shown == ExitCode.USAGE
    assert capsys.readouterr() == ("", f"hwangso: {CONTROL_OFF}\n")
    assert not file.exists()


@pytest.mark.parametrize(
    ("stage", "lasting", "request_made"),
    [
        ("3", "2h", SetStage(Stage.SHIELD, 7_200)),
        ("busy", "1s", SetStage(Stage.BUSY, 1)),
        ("NORMAL", "24h", SetStage(Stage.NORMAL, 86_400)),
        ("Emergency", "1.5m", SetStage(Stage.EMERGENCY, 90)),
    ],
)
async def test_set(
    stage: str,
    lasting: str,
    request_made: SetStage,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pinned = msgspec.structs.replace(
        EMERGENCY, stage=request_made.stage, pinned_left_s=request_made.for_s
    )
    async with answering(tmp_path, pinned) as asked:
        set_stage = ("stage", "set", stage, "--for", lasting)
        assert await command(*set_stage, "--data", str(tmp_path)) == 0
    assert asked == [request_made]
    said = capsys.readouterr().out
    assert said.startswith(
        f"stage {request_made.stage.value} {request_made.stage.name}, pinned for "
    )
    assert said.count("\n") == 1


async def test_auto(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with answering(tmp_path, EMERGENCY) as asked:
        assert await command("stage", "auto", "--data", str(tmp_path)) == 0
    assert asked == [FreeStage()]
    assert capsys.readouterr().out == "stage 2 EMERGENCY, it follows from pressure\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            "set 7 --for 10m",
            "there is no stage '7': give one of 0 NORMAL, 1 BUSY, 2 EMERGENCY, 3 SHIELD",
        ),
        ("set panic --for 10m", "there is no stage 'panic': give one of 0 NORMAL"),
        ("set 2", "--for requires an argument"),
        ("set 2 --for", "--for"),
        ("set --for 10m", "STAGE"),
        ("set 2 --for 0s", "--for 0s: from 1 s to 24 h"),
        ("set 2 --for 9999h", "--for 9999h: from 1 s to 24 h"),
        ("set 2 --for 999999999h", "--for 999999999h: from 1 s to 24 h"),
        ("set 2 --for 10", "--for '10': not a duration such as 30s, 10m or 2h"),
        ("set 2 --for -10m", "--for"),
        ("set 2 --for soon", "--for 'soon': not a duration such as 30s, 10m or 2h"),
        ("pin", 'Unknown command "pin"'),
    ],
)
def test_what_an_operator_gets_wrong(
    arguments: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stage", *arguments.split()]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("hwangso: ")
    assert line in shown.err
    assert shown.err.count("\n") == 1


@given(st.text() | st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,3})?[smhd]", fullmatch=True))
def test_any_text_is_a_pin_within_its_bounds_or_a_short_error(text: str) -> None:
    complaint = ""
    try:
        for_s = pin_of(text)
    except CommandError as error:
        complaint = str(error)
    assert complaint.startswith("--for ") if complaint else 1 <= for_s <= 86_400
    assert len(complaint) < 200


@pytest.mark.parametrize("arguments", ["show", "set 2 --for 10m", "auto"])
def test_no_server(arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_there = run(["stage", *arguments.split(), "--data", str(tmp_path)])
    assert run_there == ExitCode.UNREACHABLE
    shown = capsys.readouterr()
    assert shown.err.startswith("hwangso: no server answers at ")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("arguments", ["show", "set 2 --for 10m", "auto"])
async def test_a_server_that_refuses(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path, AdminError(CONTROL_OFF)):
        refused = await command("stage", *arguments.split(), "--data", str(tmp_path))
    assert refused == ExitCode.USAGE
    assert capsys.readouterr().err == f"hwangso: {CONTROL_OFF}\n"
