"""A whole server on real sockets: its ready line, its ends, and their order.

In process, with a signal to ourselves, where that is enough; as a child process where the process
itself matters.
"""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from tests.server.fakes import static_key

from hwangso_protocol.answer import Refuse, RefuseReason, parse_answer
from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith, LoginWith
from hwangso_protocol.events import Answered, Event, MessageReceived, PeerClosed
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Deliver,
    Enrol,
    Error,
    ErrorCode,
    Login,
    Message,
    Send,
    Sent,
    Welcome,
)
from hwangso_server import run
from hwangso_server.administration import RemoteAdministration
from hwangso_server.config import Config, Registration
from hwangso_server.folder import DataFolder, DataFolderError, DataFolderInUse
from hwangso_server.lanes import ListenError
from hwangso_server.limits import RESERVED_DESCRIPTORS
from hwangso_server.store import (
    DatabaseUnusable,
    NewMessage,
    NotADatabase,
    OnDone,
    StoreFailed,
    open_sqlite,
)
from hwangso_server.store.sqlite import SqliteStore

WITHIN_S = 30

READY = re.compile(
    r"hwangso ready foreground=127\.0\.0\.1:(\d+) background=127\.0\.0\.1:(\d+)"
    r" key=([0-9a-f]{64}) pid=(\d+) data=(.+)"
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        data=str(tmp_path / "data"),
        foreground_port=0,
        background_port=0,
        registration=Registration.OPEN,
        argon2_memory_kib=8,
        argon2_iterations=1,
    )


@dataclass
class Running:
    """A server in a task of this process."""

    line: str = ""
    ready: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)

    def announce(self, line: str) -> None:
        self.line = line
        self.ready.set()

    @property
    def ports(self) -> tuple[int, int]:
        match = READY.fullmatch(self.line)
        assert match is not None, self.line
        return int(match[1]), int(match[2])

    @property
    def key(self) -> bytes:
        match = READY.fullmatch(self.line)
        assert match is not None, self.line
        return bytes.fromhex(match[3])


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Ends with the body; the body may have ended it before."""
    server = Running()

    async def serve() -> None:
        await run.serve(config, announce=server.announce)
        server.ended.set()

    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await server.ready.wait()
            yield server
            nursery.cancel_scope.cancel()


class Phone:
    """A client's state machine on a real socket."""

    def __init__(self, stream: trio.SocketStream, connection: ClientConnection) -> None:
        self.stream = stream
        self.connection = connection
        self._events: list[Event] = []

    async def send(self, message: Message) -> None:
        self.connection.send(message)
        await self.flush()

    async def flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            await self.stream.send_all(data)

    async def until(self, kind: type[object]) -> object:
        """The next event, or message, of this kind."""
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, MessageReceived) and isinstance(event.message, kind):
                    return event.message
                if isinstance(event, kind):
                    return event
            await self.flush()
            data = await self.stream.receive_some()
            assert data, f"the connection ended without {kind.__name__}"
            self._events += self.connection.receive_data(bytes(data))


async def enrolled(server: Running, user: str, *, lane: int = 0) -> Phone:
    stream = await trio.open_tcp_stream("127.0.0.1", server.ports[lane])
    key = static_key(sum(user.encode())).public_key().public_bytes_raw()
    phone = Phone(
        stream,
        ClientConnection(
            EnrolWith(server.key, Enrol(user, "secret", "phone", key, register=True)),
            Attempt(Intent.FOREGROUND),
            os.urandom,
        ),
    )
    await phone.until(Welcome)
    return phone


def signal_ourselves(number: int = signal.SIGTERM) -> None:
    signal.raise_signal(number)


# Start


async def test_the_ready_line(config: Config) -> None:
    async with running(config) as server:
        match = READY.fullmatch(server.line)
        assert match is not None
        assert (int(match[4]), match[5]) == (os.getpid(), config.data)
        assert (Path(config.data) / "server.pub").read_text() == f"{match[3]}\n"
        assert len(set(server.ports)) == 2


async def test_single_port_mode(config: Config) -> None:
    async with running(msgspec.structs.replace(config, port=0)) as server:
        assert len(set(server.ports)) == 1
        phone = await enrolled(server, "alice")
        await phone.stream.aclose()


async def test_both_lanes_lead_to_one_server(config: Config) -> None:
    async with running(config) as server:
        alice, bob = await enrolled(server, "alice", lane=0), await enrolled(server, "bob", lane=1)
        await alice.send(Send(bytes(16), "bob", "안녕"))
        await alice.until(Sent)
        await bob.until(Deliver)
        await alice.stream.aclose()
        await bob.stream.aclose()


async def test_a_port_in_use(config: Config) -> None:
    async with running(config) as server:
        other = msgspec.structs.replace(
            config, data=config.data + "2", foreground_port=server.ports[0]
        )
        with pytest.raises(ListenError, match=r"Address already in use; choose another port$"):
            await run.serve(other)
    with DataFolder.open(Path(other.data)):
        pass  # not locked any more


async def test_a_folder_in_use(config: Config) -> None:
    async with running(config):
        with pytest.raises(DataFolderInUse):
            await run.serve(config)


async def test_a_database_that_is_none(config: Config) -> None:
    with DataFolder.open(Path(config.data)) as folder:
        folder.database.write_bytes(b"not a database" * 1_000)
    with pytest.raises(NotADatabase):
        await run.serve(config)


async def test_an_admin_socket_that_cannot_be_made(config: Config) -> None:
    with DataFolder.open(Path(config.data)) as folder:
        folder.admin_socket.mkdir()
    with pytest.raises(DataFolderError, match=r"admin\.sock"):
        await run.serve(config)


# Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_stops_it_in_order(config: Config, number: int) -> None:
    async with running(config) as server:
        alice = await enrolled(server, "alice")
        bob = await enrolled(server, "bob")
        await alice.send(Send(bytes(16), "bob", "last words"))
        signal_ourselves(number)
        await alice.until(Sent)
        assert await alice.until(PeerClosed) == PeerClosed(ByeReason.SHUTTING_DOWN)
        assert await bob.until(PeerClosed) == PeerClosed(ByeReason.SHUTTING_DOWN)
        assert await alice.stream.receive_some() == b""
        await server.ended.wait()
        for port in server.ports:
            with pytest.raises(OSError, match="connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
        for phone in (alice, bob):
            await phone.stream.aclose()
    with DataFolder.open(Path(config.data)) as folder:
        async with open_sqlite(folder.database) as store:
            user = await store.find_user("bob")
            assert user is not None
            assert (await store.page(user.id, 0, 10, 10_000)).head == 1


async def test_the_admin_socket_stops_it(config: Config) -> None:
    async with running(config) as server:
        phone = await enrolled(server, "alice")
        await RemoteAdministration(Path(config.data) / "admin.sock").stop()
        assert await phone.until(PeerClosed) == PeerClosed(ByeReason.SHUTTING_DOWN)
        await server.ended.wait()
        assert not (Path(config.data) / "admin.sock").exists()
        await phone.stream.aclose()


async def test_it_can_be_started_again(config: Config) -> None:
    async with running(config) as first:
        phone = await enrolled(first, "alice")
        signal_ourselves()
        await first.ended.wait()
        await phone.stream.aclose()
    async with running(config) as second:
        assert second.key == first.key
        stream = await trio.open_tcp_stream("127.0.0.1", second.ports[1])
        login = LoginWith(second.key, static_key(sum(b"alice")), Login(0))
        again = Phone(stream, ClientConnection(login, Attempt(Intent.BACKGROUND), os.urandom))
        answered = await again.until(Answered)
        assert isinstance(answered, Answered)
        assert isinstance(answered.answer, Welcome)
        await stream.aclose()


async def test_new_work_is_refused_while_it_stops(
    config: Config, held: list[Callable[[], None]]
) -> None:
    """A connection that was accepted before, and a session with a send on its way to the disk."""
    async with running(config) as server:
        phone = await enrolled(server, "alice")
        await phone.send(Send(bytes(16), "alice", "hi"))
        early = await trio.open_tcp_stream("127.0.0.1", server.ports[0])
        await early.send_all(b"HWNG")  # so that it is accepted
        while not held:
            await trio.lowlevel.checkpoint()
        other = await enrolled(server, "bob")  # `early` came before it
        signal_ourselves()
        connection = ClientConnection(
            EnrolWith(server.key, Enrol("x", "y", "z", bytes(32))),
            Attempt(Intent.FOREGROUND),
            os.urandom,
        )
        await refused_port(server.ports[1])
        await early.send_all(connection.data_to_send()[4:])
        answer = parse_answer(bytes(await early.receive_some()))
        assert answer is not None
        assert answer[0] == Refuse(RefuseReason.SHUTTING_DOWN)
        await other.send(Send(bytes(16), "alice", "hi"))
        error = await other.until(Error)
        assert isinstance(error, Error)
        assert error.code is ErrorCode.UNAVAILABLE
        held.pop()()
        await phone.until(Sent)
        await phone.until(PeerClosed)
        await server.ended.wait()
        for stream in (early, phone.stream, other.stream):
            await stream.aclose()


async def refused_port(port: int) -> None:
    """Wait until nobody listens any more."""
    while True:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            return
        await stream.aclose()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Each append is put here instead of being done; call it to do it."""
    held: list[Callable[[], None]] = []
    append = SqliteStore.append

    def hold(store: SqliteStore, message: NewMessage, on_done: OnDone) -> None:
        held.append(partial(append, store, message, on_done))

    monkeypatch.setattr(SqliteStore, "append", hold)
    return held


async def test_the_deadline_ends_the_wait(config: Config, held: list[Callable[[], None]]) -> None:
    async with running(msgspec.structs.replace(config, shutdown_deadline_s=0.01)) as server:
        phone = await enrolled(server, "alice")
        await phone.send(Send(bytes(16), "alice", "never stored"))
        signal_ourselves()
        await server.ended.wait()
        assert len(held) == 1
        with suppress(trio.BrokenResourceError):
            assert await phone.stream.receive_some() == b""  # no acknowledgement
        await phone.stream.aclose()


async def test_a_second_signal_ends_the_wait(
    config: Config, held: list[Callable[[], None]]
) -> None:
    async with running(msgspec.structs.replace(config, shutdown_deadline_s=3_600.0)) as server:
        phone = await enrolled(server, "alice")
        await phone.send(Send(bytes(16), "alice", "never stored"))
        while not held:
            await trio.lowlevel.checkpoint()
        signal_ourselves()
        await refused_port(server.ports[0])
        assert not server.ended.is_set()
        signal_ourselves()
        await server.ended.wait()
        await phone.stream.aclose()


# Failures


async def send_and_get_no_acknowledgement(config: Config) -> None:
    async with running(config) as server:
        phone = await enrolled(server, "alice")
        await phone.send(Send(bytes(16), "alice", "hi"))
        with trio.CancelScope(shield=True):  # the server is ending, and takes this with it
            async with phone.stream:
                received = b""
                with suppress(trio.BrokenResourceError):
                    while data := await phone.stream.receive_some():
                        received += data
                events = phone.connection.receive_data(received)
        assert not any(
            isinstance(e, MessageReceived) and isinstance(e.message, Sent) for e in events
        )
        await trio.sleep_forever()


async def test_a_store_that_fails_ends_the_server(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error leaves `serve`, not in a group, and what was not on disk is not acknowledged."""

    def fail(store: SqliteStore, _: NewMessage, on_done: OnDone) -> None:
        error = StoreFailed("the disk is gone")
        on_done(error)
        store._fail(error)

    monkeypatch.setattr(SqliteStore, "append", fail)
    with pytest.RaisesGroup(pytest.RaisesExc(StoreFailed, match=r"^the disk is gone$")):
        await send_and_get_no_acknowledgement(config)
    with DataFolder.open(Path(config.data)):
        pass  # not locked any more


# The process


CHILD = """
import sys, trio
from hwangso_server.config import Config
from hwangso_server.run import serve

async def main():
    await serve(Config(data=sys.argv[1], foreground_port=0, background_port=0),
                announce=lambda line: print(line, flush=True))

trio.run(main)
"""


async def test_sigterm_ends_the_process_with_zero(tmp_path: Path) -> None:
    with trio.fail_after(WITHIN_S):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", CHILD, str(tmp_path / "data")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        line = (await process.stdout.receive_some()).decode()
        match = READY.fullmatch(line.rstrip("\n"))
        assert match is not None
        assert int(match[4]) == process.pid
        process.terminate()
        assert await process.wait() == 0
        log = b"".join([chunk async for chunk in process.stderr])
        assert b"Traceback" not in log
        await process.stdout.aclose()
        await process.stderr.aclose()


WITHOUT_EPOLL = """
import select, trio
for name in dir(select):
    if name.lower().startswith("epoll"):
        delattr(select, name)
from hwangso_server import run
from hwangso_server.counts import Counts

class Core:
    counts = Counts()
    flush_touched = None

print(type(run._make_ground([], Core())).__name__)
"""


def test_a_system_without_epoll_gets_the_ground_with_tasks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EPOLL],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("StreamGround\n", "")


# File descriptors


def test_the_limit_of_descriptors_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(100, 5_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.append(new))
    assert run._connections_possible() == 5_000 - RESERVED_DESCRIPTORS
    assert limits[-1] == (5_000, 5_000)


def test_a_limit_that_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 2**63 - 1))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert run._connections_possible() == 256 - RESERVED_DESCRIPTORS


async def test_connections_are_never_more_than_descriptors(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is raised whatever the operator asks for, and bounds it."""
    asked: list[int] = []

    def possible() -> int:
        asked.append(1)
        return 1

    monkeypatch.setattr(run, "_connections_possible", possible)
    async with running(msgspec.structs.replace(config, connections_max=1_000)) as server:
        assert asked
        phone = await enrolled(server, "alice")
        stream = await trio.open_tcp_stream("127.0.0.1", server.ports[1])
        connection = ClientConnection(
            EnrolWith(server.key, Enrol("x", "y", "z", bytes(32))),
            Attempt(Intent.FOREGROUND),
            os.urandom,
        )
        await stream.send_all(connection.data_to_send())
        answer = parse_answer(bytes(await stream.receive_some()))
        assert answer is not None
        assert isinstance(answer[0], Refuse)
        assert answer[0].reason is RefuseReason.FULL
        await phone.send(Bye())
        await phone.stream.aclose()
        await stream.aclose()


async def test_a_database_that_is_taken_away_stops_the_server(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would go on, and messages be acknowledged into a file that nobody can find."""
    monkeypatch.setattr(run, "HOUSEKEEPING_INTERVAL_S", 0.01)
    moved = pytest.RaisesExc(DatabaseUnusable, match="moved or deleted while the server used it")
    with pytest.RaisesGroup(moved):
        async with running(config):
            await trio.Path(config.data, "messages.db").rename(Path(config.data) / "elsewhere.db")
            await trio.sleep_forever()
