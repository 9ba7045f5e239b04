from pathlib import Path

import msgspec
import pytest
from tests.tools.commands.fakes import answering, command

from hwangso_server.admin_messages import (
    CONTROL_OFF,
    AdminError,
    Explain,
    Explained,
    Explanation,
)
from hwangso_server.admission.stage import Stage
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode

DEFERRED = Explanation(
    ago_s=12.4,
    intent="FG",
    served_as="BG",
    stage=Stage.EMERGENCY,
    rule="over-budget",
    outcome="deferred",
    slot_in_s=40.2,
    deferrals=2,
)

NOTHING_KNOWN = (
    "nothing is known of device 7: it has not connected since the server started, or so many "
    "others have since"
)


async def explained(data: Path, explanation: Explanation | None) -> int:
    async with answering(data, Explained(explanation)) as asked:
        code = await command("explain", "7", "--data", str(data))
    assert asked == [Explain(7)]
    return code


async def test_a_deferral(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explained(tmp_path, DEFERRED) == 0
    assert capsys.readouterr().out == (
        "device 7 was deferred 12 s ago\n"
        "  asked      foreground, served as background\n"
        "  stage      2 EMERGENCY at that time\n"
        "  rule       over-budget: there is no room for it before its slot\n"
        "  until      its slot, in 40 s\n"
        "  deferrals  2 in a row\n"
    )


async def test_a_slot_that_has_passed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explained(tmp_path, msgspec.structs.replace(DEFERRED, slot_in_s=-65.0)) == 0
    assert "  until      its slot, 1 min 5 s ago\n" in capsys.readouterr().out


async def test_an_admission_by_a_rule_of_a_newer_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    admitted = Explanation(0.4, "BG", "BG", Stage.NORMAL, "room-enough", "admitted", None, 0)
    assert await explained(tmp_path, admitted) == 0
    assert capsys.readouterr().out == (
        "device 7 was admitted 400 ms ago\n"
        "  asked      background\n"
        "  stage      0 NORMAL at that time\n"
        "  rule       room-enough\n"
        "  deferrals  none\n"
    )


async def test_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explained(tmp_path, None) == ExitCode.USAGE
    assert capsys.readouterr() == (
        "",
        f"hwangso: {NOTHING_KNOWN}\n",
    )


async def test_with_control_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with answering(tmp_path, AdminError(CONTROL_OFF)):
        assert await command("explain", "7", "--data", str(tmp_path)) == ExitCode.USAGE
    assert capsys.readouterr().err == f"hwangso: {CONTROL_OFF}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ("abc", ExitCode.USAGE, "DEVICE"),
        ("", ExitCode.USAGE, "DEVICE"),
        ("0", ExitCode.USAGE, "DEVICE"),
        ("7", ExitCode.UNREACHABLE, "no server answers at"),
    ],
)
def test_what_an_operator_gets_wrong(
    arguments: str, code: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", *arguments.split(), "--data", str(tmp_path)]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("hwangso: ")
    assert line in shown.err
    assert shown.err.count("\n") == 1
