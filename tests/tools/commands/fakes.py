"""A running server, as far as a command can tell: it answers on the admin socket of `data`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from hwangso_server.admin import JsonLines
from hwangso_server.admin_messages import Answer, Request
from hwangso_server.folder import DataFolder
from hwangso_tools.commands.tree import run


@asynccontextmanager
async def answering(data: Path, answer: Answer) -> AsyncIterator[list[Request]]:
    """Gives `answer` to whatever it is asked; yields what that was."""
    asked: list[Request] = []

    async def serve(stream: trio.SocketStream) -> None:
        lines = JsonLines(stream)
        while (line := await lines.receive()) is not None:
            asked.append(msgspec.json.decode(line, type=Request))
            await lines.send(answer)

    unix = trio.socket.socket(trio.socket.AF_UNIX)
    await unix.bind(str(DataFolder(data).admin_socket))
    unix.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(unix)])
        yield asked
        nursery.cancel_scope.cancel()


async def command(*arguments: str) -> int:
    """Run in a thread: a command runs a Trio of its own."""
    return await trio.to_thread.run_sync(run, arguments)
