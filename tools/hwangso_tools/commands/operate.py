"""What the operator's commands have in common: which data folder, and which errors are theirs."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import trio
from cyclopts import Parameter

from hwangso_server.accounts import AdministrationError
from hwangso_server.admin import Administration
from hwangso_server.administration import NoAnswer, RemoteAdministration, administration
from hwangso_server.config import Config, ConfigError, load_config
from hwangso_server.folder import DataFolder, DataFolderError
from hwangso_server.passwords import TooManyWaiting
from hwangso_server.store.interface import StoreError, StoreFailed
from hwangso_tools.errors import CommandError, ExitCode, first_of

T = TypeVar("T")

KNOWN_ERRORS = (AdministrationError, ConfigError, DataFolderError, StoreError, TooManyWaiting)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Whose data to work on."""

    data: Path | None = None
    """Data folder of the server [hwangso-data]."""
    config: Path | None = None
    """Configuration file of the server, TOML."""

    def load(self) -> Config:
        """The configuration, as the server reads it. Raises ConfigError."""
        return load_config(self.config, os.environ, {"data": self.data})


def administer(where: Where | None, work: Callable[[Administration], Awaitable[T]]) -> T:
    """Do `work` through the running server, or on the folder itself where none runs.

    Raises CommandError.
    """

    async def run() -> T:
        async with administration((where or Where()).load()) as admin:
            return await work(admin)

    return carry_out(run)


def ask_running(where: Where | None, work: Callable[[RemoteAdministration], Awaitable[T]]) -> T:
    """Do `work` through the server that runs on the folder. Raises CommandError, with the code
    UNREACHABLE when no server answers."""

    async def run() -> T:
        folder = DataFolder(Path((where or Where()).load().data))
        try:
            return await work(RemoteAdministration(folder.admin_socket))
        except NoAnswer as error:
            raise CommandError(str(error), ExitCode.UNREACHABLE) from error

    return carry_out(run)


def carry_out(run: Callable[[], Awaitable[T]]) -> T:
    """Run in Trio; what an operator can mend becomes a CommandError."""
    try:
        return trio.run(run)
    except (*KNOWN_ERRORS, ExceptionGroup) as error:
        cause = first_of(error) if isinstance(error, ExceptionGroup) else error
        if not isinstance(cause, KNOWN_ERRORS):
            raise
        broken = isinstance(cause, StoreFailed)
        raise CommandError(str(cause), ExitCode.STORAGE if broken else ExitCode.USAGE) from error


def utc(at_ms: int | None) -> str:
    """A time for people, or nothing."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
