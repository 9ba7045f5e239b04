"""Administration for commands: the same operations whether a server runs or not.

    async with administration(config) as admin:
        await admin.add_user("alice", password)

The lock of the data folder decides. Free: the folder and its store are opened here. Taken: the
server that has it is asked through its admin socket, so that it ends sessions at once.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from hwangso_server.accounts import (
    Accounts,
    AdministrationError,
    DeviceListing,
    UserListing,
)
from hwangso_server.admin import Administration, JsonLines, LineTooLong
from hwangso_server.admin_messages import (
    AddUser,
    AdminError,
    AdmissionStatus,
    Answer,
    CalendarListing,
    DisableUser,
    Done,
    EnableUser,
    Explain,
    Explained,
    FreeStage,
    ListDevices,
    ListUsers,
    Request,
    RevokeDevice,
    RotateTicketKey,
    ServerStats,
    ServerStatus,
    SetStage,
    ShowCalendar,
    Stats,
    Status,
    Stop,
    TicketKeyRotated,
)
from hwangso_server.admission.stage import Stage
from hwangso_server.config import Config
from hwangso_server.environment import Environment, system_environment
from hwangso_server.folder import DataFolder, DataFolderInUse
from hwangso_server.keys import Keys
from hwangso_server.limits import ADMIN_CALL_DEADLINE_S
from hwangso_server.passwords import Passwords
from hwangso_server.store import open_sqlite
from hwangso_server.tickets import Tickets

A = TypeVar("A", bound=Answer)


class NoAnswer(AdministrationError):
    """No server is there to ask, or it did not answer."""


@asynccontextmanager
async def administration(config: Config) -> AsyncIterator[Administration]:
    """Administer the data folder of `config`.

    Raises DataFolderError, StoreError or AdministrationError, each with one line for the operator.
    """
    async with AsyncExitStack() as stack:
        folder_path = Path(config.data)
        admin: Administration
        try:
            folder = stack.enter_context(DataFolder.open(folder_path))
        except DataFolderInUse:
            admin = RemoteAdministration(DataFolder(folder_path).admin_socket)
        else:
            store = await stack.enter_async_context(open_sqlite(folder.database))
            passwords = Passwords(
                memory_kib=config.argon2_memory_kib,
                iterations=config.argon2_iterations,
                at_once=1,
            )
            environment = system_environment()
            accounts = Accounts(store, passwords, environment.clock.wall_ms)
            admin = LocalAdministration(config, folder, accounts, environment)
        yield admin


def rotate_server_key(config: Config) -> bytes:
    """Make a new static key while no server runs, and return its public half, for every client.

    Raises DataFolderError; DataFolderInUse when the server has to be stopped first.
    """
    environment = system_environment()
    with DataFolder.open(Path(config.data)) as folder:
        keys = Keys.open(folder, environment.random_bytes, environment.clock.wall_ms())
        keys.rotate_static()
        return keys.public


class LocalAdministration:
    """Does the operations itself, on an open folder and store. No server runs meanwhile."""

    def __init__(
        self,
        config: Config,
        folder: DataFolder,
        accounts: Accounts,
        environment: Environment,
    ) -> None:
        self._config = config
        self._folder = folder
        self._accounts = accounts
        self._environment = environment

    async def add_user(self, name: str, password: str) -> None:
        await self._accounts.add_user(name, password)

    async def list_users(self, after: str, limit: int) -> UserListing:
        return await self._accounts.list_users(after, limit)

    async def disable_user(self, name: str) -> None:
        await self._accounts.disable_user(name)

    async def enable_user(self, name: str) -> None:
        await self._accounts.enable_user(name)

    async def list_devices(self, user: str) -> DeviceListing:
        return await self._accounts.list_devices(user)

    async def revoke_device(self, user: str, device: int) -> None:
        await self._accounts.revoke_device(user, device)

    async def rotate_ticket_key(self) -> TicketKeyRotated:
        await trio.lowlevel.checkpoint()
        now_ms = self._environment.clock.wall_ms()
        keys = Keys.open(self._folder, self._environment.random_bytes, now_ms)
        tickets = Tickets(keys, self._config.ticket_lifetime_s * 1000)
        keys.rotate_ticket_key(now_ms, tickets.longest_lifetime_ms)
        return TicketKeyRotated(len(keys.ticket_keys))


class RemoteAdministration:
    """Asks the server behind an admin socket. Methods raise AdministrationError."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def add_user(self, name: str, password: str) -> None:
        await self._ask(AddUser(name, password), Done)

    async def list_users(self, after: str, limit: int) -> UserListing:
        return await self._ask(ListUsers(after, limit), UserListing)

    async def disable_user(self, name: str) -> None:
        await self._ask(DisableUser(name), Done)

    async def enable_user(self, name: str) -> None:
        await self._ask(EnableUser(name), Done)

    async def list_devices(self, user: str) -> DeviceListing:
        return await self._ask(ListDevices(user), DeviceListing)

    async def revoke_device(self, user: str, device: int) -> None:
        await self._ask(RevokeDevice(user, device), Done)

    async def rotate_ticket_key(self) -> TicketKeyRotated:
        return await self._ask(RotateTicketKey(), TicketKeyRotated)

    async def stats(self) -> ServerStats:
        return await self._ask(Stats(), ServerStats)

    async def status(self) -> ServerStatus:
        return await self._ask(Status(), ServerStatus)

    async def set_stage(self, stage: Stage, for_s: float) -> AdmissionStatus:
        return await self._ask(SetStage(stage, for_s), AdmissionStatus)

    async def free_stage(self) -> AdmissionStatus:
        return await self._ask(FreeStage(), AdmissionStatus)

    async def explain(self, device: int) -> Explained:
        return await self._ask(Explain(device), Explained)

    async def calendar(self) -> CalendarListing:
        return await self._ask(ShowCalendar(), CalendarListing)

    async def stop(self) -> None:
        await self._ask(Stop(), Done)

    async def _ask(self, request: Request, expected: type[A]) -> A:
        answer = await admin_call(self._socket, request)
        if not isinstance(answer, expected):
            raise AdministrationError("the server gave an answer to something else")
        return answer


async def admin_call(path: Path, request: Request) -> Answer:
    """Send one request to the server behind an admin socket and return its answer.

    Raises AdministrationError when the server refuses (with its line), NoAnswer when it is not
    there, or does not answer within ADMIN_CALL_DEADLINE_S: in the last case the request may still
    be carried out.
    """
    line: bytes | None = None
    with trio.move_on_after(ADMIN_CALL_DEADLINE_S) as scope:
        try:
            async with await trio.open_unix_socket(path) as stream:
                lines = JsonLines(stream)
                with suppress(trio.BrokenResourceError):
                    await lines.send(request)  # hung up on already, perhaps with a word why
                line = await lines.receive()
        except UnicodeEncodeError:
            raise AdministrationError("names and passwords must be Unicode text") from None
        except OSError as error:
            raise NoAnswer(
                f"no server answers at {path} ({error.strerror}); if one is starting or "
                "stopping, try again"
            ) from None
        except (trio.BrokenResourceError, LineTooLong):
            line = None
    if scope.cancelled_caught:
        raise NoAnswer(f"no answer from {path} within {ADMIN_CALL_DEADLINE_S:.0f} s")
    if line is None:
        raise NoAnswer(f"the server at {path} went away before it answered")
    try:
        answer: Answer = msgspec.json.decode(line, type=Answer)
    except msgspec.MsgspecError as error:
        raise AdministrationError(f"the server at {path} gave no proper answer: {error}") from None
    if isinstance(answer, AdminError):
        raise AdministrationError(answer.text)
    return answer
