"""The admin socket: how commands talk to a running server. Unix, mode 0600, in the data folder.

Both sides send JSON objects, one a line: a request, then its answer, as often as wanted.

    {"request":"disable_user","name":"alice"}
    {"answer":"done"}

`admin_messages` has all requests and answers, `administration` is the client. Whoever can connect
may do everything: the rights of the file are the protection.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from hwangso_server.accounts import (
    SHOWN_MAX_CHARS,
    AdministrationError,
    DeviceListing,
    UserListing,
)
from hwangso_server.admin_messages import (
    REQUEST_NAMES,
    AddUser,
    AdminError,
    AdmissionStatus,
    Answer,
    CalendarListing,
    DataRequest,
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
    RunningRequest,
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
from hwangso_server.folder import DataFolderError, explained
from hwangso_server.limits import (
    ADMIN_BACKLOG,
    ADMIN_CONNECTIONS_MAX,
    ADMIN_IDLE_TIMEOUT_S,
    ADMIN_LINE_MAX_BYTES,
    ADMIN_READ_BYTES,
    ADMIN_REQUEST_DEADLINE_S,
)
from hwangso_server.passwords import TooManyWaiting
from hwangso_server.store.interface import StoreError

log: FilteringBoundLogger = structlog.get_logger()


class Administration(Protocol):
    """What can be done whether a server runs or not.

    Methods raise AdministrationError, StoreError, DataFolderError or TooManyWaiting; each text is
    one line for the operator.
    """

    async def add_user(self, name: str, password: str) -> None: ...

    async def list_users(self, after: str, limit: int) -> UserListing: ...

    async def disable_user(self, name: str) -> None: ...

    async def enable_user(self, name: str) -> None: ...

    async def list_devices(self, user: str) -> DeviceListing: ...

    async def revoke_device(self, user: str, device: int) -> None: ...

    async def rotate_ticket_key(self) -> TicketKeyRotated: ...


class AdminHandler(Administration, Protocol):
    """What a running server can do besides."""

    async def stats(self) -> ServerStats: ...

    async def status(self) -> ServerStatus: ...

    async def set_stage(self, stage: Stage, for_s: float) -> AdmissionStatus: ...

    async def free_stage(self) -> AdmissionStatus: ...

    async def explain(self, device: int) -> Explained: ...

    async def calendar(self) -> CalendarListing: ...

    async def stop(self) -> None:
        """Begin to shut down, and return at once: the answer goes out before the socket closes."""


class LineTooLong(Exception):
    """The peer sent more than ADMIN_LINE_MAX_BYTES without an end of line."""


class JsonLines:
    """Lines on a stream, bounded in length."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._incoming = bytearray()

    async def receive(self) -> bytes | None:
        """The next line without its end, None at the end of the stream. Raises LineTooLong."""
        incoming = self._incoming
        while (end := incoming.find(b"\n", 0, ADMIN_LINE_MAX_BYTES + 1)) < 0:
            if len(incoming) > ADMIN_LINE_MAX_BYTES:
                raise LineTooLong
            data = await self._stream.receive_some(ADMIN_READ_BYTES)
            if not data:
                return None
            incoming += data
        line = bytes(incoming[:end])
        del incoming[: end + 1]
        return line

    async def send(self, message: Request | Answer) -> None:
        """Send one line."""
        await self._stream.send_all(msgspec.json.encode(message) + b"\n")


async def serve_admin(
    path: Path,
    handler: AdminHandler,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests at the socket `path` until cancelled; start it with `nursery.start`.

    Only the owner of the data folder may call this: a socket that lies there is a dead server's and
    is replaced. Raises DataFolderError when the socket cannot be made.
    """
    with _listening(path) as listener:
        task_status.started()
        await trio.serve_listeners(_Server(handler).serve, [listener])


class _Server:
    def __init__(self, handler: AdminHandler) -> None:
        self._handler = handler
        self._connections = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection."""
        self._connections += 1
        try:
            lines = JsonLines(stream)
            if self._connections > ADMIN_CONNECTIONS_MAX:
                await _send(lines, AdminError("too many admin connections, try again later"))
            else:
                await self._converse(lines)
        except trio.BrokenResourceError:
            pass  # the command has gone
        finally:
            self._connections -= 1

    async def _converse(self, lines: JsonLines) -> None:
        while True:
            line: bytes | None = None
            with trio.move_on_after(ADMIN_IDLE_TIMEOUT_S):
                try:
                    line = await lines.receive()
                except LineTooLong:
                    await lines.send(
                        AdminError(f"a line has at most {ADMIN_LINE_MAX_BYTES:,} bytes")
                    )
            if line is None:
                return
            if not await _send(lines, await self._answer(line)):
                return

    async def _answer(self, line: bytes) -> Answer:
        try:
            request: Request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return AdminError(_complaint(line, error))
        with trio.move_on_after(ADMIN_REQUEST_DEADLINE_S):
            try:
                return await _carry_out(self._handler, request)
            except TooManyWaiting:
                return AdminError("too many passwords wait to be hashed, try again later")
            except (AdministrationError, StoreError, DataFolderError) as refused:
                return AdminError(str(refused))
            except Exception:
                # A bug in one request must not end the sessions of everybody.
                log.exception("admin request failed", request=type(request).__name__)
                return AdminError("internal error, see the server's log")
        return AdminError(
            f"not finished within {ADMIN_REQUEST_DEADLINE_S:.0f} s, look what happened"
        )


async def _carry_out(handler: AdminHandler, request: Request) -> Answer:
    if isinstance(request, DataRequest):
        return await _work_on_data(handler, request)
    return await _ask_running(handler, request)


async def _work_on_data(handler: Administration, request: DataRequest) -> Answer:
    match request:
        case AddUser(name, password):
            await handler.add_user(name, password)
        case DisableUser(name):
            await handler.disable_user(name)
        case EnableUser(name):
            await handler.enable_user(name)
        case RevokeDevice(user, device):
            await handler.revoke_device(user, device)
        case ListUsers(after, limit):
            return await handler.list_users(after, limit)
        case ListDevices(user):
            return await handler.list_devices(user)
        case RotateTicketKey():
            return await handler.rotate_ticket_key()
    return Done()


async def _ask_running(handler: AdminHandler, request: RunningRequest) -> Answer:
    match request:
        case Stats():
            return await handler.stats()
        case Status():
            return await handler.status()
        case SetStage(stage, for_s):
            return await handler.set_stage(stage, for_s)
        case FreeStage():
            return await handler.free_stage()
        case Explain(device):
            return await handler.explain(device)
        case ShowCalendar():
            return await handler.calendar()
        case Stop():
            await handler.stop()
    return Done()


class _Named(msgspec.Struct):
    """As much as is common to the requests of all versions."""

    request: str


def _complaint(line: bytes, error: Exception) -> str:
    """What is wrong with a request. A newer command asks for what this server has not heard of."""
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):
        name = msgspec.json.decode(line, type=_Named).request
        if name not in REQUEST_NAMES:
            return f"this server knows no request {name!r:.{SHOWN_MAX_CHARS}}: another version?"
    return f"not a request: {error}"


async def _send(lines: JsonLines, answer: Answer) -> bool:
    """Whether the peer took it in time."""
    with trio.move_on_after(ADMIN_IDLE_TIMEOUT_S):
        await lines.send(answer)
        return True
    return False


@contextmanager
def _listening(path: Path) -> Iterator[trio.SocketListener]:
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)  # from the first moment nobody else can connect
        try:
            unix.bind(os.fspath(path))
        finally:
            os.umask(mask)
        unix.listen(ADMIN_BACKLOG)
    except OSError as error:
        unix.close()
        raise explained(error, path) from None
    try:
        yield trio.SocketListener(trio.socket.from_stdlib_socket(unix))
    finally:
        unix.close()
        path.unlink(missing_ok=True)
