"""A server as a child process: start it, learn where it listens, stop it.

    async with child_server(["--data", str(folder), "--registration", "open"]) as server:
        network = TcpNetwork(server.address)

The child never outlives its parent, however that ends: its standard input is a pipe that only the
parent holds, and `hwangso serve --until-stdin-closes` stops when that closes. Ctrl-C in a terminal
reaches the parent alone, which then stops the child in order.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import trio

from hwangso_client.address import ServerAddress
from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.machine import pin

READY_WITHIN_S: Final = 30.0
"""From start to the ready line: under a second when the machine is idle; a database that was not
closed replays its log first."""

STOP_WITHIN_S: Final = 15.0
"""From the request to stop to the end; then the child is killed. Above the server's own deadline
plus the time its store may take to close."""

OUTPUT_MAX_BYTES: Final = 65_536
"""Read of the child's standard output until its ready line, which is the first it prints."""

LOG_SHOWN_MAX_BYTES: Final = 65_536
"""The newest part of the child's log, which lives in a temporary file. The log itself is small:
the server writes nothing for what a stranger does."""

_PORTS: Final = ("--foreground-port", "--background-port")
"""Free ones, unless the arguments say otherwise."""

_READY: Final = re.compile(
    r"hwangso ready foreground=(\S+):(\d+) background=(\S+):(\d+) key=([0-9a-f]{64}) pid=(\d+)"
    r" data=(.+)"
)


@dataclass(frozen=True, slots=True)
class Ready:
    """What a server says when it is ready."""

    address: ServerAddress
    server_key: bytes
    pid: int
    data: Path


class ServerDidNotStart(CommandError):
    """The child ended, or was not ready in time; the line holds the last that it said."""


def parse_ready_line(line: str) -> Ready | None:
    """What the ready line says, None for any other line."""
    match = _READY.fullmatch(line.rstrip("\n"))
    if match is None:
        return None
    host, foreground, _, background, key, pid, data = match.groups()
    return Ready(
        ServerAddress(host.strip("[]"), int(foreground), int(background)),
        bytes.fromhex(key),
        int(pid),
        Path(data),
    )


class ChildServer:
    """A running server. Made by `child_server`."""

    def __init__(self, process: trio.Process, ready: Ready, log: IO[bytes]) -> None:
        self.address = ready.address
        self.server_key = ready.server_key
        self.pid = ready.pid
        self.data = ready.data
        self._process = process
        self._log = log

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    @property
    def log(self) -> list[str]:
        """The newest lines of its standard error."""
        return _newest_lines(self._log)

    async def wait(self) -> int:
        """Wait until it has ended, and give its exit code."""
        return await self._process.wait()

    async def stop(self) -> int:
        """Ask it to stop and wait; kill it after STOP_WITHIN_S. Gives its exit code."""
        await _stop(self._process)
        return await self.wait()

    async def kill(self) -> None:
        """End it at once, as a crash would: SIGKILL."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def child_server(
    arguments: Sequence[str], *, core: int | None = None, cwd: Path | None = None
) -> AsyncIterator[ChildServer]:
    """Run `hwangso serve` with these arguments on free ports; it has stopped when this is left.

    With `core` it stays on that core, with `cwd` it runs there: a data folder may then have a
    relative, short path, as its admin socket needs. Raises ServerDidNotStart with the child's own
    exit code.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    free = [f"{flag}=0" for flag in _PORTS if flag not in given]
    with tempfile.TemporaryFile() as log:
        process = await trio.lowlevel.open_process(
            [
                sys.executable,
                "-m",
                "hwangso_tools",
                "serve",
                "--until-stdin-closes",
                *free,
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=cwd,
            process_group=0,
        )
        try:
            if core is not None:
                pin(process.pid, core)
            yield ChildServer(process, await _ready(process, log), log)
        finally:
            with trio.CancelScope(shield=True):
                await _stop(process)
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        await pipe.aclose()


async def _ready(process: trio.Process, log: IO[bytes]) -> Ready:
    with trio.move_on_after(READY_WITHIN_S):
        ready = await _ready_line(process)
        if ready is not None:
            return ready
        code = await process.wait()
        said = _newest_lines(log)
        why = said[-1].removeprefix("hwangso: ") if said else f"it ended with exit code {code}"
        known = code in {known.value for known in ExitCode}
        raise ServerDidNotStart(
            f"the server did not start: {why}", ExitCode(code) if known else ExitCode.UNREACHABLE
        )
    raise ServerDidNotStart(
        f"the server was not ready within {READY_WITHIN_S:.0f} s", ExitCode.UNREACHABLE
    )


async def _ready_line(process: trio.Process) -> Ready | None:
    """The first ready line on its standard output, None when that ends without one."""
    if process.stdout is None:
        return None
    buffer = b""
    while len(buffer) < OUTPUT_MAX_BYTES:
        chunk = await process.stdout.receive_some()
        buffer += chunk
        for line in buffer.splitlines(keepends=True):
            if line.endswith(b"\n"):
                ready = parse_ready_line(line.decode(errors="replace"))
                if ready is not None:
                    return ready
        if not chunk:
            return None
    return None


async def _stop(process: trio.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    with trio.move_on_after(STOP_WITHIN_S):
        await process.wait()
        return
    process.kill()
    await process.wait()


def _newest_lines(log: IO[bytes]) -> list[str]:
    size = os.fstat(log.fileno()).st_size
    tail = os.pread(log.fileno(), LOG_SHOWN_MAX_BYTES, max(0, size - LOG_SHOWN_MAX_BYTES))
    return tail.decode(errors="replace").splitlines()
