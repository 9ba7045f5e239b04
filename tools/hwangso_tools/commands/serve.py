"""`hwangso serve`: run a server until SIGTERM, Ctrl-C or `hwangso stop`."""

import errno
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import Parameter

from hwangso_server.config import ConfigError, load_config
from hwangso_server.folder import DataFolderError
from hwangso_server.lanes import ListenError
from hwangso_server.logs import logs_to
from hwangso_server.run import serve as run_server
from hwangso_server.store.interface import StoreError
from hwangso_tools.errors import CommandError, ExitCode, first_of

_STDIN: Final = 0
_STDIN_NEEDED: Final = "--until-stdin-closes needs a pipe or a terminal as standard input"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServeFlags:
    """A flag for each key of the server's configuration; without it the file's value counts."""

    host: str | None = None
    """Address to listen on [127.0.0.1]."""
    foreground_port: int | None = None
    """TCP port of the foreground lane, 0 for any free one [7744]."""
    background_port: int | None = None
    """TCP port of the background lane, 0 for any free one [7745]."""
    port: int | None = None
    """Single-port mode: both intents on this port."""
    data: Path | None = None
    """Data folder: keys, accounts and messages [hwangso-data]."""
    registration: str | None = None
    """Who makes accounts: closed, the operator; open, also devices that enrol [closed]."""
    devices_per_user_max: int | None = None
    """Devices that a user may have enrolled [16]."""
    inbox_retained: int | None = None
    """Newest messages kept for devices that have not come for them [10000]."""
    retry_window_s: int | None = None
    """How long a send that is tried again is known [86400, a day]."""
    connections_max: int | None = None
    """Connections at once [as many as file descriptors allow]."""
    keepalive_s: int | None = None
    """A device sends something at least this often [60]."""
    ticket_lifetime_s: int | None = None
    """How long a resume ticket is good [604800, a week]."""
    backoff_base_ms: int | None = None
    """First back-off of a reconnecting device [500]."""
    backoff_cap_ms: int | None = None
    """Longest back-off [16000]."""
    shutdown_deadline_s: float | None = None
    """How long a graceful stop may take [5]."""
    control: str | None = None
    """Whether admission controls the load: on, off [on]."""
    without: tuple[str, ...] | None = None
    """Mechanisms of the control to switch off: see server/README.md. May be given several times."""
    slowed_to: float | None = None
    """Behave as a slower machine that does so many resumes a second [as fast as it is]."""
    argon2_memory_kib: int | None = None
    """Memory of one password hash [19456]."""
    argon2_iterations: int | None = None
    """Passes of one password hash [2]."""
    enrolments_at_once: int | None = None
    """Passwords checked at the same time, a thread each [2]."""
    log_level: str | None = None
    """Least severe log lines to write: debug, info, warning or error [info]."""


def serve(
    flags: ServeFlags | None = None,
    *,
    config: Path | None = None,
    until_stdin_closes: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Run a server until SIGTERM, Ctrl-C or `hwangso stop`.

    Prints one line when it is ready: `hwangso ready foreground=HOST:PORT background=HOST:PORT
    key=HEX pid=PID data=PATH`. Each flag can also stand in the configuration file
    (keepalive_s = 30) or in the environment (HWANGSO_KEEPALIVE_S=30); the environment wins over the
    file, flags win over both.

    Parameters
    ----------
    flags
        What to set.
    config
        Configuration file, TOML.
    until_stdin_closes
        Also stop when standard input ends: for programs that start a server as their child, so
        that it never outlives them.
    """
    if until_stdin_closes and sys.stdin is None:  # its descriptor may be any file by now
        raise CommandError(_STDIN_NEEDED)
    settings = asdict(flags or ServeFlags())
    try:
        loaded = load_config(config, os.environ, settings)
        with logs_to(sys.stderr, loaded.log_level):
            run = partial(run_server, loaded, announce=_announce)
            if until_stdin_closes:
                trio.run(_serve_until_stdin_closes, run)
            else:
                trio.run(run)
    except (ConfigError, DataFolderError, ListenError, StoreError, ExceptionGroup) as error:
        raise _explained(error) from error


def _announce(ready_line: str) -> None:
    """Print the ready line; a server that nobody can find does not run. Unbuffered, so that nothing
    is left for the end of the process to fail with."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        os.write(sys.stdout.fileno(), f"{ready_line}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise CommandError(
            f"the ready line cannot be written to standard output: {error.strerror}"
        ) from None


async def _serve_until_stdin_closes(run: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_terminate_when_stdin_closes)
        await run()
        nursery.cancel_scope.cancel()


async def _terminate_when_stdin_closes() -> None:
    while True:
        try:
            await trio.lowlevel.wait_readable(_STDIN)
        except PermissionError:  # a file or /dev/null: epoll watches only what can wait
            raise CommandError(_STDIN_NEEDED) from None
        if not os.read(_STDIN, 4_096):
            signal.raise_signal(signal.SIGTERM)  # the same way out as for every other stop
            return


def _explained(error: Exception) -> Exception:
    """The error as one line for the operator, or as it is if it is a bug of ours."""
    cause = first_of(error) if isinstance(error, ExceptionGroup) else error
    if isinstance(cause, ConfigError | DataFolderError | ListenError):
        return CommandError(str(cause), ExitCode.USAGE)
    if isinstance(cause, CommandError):
        return cause
    if isinstance(cause, StoreError):
        return CommandError(str(cause), ExitCode.STORAGE)
    return error
