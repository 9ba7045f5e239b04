"""The `hwangso` command as it is started, and how it ends.

Everything else is imported in `main`, under its care: the commands take 0.2 s and more to import,
and Ctrl-C in that time is one line as well.
"""

import errno
import importlib
import os
import signal
import sys
from types import FrameType
from typing import Final

from hwangso_tools.errors import ExitCode, say_error

_ENDED_BY: Final = {
    signal.SIGINT: ("interrupted", ExitCode.INTERRUPTED),
    signal.SIGTERM: ("ended by SIGTERM", ExitCode.TERMINATED),
    signal.SIGHUP: ("ended by SIGHUP", ExitCode.HUNG_UP),
}
"""What is said, and the exit code."""


class Interruption:
    """Which signal asked the command to end. SIGTERM and SIGHUP come as KeyboardInterrupt, like
    Ctrl-C: Trio knows where that may be raised, and all that is open is closed on the way out."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None

    def watch(self) -> None:
        """From now on. A SIGHUP that is ignored stays so: that is how `nohup` works. SIGINT is
        not: a shell ignores it for what a script runs in the background, and it carries the
        others."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        """Once: what cleans up then is bounded, and only Ctrl-C breaks it off."""
        if self.by is None:
            self.by = signal.Signals(number)
            signal.raise_signal(signal.SIGINT)

    def explains(self, error: BaseException) -> bool:
        """Whether the error is the interruption, or that the terminal went with SIGHUP."""
        return _is_interrupt(error) or (self.by is not None and isinstance(error, OSError))


def main() -> None:
    """The console script."""
    interruption = Interruption()
    try:
        interruption.watch()
        commands = importlib.import_module("hwangso_tools.commands.tree")
        code: int = commands.run(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        if interruption.explains(error):
            said, code = _ENDED_BY[interruption.by or signal.SIGINT]
            say_error(said)
        elif isinstance(error, BrokenPipeError):  # piped into `head`: who read has read enough
            _discard_output()
            code = ExitCode.VERDICT
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _discard_output()
            say_error("no space left on the device that the output goes to")
            code = ExitCode.STORAGE
        else:
            raise
    sys.exit(code)


def _discard_output() -> None:
    """What standard output still holds is not tried again at the end of the process."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is KeyboardInterrupt; Trio delivers that inside a group."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)
