"""Real servers for tests: in this process, or as a child process that can be killed.

    async with running_server(folder) as server, phone(server, "alice") as alice:
        await alice.send("bob", "안녕")
        assert (await server.stats())["stored"] == 1

Both listen on free ports and keep SQLite, keys and admin socket in `folder`. Passwords cost next to
nothing, so that a test can enrol a phone for each of its cases. To restart, stop the first server
and start the second with the first one's network: phones connect through it and find the new ports.
"""

import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import trio

from hwangso_client.address import ServerAddress
from hwangso_client.network import TcpNetwork
from hwangso_protocol.hello import Intent
from hwangso_server.administration import RemoteAdministration
from hwangso_server.config import Config, LogLevel, Registration
from hwangso_server.folder import DataFolder
from hwangso_server.logs import logs_to
from hwangso_server.run import serve
from hwangso_server.store.interface import Entry
from hwangso_server.store.sqlite import open_sqlite
from hwangso_tools.childserver import ChildServer, Ready, child_server, parse_ready_line

STARTS_AND_STOPS_WITHIN_S: Final = 30.0

Stats = Mapping[str, int | float]

QUICK: Final = Config(
    foreground_port=0,
    background_port=0,
    registration=Registration.OPEN,
    argon2_memory_kib=8,
    argon2_iterations=1,
    backoff_base_ms=50,
    backoff_cap_ms=500,
    log_level=LogLevel.DEBUG,
)

_QUICK_FLAGS: Final = (
    *("--registration", "open"),
    *("--argon2-memory-kib", "8", "--argon2-iterations", "1"),
    *("--backoff-base-ms", "50", "--backoff-cap-ms", "500"),
)


class MovingNetwork:
    """TCP to whichever server `address` names now."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        return await TcpNetwork(self.address).connect(lane)


class Reachable(Protocol):
    """What a phone needs to know of a server."""

    @property
    def server_key(self) -> bytes: ...

    @property
    def network(self) -> MovingNetwork: ...


class Server:
    """A server in this process. Made by `running_server`."""

    def __init__(self, ready: Ready, network: MovingNetwork, log: io.StringIO) -> None:
        self.address = ready.address
        self.server_key = ready.server_key
        self.data = ready.data
        self.network = network
        self.admin = RemoteAdministration(DataFolder(ready.data).admin_socket)
        self.stopped = trio.Event()
        self._log = log

    @property
    def log(self) -> Sequence[str]:
        """The lines that it has logged."""
        return self._log.getvalue().splitlines()

    async def stats(self) -> Stats:
        """What it has counted; a name that is missing has not happened."""
        return (await self.admin.stats()).figures

    async def count(self, name: str) -> int | float:
        """One of its figures."""
        return (await self.stats()).get(name, 0)

    async def until(self, condition: Callable[[Stats], bool]) -> Stats:
        """Ask until its figures are so. For what shows nowhere else; each question is a round trip,
        so this is no sleeping."""
        while not condition(stats := await self.stats()):
            pass
        return stats

    async def stop(self) -> None:
        """Stop gracefully, and return when it has."""
        if not self.stopped.is_set():
            await self.admin.stop()
            await self.stopped.wait()


@asynccontextmanager
async def running_server(
    folder: Path, *, network: MovingNetwork | None = None, **changes: Any
) -> AsyncIterator[Server]:
    """Run a server in this process; `changes` are keys of its configuration.

    Leaving stops it gracefully, and fails if it has logged an error: whatever strangers do to a
    server is counted, never logged.
    """
    config = msgspec.structs.replace(QUICK, data=str(folder), **changes)
    log = io.StringIO()
    with logs_to(log, config.log_level):
        async with trio.open_nursery() as nursery:
            with trio.fail_after(STARTS_AND_STOPS_WITHIN_S):
                server: Server = await nursery.start(_run, config, network, log)
            yield server
            with trio.fail_after(STARTS_AND_STOPS_WITHIN_S):
                await server.stop()
    errors = [line for line in server.log if json.loads(line)["level"] not in ("debug", "info")]
    assert not errors, errors


async def _run(
    config: Config,
    network: MovingNetwork | None,
    log: io.StringIO,
    *,
    task_status: trio.TaskStatus[Server],
) -> None:
    servers: list[Server] = []

    def announce(line: str) -> None:
        ready = parse_ready_line(line)
        assert ready is not None, line
        moved = _moved(network, ready.address)
        servers.append(Server(ready, moved, log))
        task_status.started(servers[0])

    try:
        await serve(config, announce=announce)
    finally:
        for server in servers:
            server.stopped.set()


class Child:
    """A server in a process of its own. Made by `running_child`."""

    def __init__(self, process: ChildServer, network: MovingNetwork) -> None:
        self.process = process
        self.server_key = process.server_key
        self.network = network


@asynccontextmanager
async def running_child(
    folder: Path, *flags: str, network: MovingNetwork | None = None
) -> AsyncIterator[Child]:
    """Run `hwangso serve` as a child process. Raises what `child_server` raises."""
    async with child_server(["--data", str(folder), *_QUICK_FLAGS, *flags]) as process:
        yield Child(process, _moved(network, process.address))


def _moved(network: MovingNetwork | None, address: ServerAddress) -> MovingNetwork:
    if network is None:
        return MovingNetwork(address)
    network.address = address
    return network


async def inbox_on_disk(folder: Path, user: str) -> Sequence[Entry]:
    """A user's whole inbox, read from the database of a server that has stopped."""
    async with open_sqlite(DataFolder(folder).database) as store:
        found = await store.find_user(user)
        assert found is not None, user
        entries: list[Entry] = []
        read = partial(store.page, found.id, limit=1000, max_body_bytes=2**30)
        while (page := await read(since=entries[-1].seq if entries else 0)).entries:
            entries += page.entries
        return entries
