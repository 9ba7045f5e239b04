"""Runs the server on real sockets: starts in one order, stops in the other.

Start: data folder (locked), keys, lanes, database, core, admin socket, the ready line.

Stop, on SIGTERM, SIGINT, SIGHUP or the admin's word, within `shutdown_deadline_s`:

1. stop accepting; refuse hellos that were accepted already, and new messages;
2. let what is on its way to the disk be acknowledged;
3. say Bye to all sessions, some at a time, and wait until their last bytes are sent;
4. close the sockets, then the database (which commits what it still has), then unlock the folder.

A second signal, or the deadline, skips to 4; none ends the process half-way. A store that fails
stops the server at once: what was not on disk was not acknowledged, and the error leaves `serve`.
"""

import os
import resource
import select
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from hwangso_protocol.hello import Intent
from hwangso_server.admin import serve_admin
from hwangso_server.admission import Stage
from hwangso_server.assembly import lanes_wanted, make_dispatcher, start_core
from hwangso_server.collector import collect_while_calm, full_collections_postponed
from hwangso_server.config import Config
from hwangso_server.core import Core
from hwangso_server.dispatcher import Dispatcher, Turn
from hwangso_server.environment import system_environment
from hwangso_server.folder import DataFolder, DataFolderError
from hwangso_server.keys import Keys
from hwangso_server.lanes import Lane, ListenError, open_lane
from hwangso_server.limits import HOUSEKEEPING_INTERVAL_S, RESERVED_DESCRIPTORS
from hwangso_server.live_administration import LiveAdministration
from hwangso_server.processor import RealProcessor, SlowedProcessor
from hwangso_server.sockets import EpollGround, SocketGround, StreamGround
from hwangso_server.stopping import Stop, stop_signals
from hwangso_server.store.interface import DatabaseUnusable, StoreFailed
from hwangso_server.store.sqlite import open_sqlite

E = TypeVar("E", bound=Exception)

log: FilteringBoundLogger = structlog.get_logger()


async def serve(config: Config, *, announce: Callable[[str], None] = print) -> None:
    """Serve until told to stop. `announce` gets the ready line, which scripts may parse.

    Raises DataFolderError, ListenError or StoreFailed, each with one clear line.
    """
    try:
        async with stop_signals() as stop:
            await _serve(config, announce, stop)
    except* (DataFolderError, ListenError, StoreFailed) as failed:
        failure = _first(failed)
    else:
        return
    raise failure


async def _serve(config: Config, announce: Callable[[str], None], stop: Stop) -> None:
    environment = system_environment()
    with ExitStack() as open_things:
        open_things.enter_context(full_collections_postponed())
        folder = open_things.enter_context(DataFolder.open(Path(config.data)))
        keys = Keys.open(folder, environment.random_bytes, environment.clock.wall_ms())
        lanes = _open_lanes(config, open_things)
        connections_max = _connections_max(config)
        core: Core | None = None

        def flush() -> None:
            if core is not None:
                core.flush_touched()

        async with (
            open_sqlite(folder.database, on_batch_end=flush) as store,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(store.wait_failed)
            await nursery.start(_watch_database, folder.database)
            core = await start_core(
                nursery,
                config,
                store=store,
                keys=keys,
                environment=environment,
                connections_max=connections_max,
            )
            nursery.start_soon(collect_while_calm, partial(_is_calm, core))
            handler = LiveAdministration(core, keys, stop.asked)
            await nursery.start(serve_admin, folder.admin_socket, handler)
            with _make_ground(lanes, core) as ground:
                async with trio.open_nursery() as serving:
                    await serving.start(ground.run)
                    dispatcher = _make_dispatcher(core, ground, connections_max)
                    serving.start_soon(dispatcher.run)
                    announce(_ready_line(config, lanes, keys))
                    await stop.asked.wait()
                    await _say_goodbye(core, dispatcher, ground, stop)
                    serving.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        log.info("stopped", **core.counts.snapshot())


def _make_dispatcher(core: Core, ground: SocketGround, connections_max: int) -> Dispatcher:
    slowed_to = core.config.slowed_to
    return make_dispatcher(
        core,
        ground,
        RealProcessor() if slowed_to is None else SlowedProcessor(slowed_to),
        connections_max=connections_max,
        turn=None if slowed_to is None else Turn.of_modelled(slowed_to),
    )


async def _say_goodbye(
    core: Core, dispatcher: Dispatcher, ground: SocketGround, stop: Stop
) -> None:
    log.info("stopping", sessions=len(core.presence))
    dispatcher.close()
    async with trio.open_nursery() as saying_goodbye:
        saying_goodbye.start_soon(_cancel_when, stop.hurry, saying_goodbye.cancel_scope)
        with trio.move_on_after(core.config.shutdown_deadline_s):
            await core.say_goodbye()
            await ground.wait_empty()
        saying_goodbye.cancel_scope.cancel()


def _is_calm(core: Core) -> bool:
    return core.admission.stage is Stage.NORMAL


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _watch_database(
    path: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Fail when the database is not the file that was opened: SQLite would go on writing into one
    that nobody can find any more, and acknowledge messages into it."""
    file = trio.Path(path)
    opened = await file.stat()
    task_status.started()
    while True:
        await trio.sleep(HOUSEKEEPING_INTERVAL_S)
        try:
            found = await file.stat()
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (opened.st_dev, opened.st_ino):
            raise DatabaseUnusable(
                f"{path}: moved or deleted while the server used it; put it back, or restore a "
                "backup, before you start the server again"
            )


def _make_ground(lanes: list[Lane], core: Core) -> SocketGround:
    if hasattr(select, "epoll"):
        return EpollGround(lanes, core.counts)
    return StreamGround(lanes, core.counts, core.flush_touched)


def _connections_max(config: Config) -> int:
    """What the operator allows, as far as there are file descriptors for it."""
    possible = _connections_possible()
    return min(config.connections_max or possible, possible)


def _connections_possible() -> int:
    """Raise the limit of file descriptors as far as allowed; what it leaves for connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS may allow an "unlimited" that it then refuses
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(limit - RESERVED_DESCRIPTORS, 1)


def _open_lanes(config: Config, open_things: ExitStack) -> list[Lane]:
    lanes = []
    for intent in lanes_wanted(config):
        lane = open_lane(config.host, _port(config, intent), intent)
        open_things.enter_context(closing(lane.listener))
        lanes.append(lane)
    return lanes


def _port(config: Config, intent: Intent | None) -> int:
    if config.port is not None:
        return config.port
    return config.background_port if intent is Intent.BACKGROUND else config.foreground_port


def _ready_line(config: Config, lanes: list[Lane], keys: Keys) -> str:
    """One line of `name=value`; `data`, which may hold spaces, is the last."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    foreground, background = lanes[0].port, lanes[-1].port
    return (
        f"hwangso ready foreground={host}:{foreground} background={host}:{background}"
        f" key={keys.public.hex()} pid={os.getpid()} data={Path(config.data).absolute()}"
    )


def _first(group: BaseExceptionGroup[E]) -> E:
    """The first failure; those after it are its consequences."""
    for exception in group.exceptions:
        return _first(exception) if isinstance(exception, BaseExceptionGroup) else exception
    raise AssertionError("an exception group is never empty")
