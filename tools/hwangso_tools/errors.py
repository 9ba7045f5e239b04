"""How a command ends: its exit code, and the one line that says what went wrong."""

import sys
from contextlib import suppress
from enum import IntEnum


class ExitCode(IntEnum):
    """What scripts can rely on; `tools/README.md` has the table.

    STORAGE is EX_IOERR of sysexits.h; the last three are what a shell shows for a program that a
    signal ended, 128 + its number.
    """

    OK = 0
    VERDICT = 1
    """The command ran, and its own verdict is bad: messages lost, devices that did not return."""
    USAGE = 2
    """Wrong arguments or configuration, or something that is not there."""
    UNREACHABLE = 3
    """No server there, or not the one with the key that was given."""
    STORAGE = 74
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class CommandError(Exception):
    """What a user caused or can mend: one line, no traceback. The line says what to do."""

    def __init__(self, line: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(one_line(line))
        self.code = code


def one_line(text: str) -> str:
    """The text on one line, as errors on standard error are."""
    return " ".join(text.split())


def say_error(line: str) -> None:
    """Write the one line on standard error, unless that is gone, as with a closed terminal."""
    with suppress(OSError):
        print(f"hwangso: {one_line(line)}", file=sys.stderr, flush=True)


def first_of(group: BaseExceptionGroup[BaseException]) -> Exception:
    """The first error inside a group: where one line is shown, the first cause is the one. Raises
    what is no error, such as KeyboardInterrupt."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, Exception):
        raise error
    return error
