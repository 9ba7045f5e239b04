import io
import json
import os

import pytest
import structlog
from structlog.typing import FilteringBoundLogger

from hwangso_server.config import LogLevel
from hwangso_server.logs import logs_to

log: FilteringBoundLogger = structlog.get_logger()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError


def fail_with_a_secret() -> None:
    secret = "hunter2"
    raise ExceptionGroup("several", [ValueError(len(secret))])


def test_json_lines_where_no_terminal_is() -> None:
    stream = io.StringIO()
    with logs_to(stream, LogLevel.INFO):
        log.info("ready", foreground_port=7744, user="황소")
        log.warning("second")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "ready", "level": "info", "foreground_port": 7744, "user": "황소"}
    assert second["level"] == "warning"


def test_readable_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with logs_to(stream, LogLevel.INFO):
        log.info("ready", port=7744)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "ready" in line
    assert "port=7744" in line
    assert "\x1b" not in line


def test_colours_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with logs_to(stream, LogLevel.INFO):
        log.info("ready")
    assert "\x1b[" in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_a_value_cannot_make_lines_or_steer_the_terminal(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with logs_to(stream, LogLevel.INFO):
        log.info("odd", name="a\nb", agent="a\x1b[2Jb")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warning", "error"]),
        (LogLevel.INFO, ["info", "warning", "error"]),
        (LogLevel.WARNING, ["warning", "error"]),
        (LogLevel.ERROR, ["error"]),
    ],
)
def test_level(level: LogLevel, expected: list[str]) -> None:
    stream = io.StringIO()
    with logs_to(stream, level):
        log.debug("a")
        log.info("b")
        log.warning("c")
        log.error("d")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == expected


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_a_traceback_shows_no_local_variables(stream: io.StringIO) -> None:
    with logs_to(stream, LogLevel.INFO):
        try:
            fail_with_a_secret()
        except ExceptionGroup:
            log.exception("failed")
    text = stream.getvalue()
    assert "fail_with_a_secret" in text
    assert "ValueError" in text
    # The source line that raises may show; the value of the variable must not.
    assert "hunter2" not in text


def test_a_line_that_cannot_be_written_is_lost() -> None:
    with logs_to(FullDisk(), LogLevel.INFO):
        log.info("nobody hears this")


def test_leaving_restores_what_was_before() -> None:
    before = structlog.get_config()
    outer, inner = io.StringIO(), io.StringIO()
    with logs_to(outer, LogLevel.INFO):
        with logs_to(inner, LogLevel.ERROR):
            log.info("too low")
            log.error("inner")
        log.info("outer")
    assert structlog.get_config() == before
    assert [json.loads(line)["event"] for line in outer.getvalue().splitlines()] == ["outer"]
    assert [json.loads(line)["event"] for line in inner.getvalue().splitlines()] == ["inner"]


def test_captured_logs_work_in_tests() -> None:
    with logs_to(io.StringIO(), LogLevel.INFO), structlog.testing.capture_logs() as lines:
        log.info("seen", pid=os.getpid())
    assert lines == [{"event": "seen", "pid": os.getpid(), "log_level": "info"}]
