"""A real server and phones on screens that a test can press keys on and read.

    async def play() -> None:
        async with held(make_link(server, "alice", folder)) as alice:
            await alice.until("READY")
            await alice.press("enter")

    asyncio.run(play())

Textual runs on asyncio, so these tests are plain functions; the server is a process of its own.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import trio
from textual.pilot import Pilot

from hwangso_client.config import DeviceConfig
from hwangso_client.network import TcpNetwork
from hwangso_client.profile import FileProfile
from hwangso_tools.childserver import Ready, parse_ready_line
from hwangso_tools.phone.app import PhoneApp
from hwangso_tools.phone.files import ChatsFile
from hwangso_tools.phone.guest import trio_beside
from hwangso_tools.phone.link import Files, Link

PASSWORD: Final = "correct horse"
WITHIN_S: Final = 30.0
WIDE: Final = (80, 24)
NARROW: Final = (40, 20)

_SERVE: Final = (
    *(sys.executable, "-m", "hwangso_tools", "serve", "--until-stdin-closes"),
    *("--foreground-port=0", "--background-port=0", "--registration=open"),
    *("--argon2-memory-kib=8", "--argon2-iterations=1"),
    *("--backoff-base-ms=50", "--backoff-cap-ms=500"),
)


@contextmanager
def served(folder: Path) -> Iterator[Ready]:
    """A server as a child process; it has stopped when this is left."""
    with (
        (folder / "serve.log").open("wb") as log,
        subprocess.Popen(
            [*_SERVE, f"--data={folder / 'data'}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            process_group=0,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            ready = parse_ready_line(process.stdout.readline())
            assert ready is not None, (folder / "serve.log").read_text()
            yield ready
        finally:
            process.terminate()


class Hand:
    """Somebody with a phone."""

    def __init__(self, app: PhoneApp, pilot: Pilot[None]) -> None:
        self.app = app
        app.animation_level = "none"
        self.press = pilot.press
        self._pilot = pilot

    @property
    def shown(self) -> str:
        """The screen, as the terminal would show it."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)

    @property
    def words(self) -> str:
        """The same on one line: where lines are wrapped does not matter."""
        return " ".join(self.shown.split())

    async def type(self, text: str) -> None:
        """Key by key, then Enter."""
        names = {" ": "space", "?": "question_mark"}
        await self.press(*(names.get(char, char) for char in text), "enter")

    async def until(self, *wanted: str, gone: str = "\0") -> None:
        """Wait until the screen says all of this, and no more what is to be gone."""

        def said() -> bool:
            words = self.words
            return all(each in words for each in wanted) and gone not in words

        await self.when(said)

    async def when(self, condition: Callable[[], bool]) -> None:
        """Wait until that is so."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not condition():
                    await self._pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(self.shown) from None

    async def chat_with(self, name: str) -> None:
        """From wherever the phone is."""
        await self.press("ctrl+n")
        await self.until("Chat with whom?")
        await self.type(name)
        await self.until(f"Chat with {name}", gone="Chat with whom?")


def make_link(
    server: Ready, user: str, folder: Path, *, password: str = PASSWORD, register: bool = True
) -> Link:
    """A phone of this user; its files are in the folder."""
    path = folder / f"{user}.phone"
    config = DeviceConfig(server.server_key, user, password, register=register)
    return Link(config, TcpNetwork(server.address), Files(FileProfile(path), ChatsFile(path)))


@asynccontextmanager
async def held(link: Link, *, size: tuple[int, int] = WIDE) -> AsyncIterator[Hand]:
    """The phone, switched on and on a screen."""
    app = PhoneApp(link)
    async with (
        trio_beside(link.run, link.stop),
        app.run_test(size=size, notifications=True) as pilot,
    ):
        yield Hand(app, pilot)


@asynccontextmanager
async def two_held(
    first: Link, second: Link, *, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[Hand, Hand]]:
    """Two phones. A loop can have one guest, which here is both."""
    both = Both(first, second)
    one, two = PhoneApp(first), PhoneApp(second)
    async with (
        trio_beside(both.run, both.stop),
        one.run_test(size=size, notifications=True) as pilot_of_one,
        two.run_test(size=size, notifications=True) as pilot_of_two,
    ):
        yield Hand(one, pilot_of_one), Hand(two, pilot_of_two)


class Both:
    """Two links as one guest."""

    def __init__(self, first: Link, second: Link) -> None:
        self._links = (first, second)

    async def run(self, started: Callable[[], None]) -> None:
        async with trio.open_nursery() as nursery:
            for link in self._links:
                begun = trio.Event()
                nursery.start_soon(link.run, begun.set)
                await begun.wait()
            started()

    def stop(self) -> None:
        for link in self._links:
            link.stop()
