import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from tests.server.admission_status import EMERGENCY

from hwangso_server.accounts import Accounts, AdministrationError, DeviceListing, UserListing
from hwangso_server.admin import Administration, serve_admin
from hwangso_server.admin_messages import (
    AdmissionStatus,
    CalendarListing,
    Explained,
    Explanation,
    ServerStats,
    ServerStatus,
    Stats,
    Stop,
)
from hwangso_server.administration import (
    LocalAdministration,
    NoAnswer,
    RemoteAdministration,
    admin_call,
    administration,
    rotate_server_key,
)
from hwangso_server.admission.stage import Stage
from hwangso_server.config import Config
from hwangso_server.environment import system_environment
from hwangso_server.folder import DataFolder, DataFolderError, DataFolderInUse
from hwangso_server.keys import Keys, read_public_key
from hwangso_server.limits import ADMIN_CALL_DEADLINE_S
from hwangso_server.passwords import Passwords, run_inline
from hwangso_server.store import StoreError, open_memory, open_sqlite


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data=str(tmp_path / "data"), argon2_memory_kib=8, argon2_iterations=1)


class RunningServer(LocalAdministration):
    """As a running server behaves: it has the folder open and answers on the admin socket."""

    stopped = False
    admission = EMERGENCY
    explanation = Explanation(2.5, "BG", "BG", Stage.BUSY, "slot", "deferred", 40.5, 1)

    async def stats(self) -> ServerStats:
        return ServerStats({"sessions": 1})

    async def status(self) -> ServerStatus:
        return ServerStatus({"sessions": 1}, self.admission)

    async def set_stage(self, stage: Stage, for_s: float) -> AdmissionStatus:
        self.admission = msgspec.structs.replace(self.admission, stage=stage, pinned_left_s=for_s)
        return self.admission

    async def free_stage(self) -> AdmissionStatus:
        self.admission = msgspec.structs.replace(self.admission, pinned_left_s=None)
        return self.admission

    async def explain(self, device: int) -> Explained:
        return Explained(self.explanation if device == 7 else None)

    async def calendar(self) -> CalendarListing:
        return CalendarListing(((0, 812), (600, 5)))

    async def stop(self) -> None:
        self.stopped = True


@asynccontextmanager
async def running_server(config: Config) -> AsyncIterator[RunningServer]:
    environment = system_environment()
    passwords = Passwords(memory_kib=8, iterations=1, at_once=1, run_sync=run_inline)
    with DataFolder.open(Path(config.data)) as folder:
        async with open_memory() as store, trio.open_nursery() as nursery:
            accounts = Accounts(store, passwords, environment.clock.wall_ms)
            server = RunningServer(config, folder, accounts, environment)
            await nursery.start(serve_admin, folder.admin_socket, server)
            yield server
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def no_server(_: Config) -> AsyncIterator[None]:
    await trio.lowlevel.checkpoint()
    yield


Surroundings = Callable[[Config], AbstractAsyncContextManager[object]]


@pytest.mark.parametrize("surroundings", [no_server, running_server])
async def test_the_same_operations_with_and_without_a_server(
    config: Config, surroundings: Surroundings
) -> None:
    async with surroundings(config), administration(config) as admin:
        await use(admin)


async def use(admin: Administration) -> None:
    await admin.add_user("bob", "황소")
    await admin.add_user("alice", "secret")
    with pytest.raises((AdministrationError, StoreError), match=r"^user 'bob' exists already$"):
        await admin.add_user("bob", "other")
    await admin.disable_user("bob")
    listing = await admin.list_users("", 10)
    assert isinstance(listing, UserListing)
    assert [(user.name, user.disabled_at_ms is None) for user in listing.users] == [
        ("alice", True),
        ("bob", False),
    ]
    await admin.enable_user("bob")
    assert (await admin.list_users("alice", 10)).users[0].disabled_at_ms is None
    assert (await admin.list_users("", 1)).more
    assert await admin.list_devices("alice") == DeviceListing((), omitted=0)
    with pytest.raises(AdministrationError, match=r"^user 'alice' has no device 1$"):
        await admin.revoke_device("alice", 1)
    with pytest.raises(AdministrationError, match=r"^there is no user 'carol'$"):
        await admin.disable_user("carol")
    with pytest.raises(AdministrationError):
        await admin.add_user("dave", "\ud800")
    assert (await admin.rotate_ticket_key()).keys_held == 2
    assert (await admin.rotate_ticket_key()).keys_held == 3


async def test_without_a_server_the_work_is_on_disk_and_the_folder_free_again(
    config: Config,
) -> None:
    async with administration(config) as admin:
        await admin.add_user("alice", "secret")
        await admin.rotate_ticket_key()
        with pytest.raises(DataFolderInUse), DataFolder.open(Path(config.data)):
            pass
    with DataFolder.open(Path(config.data)) as folder:
        async with open_sqlite(folder.database) as store:
            user = await store.find_user("alice")
        environment = system_environment()
        keys = Keys.open(folder, environment.random_bytes, environment.clock.wall_ms())
    assert user is not None
    assert user.password_hash.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert len(keys.ticket_keys) == 2


async def test_a_running_server_is_asked_and_does_it(config: Config) -> None:
    async with running_server(config) as server:
        async with administration(config) as admin:
            await admin.add_user("alice", "secret")
            assert isinstance(admin, RemoteAdministration)
        listing = await server.list_users("", 10)
        assert [user.name for user in listing.users] == ["alice"]


async def test_stats_and_stop(config: Config) -> None:
    async with running_server(config) as server:
        remote = RemoteAdministration(Path(config.data) / "admin.sock")
        assert (await remote.stats()).figures == {"sessions": 1}
        await remote.stop()
        assert server.stopped


async def test_admission(config: Config) -> None:
    async with running_server(config) as server:
        remote = RemoteAdministration(Path(config.data) / "admin.sock")
        pinned = await remote.set_stage(Stage.SHIELD, 600)
        assert (pinned.stage, pinned.pinned_left_s) == (Stage.SHIELD, 600)
        assert await remote.status() == ServerStatus({"sessions": 1}, pinned)
        assert (await remote.free_stage()).pinned_left_s is None
        assert await remote.explain(7) == Explained(server.explanation)
        assert await remote.explain(8) == Explained(None)
        assert await remote.calendar() == CalendarListing(((0, 812), (600, 5)))
        with pytest.raises(AdministrationError, match=r"for_s"):
            await remote.set_stage(Stage.SHIELD, 0)


async def test_a_folder_in_use_by_no_server(config: Config) -> None:
    """Another command has it, or a server that starts or stops."""
    with DataFolder.open(Path(config.data)) as folder:
        async with administration(config) as admin:
            with pytest.raises(NoAnswer) as caught:
                await admin.disable_user("alice")
        assert str(caught.value) == (
            f"no server answers at {folder.admin_socket} (No such file or directory); "
            "if one is starting or stopping, try again"
        )


async def test_a_folder_that_cannot_be_opened(config: Config) -> None:
    inside_a_file = msgspec.structs.replace(config, data=f"{__file__}/data")
    with pytest.raises(DataFolderError, match="Not a directory"):
        async with administration(inside_a_file):
            pass


async def test_a_database_that_is_none(config: Config) -> None:
    with DataFolder.open(Path(config.data)) as folder:
        folder.database.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="not an SQLite database"):
        async with administration(config):
            pass


async def test_rotate_server_key(config: Config) -> None:
    first = rotate_server_key(config)
    second = rotate_server_key(config)
    assert first != second == read_public_key(Path(config.data) / "server.pub")
    async with running_server(config):
        with pytest.raises(DataFolderInUse):
            rotate_server_key(config)
    assert read_public_key(Path(config.data) / "server.pub") == second


# A server that answers otherwise than it should


@asynccontextmanager
async def odd_server(
    path: Path, serve: Callable[[trio.SocketStream], Awaitable[None]]
) -> AsyncIterator[None]:
    unix = trio.socket.socket(trio.socket.AF_UNIX)
    await unix.bind(str(path))
    unix.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(unix)])
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("reply", "kind", "complaint"),
    [
        (b"", NoAnswer, "went away before it answered"),
        (b'{"answer":"done"}', NoAnswer, "went away before it answered"),
        (b'{"answer":"later"}\n', AdministrationError, "gave no proper answer"),
        (b"x" * 300_000, NoAnswer, "went away before it answered"),
        (b'{"answer":"error","text":"no"}\n', AdministrationError, r"^no$"),
    ],
)
async def test_odd_answers(
    tmp_path: Path, reply: bytes, kind: type[AdministrationError], complaint: str
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        with suppress(trio.BrokenResourceError):  # the caller may have heard enough
            await stream.send_all(reply)

    path = tmp_path / "admin.sock"
    async with odd_server(path, serve):
        with pytest.raises(AdministrationError, match=complaint) as caught:
            await admin_call(path, Stats())
    assert type(caught.value) is kind


async def test_a_server_that_dies_with_the_request_unread(tmp_path: Path) -> None:
    async def serve(_: trio.SocketStream) -> None:
        await trio.testing.wait_all_tasks_blocked()  # the request is sent

    async with odd_server(tmp_path / "admin.sock", serve):
        with pytest.raises(AdministrationError, match="went away before it answered"):
            await admin_call(tmp_path / "admin.sock", Stats())


async def test_an_answer_to_something_else(tmp_path: Path) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b'{"answer":"done"}\n')

    async with odd_server(tmp_path / "admin.sock", serve):
        remote = RemoteAdministration(tmp_path / "admin.sock")
        with pytest.raises(AdministrationError, match="an answer to something else"):
            await remote.stats()


async def test_a_word_of_a_server_that_hung_up_at_once_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(b'{"answer":"error","text":"too many"}\n')

    real_connect = trio.open_unix_socket

    async def connect_and_be_late(path: Path) -> trio.SocketStream:
        stream = await real_connect(path)
        await trio.testing.wait_all_tasks_blocked()  # the server has answered and hung up
        return stream

    monkeypatch.setattr(trio, "open_unix_socket", connect_and_be_late)
    async with odd_server(tmp_path / "admin.sock", serve):
        with pytest.raises(AdministrationError, match=r"^too many$"):
            await admin_call(tmp_path / "admin.sock", Stop())


async def test_a_server_that_does_not_answer(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """The clock stands still but for one jump, made when the request has arrived."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        mock_clock.jump(ADMIN_CALL_DEADLINE_S)
        await trio.sleep_forever()

    async with odd_server(tmp_path / "admin.sock", serve):
        with pytest.raises(NoAnswer, match=r"no answer from .* within 40 s"):
            await admin_call(tmp_path / "admin.sock", Stats())


async def test_permission_denied_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def denied(_: Path) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(trio, "open_unix_socket", denied)
    with pytest.raises(AdministrationError, match=r"\(Permission denied\)"):
        await admin_call(tmp_path / "admin.sock", Stats())
