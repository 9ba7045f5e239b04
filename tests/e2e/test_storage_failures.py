"""The disk is full, or the database damaged: one clear line, exit code 74, and no acknowledgement
that does not hold."""

import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import Child, inbox_on_disk, running_child

from hwangso_client.events import DeviceEvent, MessageAcknowledged
from hwangso_client.profile import MemoryProfile
from hwangso_server.folder import DataFolder
from hwangso_tools.childserver import ServerDidNotStart
from hwangso_tools.errors import ExitCode

FILE_SIZE_LIMIT_BYTES = 2**20
"""Some hundreds of messages fit; the database begins with 45 kB."""


UNANSWERED = 100
"""Messages on their way at the same time."""

PAGE_BYTES = 4096
"""Of SQLite."""

GARBAGE = b"\xa5"


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """No process started meanwhile can make a file larger (setrlimit(2), RLIMIT_FSIZE): writes fail
    from there on, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def said_one_clear_line(child: Child) -> str:
    """Besides the log's own lines, which are JSON, there is one: what went wrong."""
    lines = [line for line in child.process.log if not line.startswith("{")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("hwangso: database ")
    return lines[0]


@asynccontextmanager
async def running_on_a_small_disk(folder: Path) -> AsyncIterator[Child]:
    async with AsyncExitStack() as stack:
        with files_limited_to(FILE_SIZE_LIMIT_BYTES):
            child = await stack.enter_async_context(running_child(folder))
        yield child


@within(60)
async def test_disk_full_while_a_phone_sends(folder: Path) -> None:
    """The server stops at the first write that fails. When the disk has room again, all that was
    acknowledged is there, and the rest is sent again by itself."""
    diary, profile = Diary(), MemoryProfile()
    held: set[bytes] = set()

    def observe(event: DeviceEvent) -> None:
        if isinstance(event, MessageAcknowledged):
            held.add(event.id)
        diary(event)

    async with running_on_a_small_disk(folder) as first:
        async with phone(first, "bob", profile=profile):
            pass
        async with phone(first, "alice", observer=observe) as alice:
            posted: list[bytes] = []
            while not diary.ended:
                posted.append(alice.post("bob", "가" * 1_000))
                await diary.until(lambda: diary.ended or len(posted) - len(held) < UNANSWERED)
            assert await first.process.wait() == ExitCode.STORAGE
            said_one_clear_line(first)

            on_disk = [entry.message_id for entry in await inbox_on_disk(folder, "bob")]
            assert len(on_disk) == len(set(on_disk))
            assert held
            assert held <= set(on_disk)
            assert held < set(posted)

            async with (
                running_child(folder, network=first.network) as second,
                phone(second, "bob", profile=profile) as bob,
            ):
                await alice.wait_sent()
                assert [(await bob.next_message()).id for _ in posted] == posted
                assert bob.inbox == ()


def truncated(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: -3 * PAGE_BYTES])


def overwrite(file: Path) -> None:
    """All but the first page."""
    with file.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(PAGE_BYTES)
        stream.write(GARBAGE * (size - PAGE_BYTES))


def overwrite_log(log: Path) -> None:
    """The same in the write-ahead log (https://sqlite.org/fileformat2.html#walformat): behind a
    header of 32 bytes each page comes with its own header of 24, which begins with its number."""
    content = bytearray(log.read_bytes())
    for at in range(32, len(content), 24 + PAGE_BYTES):
        if int.from_bytes(content[at : at + 4], "big") != 1:
            content[at + 24 : at + 24 + PAGE_BYTES] = GARBAGE * PAGE_BYTES
    with log.open("r+b") as stream:
        stream.write(content)


def something_else(database: Path) -> None:
    database.write_bytes(b"this is a letter to my grandmother\n" * 1_000)


@pytest.mark.parametrize(
    ("damage", "advice"),
    [
        (truncated, "it is damaged; restore it from a backup"),
        (overwrite, "it is damaged; restore it from a backup"),
        (something_else, "it is not an SQLite database; move it away"),
    ],
)
@within(60)
async def test_a_damaged_database_is_not_served(
    folder: Path, damage: Callable[[Path], None], advice: str
) -> None:
    """Nor is it changed, or replaced by an empty one."""
    async with running_child(folder) as child, phone(child, "alice") as alice:
        await alice.send("alice", "hi")
    database = DataFolder(folder).database
    damage(database)
    damaged = database.read_bytes()
    with pytest.raises(ServerDidNotStart, match=advice) as failure:
        async with running_child(folder):
            raise AssertionError("it must not start")
    assert failure.value.code is ExitCode.STORAGE
    assert f"database {database}" in str(failure.value)
    assert database.read_bytes() == damaged


@within(60)
async def test_damage_while_it_runs(folder: Path) -> None:
    """Found when something reads there; then the server stops, and says so."""
    profile = MemoryProfile()
    async with running_child(folder) as child:
        async with phone(child, "bob", profile=profile):
            pass
        async with phone(child, "alice") as alice:
            for number in range(100):
                alice.post("bob", f"{number} " + "x" * 1_000)
            await alice.wait_sent()
        database = DataFolder(folder).database
        overwrite(database)
        overwrite_log(database.with_name(f"{database.name}-wal"))

        async def open_bobs_app() -> None:
            async with phone(child, "bob", profile=profile):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_bobs_app)
            assert await child.process.wait() == ExitCode.STORAGE
            nursery.cancel_scope.cancel()
        assert "it is damaged; restore it from a backup" in said_one_clear_line(child)
