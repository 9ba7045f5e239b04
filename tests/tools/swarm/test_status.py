import io

import trio
from rich.console import Console
from trio.testing import MockClock

from hwangso_tools.swarm.status import (
    PLAIN_EVERY_S,
    REFRESH_S,
    PlainDisplay,
    Status,
    open_display,
    show_until_cancelled,
)


def status(phase: str, elapsed_s: float, *, saturated: bool = False) -> Status:
    counts = {"login.resume.BG": 1_234, "sent": 7, "error.refused full": 2, "error.lost": 1}
    return Status(phase, elapsed_s, 2_000, 1_500, counts, saturated)


def test_in_words() -> None:
    assert status("chat", 1).logins == "resume BG 1,234"
    assert Status("chat", 0, 1, 0, {}).logins == "none yet"
    assert status("chat", 1).messages == "sent 7, acknowledged 0, received 0"
    assert status("chat", 1).errors == 3


def test_plain_lines_are_few() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append)
    for elapsed_s in (0.0, 0.25, PLAIN_EVERY_S - 0.1, PLAIN_EVERY_S):
        display.show(status("chat", elapsed_s))
    display.show(status("return", 0.1, saturated=True))
    display.say("and a word")
    assert len(lines) == 4
    assert lines[0].startswith("  0.0 s  chat: 1,500 of 2,000 connected; logins: resume BG 1,234")
    assert lines[2].endswith("the generator is saturated")
    assert lines[3] == "and a word"


def test_a_pipe_gets_plain_lines() -> None:
    out = io.StringIO()
    with open_display(Console(file=out)) as display:
        display.show(status("chat", 0.0))
    assert out.getvalue().startswith("  0.0 s  chat: ")
    assert out.getvalue().count("\n") == 1


def test_a_terminal_gets_a_table() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with open_display(console) as display:
        display.show(status("chat", 0.0, saturated=True))
        display.say("and a word")
    assert "1,500 of 2,000 devices" in out.getvalue()
    assert "cannot keep up" in out.getvalue()
    assert "and a word" in out.getvalue()


async def test_shown_again_and_again(autojump_clock: MockClock) -> None:
    lines: list[str] = []
    with trio.move_on_after(10.5 * REFRESH_S):
        await show_until_cancelled(
            PlainDisplay(lines.append), lambda: status("chat", trio.current_time())
        )
    assert len(lines) == 2
