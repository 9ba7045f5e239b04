from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tools.commands.fakes import answering, command

from hwangso_server.admin_messages import CONTROL_OFF, AdminError, CalendarListing, ShowCalendar
from hwangso_tools.commands.calendar import calendar_lines
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode


async def test_by_the_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calendar.json"
    slots = ((0, 1_000), (1, 500), (3, 1))
    async with answering(tmp_path, CalendarListing(slots)) as asked:
        assert await command("calendar", "--data", str(tmp_path), "--json", str(file)) == 0
    assert asked == [ShowCalendar()]
    assert capsys.readouterr().out == (
        "1,501 slots, the last in 3 s\n"
        "\n"
        "         in     slots\n"
        "        0 s     1,000  " + "#" * 50 + "\n"
        "        1 s       500  " + "#" * 25 + "\n"
        "        2 s         0\n"
        "        3 s         1  #\n"
    )
    assert msgspec.json.decode(file.read_bytes())["figures"] == {
        "slots": 1_501,
        "last_slot_in_s": 3,
        "by_second": [[0, 1_000], [1, 500], [3, 1]],
    }


async def test_no_slots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calendar.json"
    async with answering(tmp_path, CalendarListing(())):
        assert await command("calendar", "--data", str(tmp_path), "--json", str(file)) == 0
    assert capsys.readouterr().out == "no slots are handed out for the time to come\n"
    figures = msgspec.json.decode(file.read_bytes())["figures"]
    assert figures == {"slots": 0, "last_slot_in_s": None, "by_second": []}


def test_a_long_time_is_grouped() -> None:
    lines = calendar_lines([(in_s, 10) for in_s in range(601)])
    assert lines[0] == "6,010 slots, the last in 10 min, 60 s a row"
    assert lines[3:5] == [
        "        0 s       600  " + "#" * 50,
        "      1 min       600  " + "#" * 50,
    ]
    assert lines[-1] == "     10 min        10  #"
    assert len(lines) == 3 + 11


@given(st.dictionaries(st.integers(0, 900), st.integers(1, 10**6), min_size=1))
def test_every_slot_is_shown_once_and_it_fits_the_terminal(by_second: dict[int, int]) -> None:
    lines = calendar_lines(sorted(by_second.items()))
    assert len(lines) <= 23
    assert all(len(line) <= 80 for line in lines)
    rows = [line[:21].replace(",", "").split() for line in lines[3:]]
    assert sum(int(row[-1]) for row in rows) == sum(by_second.values())
    assert all(
        (int(row[-1]) > 0) == ("#" in line) for row, line in zip(rows, lines[3:], strict=True)
    )


async def test_with_control_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with answering(tmp_path, AdminError(CONTROL_OFF)):
        assert await command("calendar", "--data", str(tmp_path)) == ExitCode.USAGE
    assert capsys.readouterr().err == f"hwangso: {CONTROL_OFF}\n"


def test_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calendar", "--data", str(tmp_path)]) == ExitCode.UNREACHABLE
    assert capsys.readouterr().err.startswith("hwangso: no server answers at ")
