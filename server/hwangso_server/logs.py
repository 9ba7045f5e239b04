"""Where log lines go and how they look: structlog, on standard error.

    with logs_to(sys.stderr, LogLevel.INFO):
        structlog.get_logger().info("ready", foreground_port=7744)

For people on a terminal, one JSON object a line otherwise. A line names an event and gives its
facts as fields. Nothing that a stranger can cause is logged at `info` or above: a storm of
connections must not become a storm of lines. Such things are counted (`counts`) and show at `debug`
at most.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

import structlog
from structlog.typing import Processor

from hwangso_server.config import LogLevel

_SEVERITY: Final = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


@contextmanager
def logs_to(stream: TextIO, level: LogLevel) -> Iterator[None]:
    """Write log lines of at least `level` to `stream`; afterwards structlog is as it was before."""
    before = structlog.get_config()
    structlog.configure(
        processors=_processors(for_people=stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(_SEVERITY[level]),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _processors(*, for_people: bool) -> list[Processor]:
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if for_people:
        return [
            *shared,
            # repr: a value may hold what a stranger wrote, which must not steer the terminal.
            structlog.dev.ConsoleRenderer(
                colors="NO_COLOR" not in os.environ,  # https://no-color.org
                repr_native_str=True,
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    return [
        *shared,
        structlog.processors.format_exc_info,  # without local variables: those may be secrets
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


class _Lines:
    """Writes lines. What cannot be written is lost: a full disk must not end the server here."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except OSError:
            pass

    debug = info = warning = error = critical = exception = fatal = log = msg
