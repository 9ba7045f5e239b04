import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from tests.server.admission_status import EMERGENCY, EMERGENCY_JSON

from hwangso_server.accounts import (
    AdministrationError,
    DeviceListing,
    ListedDevice,
    ListedUser,
    UserListing,
)
from hwangso_server.admin import JsonLines, _Server, serve_admin
from hwangso_server.admin_messages import (
    AdmissionStatus,
    CalendarListing,
    Explained,
    Explanation,
    ServerStats,
    ServerStatus,
    TicketKeyRotated,
)
from hwangso_server.admission.stage import Stage
from hwangso_server.folder import SOCKET_PATH_MAX_BYTES, DataFolderError
from hwangso_server.limits import (
    ADMIN_CONNECTIONS_MAX,
    ADMIN_IDLE_TIMEOUT_S,
    ADMIN_LINE_MAX_BYTES,
    ADMIN_REQUEST_DEADLINE_S,
)
from hwangso_server.passwords import TooManyWaiting
from hwangso_server.store import StoreBusy

USERS = UserListing((ListedUser("alice", 1, None, 2, 3),), more=True)
DEVICES = DeviceListing((ListedDevice(1, "phone", 2, 3, 4),), omitted=5)

EXPLANATION = Explanation(12.5, "FG", "BG", Stage.BUSY, "slot", "deferred", 40.5, 2)


class Handler:
    """Remembers what was asked; `error` is raised, `work` awaited, before each answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: Exception | None = None
        self.work: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint

    async def _ask(self, *request: object) -> None:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        await self.work()

    async def add_user(self, name: str, password: str) -> None:
        await self._ask("add_user", name, password)

    async def list_users(self, after: str, limit: int) -> UserListing:
        await self._ask("list_users", after, limit)
        return USERS

    async def disable_user(self, name: str) -> None:
        await self._ask("disable_user", name)

    async def enable_user(self, name: str) -> None:
        await self._ask("enable_user", name)

    async def list_devices(self, user: str) -> DeviceListing:
        await self._ask("list_devices", user)
        return DEVICES

    async def revoke_device(self, user: str, device: int) -> None:
        await self._ask("revoke_device", user, device)

    async def rotate_ticket_key(self) -> TicketKeyRotated:
        await self._ask("rotate_ticket_key")
        return TicketKeyRotated(2)

    async def stats(self) -> ServerStats:
        await self._ask("stats")
        return ServerStats({"sessions": 1, "lag_ms": 0.5})

    async def status(self) -> ServerStatus:
        await self._ask("status")
        return ServerStatus({"sessions": 1}, EMERGENCY)

    async def set_stage(self, stage: Stage, for_s: float) -> AdmissionStatus:
        await self._ask("set_stage", stage, for_s)
        return EMERGENCY

    async def free_stage(self) -> AdmissionStatus:
        await self._ask("free_stage")
        return EMERGENCY

    async def explain(self, device: int) -> Explained:
        await self._ask("explain", device)
        return Explained(EXPLANATION if device == 7 else None)

    async def calendar(self) -> CalendarListing:
        await self._ask("calendar")
        return CalendarListing(((0, 812), (1, 5)))

    async def stop(self) -> None:
        await self._ask("stop")


async def receive_lines(stream: trio.abc.Stream) -> list[dict[str, object]]:
    """Everything until the end of the stream."""
    received = b"".join([data async for data in stream])
    assert received == b"" or received.endswith(b"\n")
    return [json.loads(line) for line in received.splitlines()]


@asynccontextmanager
async def serving(path: Path, handler: Handler) -> AsyncIterator[None]:
    """The server on a real socket."""
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_admin, path, handler)
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def conversing(handler: Handler) -> AsyncIterator[trio.abc.HalfCloseableStream]:
    """The server on a memory stream, for virtual time. Ends when the server has hung up."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            async with theirs:
                await _Server(handler).serve(theirs)

        nursery.start_soon(serve)
        yield ours


async def one_answer(handler: Handler, line: bytes) -> dict[str, object]:
    async with conversing(handler) as stream:
        await stream.send_all(line)
        await stream.send_eof()
        (answer,) = await receive_lines(stream)
        return answer


# The socket


async def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    mask = os.umask(0)
    try:
        async with serving(path, Handler()):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert os.umask(0) == 0  # as it was
    finally:
        os.umask(mask)


async def test_the_socket_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with serving(path, Handler()):
        assert path.is_socket()
    assert not path.exists()


async def test_a_dead_servers_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    async with serving(path, Handler()), await trio.open_unix_socket(path) as stream:
        await stream.send_all(b'{"request":"stats"}\n')
        await stream.send_eof()
        assert len(await receive_lines(stream)) == 1


async def test_a_path_of_the_longest_allowed_length(tmp_path: Path) -> None:
    path = tmp_path / ("x" * (SOCKET_PATH_MAX_BYTES - len(os.fsencode(tmp_path)) - 1))
    assert len(os.fsencode(path)) == SOCKET_PATH_MAX_BYTES
    async with serving(path, Handler()):
        assert path.is_socket()


async def test_a_socket_that_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "admin.sock"
    async with trio.open_nursery() as nursery:
        with pytest.raises(DataFolderError, match=f"^{path}: No such file or directory$"):
            await nursery.start(serve_admin, path, Handler())


async def test_a_command_that_goes_away_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    handler = Handler()
    asked, gone = trio.Event(), trio.Event()

    async def work() -> None:
        asked.set()
        await gone.wait()

    handler.work = work
    async with serving(path, handler):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b'{"request":"stats"}\n')
            await asked.wait()
        gone.set()
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b'{"request":"stats"}\n')
            await stream.send_eof()
            assert (await receive_lines(stream))[0]["answer"] == "stats"


async def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with serving(path, Handler()):
        streams = []
        for _ in range(ADMIN_CONNECTIONS_MAX):
            stream = await trio.open_unix_socket(path)
            streams.append(stream)
            await stream.send_all(b'{"request":"stats"}\n')
            assert b'"stats"' in await stream.receive_some()
        async with await trio.open_unix_socket(path) as stream:
            assert await receive_lines(stream) == [
                {"answer": "error", "text": "too many admin connections, try again later"}
            ]
        await streams.pop().aclose()
        # The place is free as soon as the server has seen the end of that one.
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b'{"request":"stats"}\n')
            assert b'"stats"' in await stream.receive_some()
        for stream in streams:
            await stream.aclose()


# Requests and answers

DONE = {"answer": "done"}


@pytest.mark.parametrize(
    ("request_line", "asked", "answer"),
    [
        (
            b'{"request":"add_user","name":"alice","password":"\xed\x99\xa9"}',
            ("add_user", "alice", "황"),
            DONE,
        ),
        (b'{"request":"disable_user","name":"alice"}', ("disable_user", "alice"), DONE),
        (b'{"request":"enable_user","name":"alice"}', ("enable_user", "alice"), DONE),
        (
            b'{"request":"revoke_device","user":"alice","device":7}',
            ("revoke_device", "alice", 7),
            DONE,
        ),
        (b'{"request":"stop"}', ("stop",), DONE),
        (
            b'{"request":"list_users","after":"a","limit":1}',
            ("list_users", "a", 1),
            {
                "answer": "users",
                "users": [
                    {
                        "name": "alice",
                        "created_at_ms": 1,
                        "disabled_at_ms": None,
                        "devices": 2,
                        "head": 3,
                    }
                ],
                "more": True,
            },
        ),
        (
            b'{"request":"list_devices","user":"alice"}',
            ("list_devices", "alice"),
            {
                "answer": "devices",
                "devices": [
                    {"id": 1, "name": "phone", "created_at_ms": 2, "revoked_at_ms": 3, "cursor": 4}
                ],
                "omitted": 5,
            },
        ),
        (
            b'{"request":"rotate_ticket_key"}',
            ("rotate_ticket_key",),
            {"answer": "ticket_key_rotated", "keys_held": 2},
        ),
        (
            b'{"request":"stats"}',
            ("stats",),
            {"answer": "stats", "figures": {"sessions": 1, "lag_ms": 0.5}},
        ),
        (
            b'{"request":"status"}',
            ("status",),
            {"answer": "status", "figures": {"sessions": 1}, "admission": EMERGENCY_JSON},
        ),
        (
            b'{"request":"set_stage","stage":2,"for_s":600}',
            ("set_stage", Stage.EMERGENCY, 600),
            EMERGENCY_JSON,
        ),
        (b'{"request":"free_stage"}', ("free_stage",), EMERGENCY_JSON),
        (
            b'{"request":"explain","device":7}',
            ("explain", 7),
            {
                "answer": "explained",
                "explanation": {
                    "ago_s": 12.5,
                    "intent": "FG",
                    "served_as": "BG",
                    "stage": 1,
                    "rule": "slot",
                    "outcome": "deferred",
                    "slot_in_s": 40.5,
                    "deferrals": 2,
                },
            },
        ),
        (
            b'{"request":"explain","device":8}',
            ("explain", 8),
            {"answer": "explained", "explanation": None},
        ),
        (
            b'{"request":"calendar"}',
            ("calendar",),
            {"answer": "calendar", "slots": [[0, 812], [1, 5]]},
        ),
    ],
)
async def test_each_request(
    request_line: bytes, asked: tuple[object, ...], answer: dict[str, object]
) -> None:
    handler = Handler()
    assert await one_answer(handler, request_line + b"\n") == answer
    assert handler.asked == [asked]


async def test_several_requests_on_one_connection() -> None:
    handler = Handler()
    async with conversing(handler) as stream:
        await stream.send_all(b'{"request":"stop"}\n{"request":"sta')
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b'ts"}\n')
        await stream.send_eof()
        assert [line["answer"] for line in await receive_lines(stream)] == ["done", "stats"]
    assert handler.asked == [("stop",), ("stats",)]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (AdministrationError("there is no user 'bob'"), "there is no user 'bob'"),
        (StoreBusy("busy"), "busy"),
        (DataFolderError("disk full"), "disk full"),
        (TooManyWaiting(), "too many passwords wait to be hashed, try again later"),
    ],
)
async def test_refusals(error: Exception, text: str) -> None:
    handler = Handler()
    handler.error = error
    assert await one_answer(handler, b'{"request":"stats"}\n') == {"answer": "error", "text": text}


async def test_a_bug_ends_one_request_and_is_logged() -> None:
    handler = Handler()
    handler.error = RuntimeError("a bug")
    async with conversing(handler) as stream:
        with structlog.testing.capture_logs() as lines:
            await stream.send_all(b'{"request":"stats"}\n')
            assert b"internal error" in await stream.receive_some()
        handler.error = None
        await stream.send_all(b'{"request":"stats"}\n')
        assert b'"figures"' in await stream.receive_some()
        await stream.send_eof()
    assert [(line["event"], line["request"]) for line in lines] == [
        ("admin request failed", "Stats")
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"request":7}',
        b'{"request":"disable_user"}',
        b'{"request":"disable_user","name":7}',
        b'{"request":"stop","now":true}',
        b'{"request":"set_stage","stage":4,"for_s":600}',
        b'{"request":"set_stage","stage":2,"for_s":0}',
        b'{"request":"set_stage","stage":2,"for_s":86401}',
        b'{"request":"set_stage","stage":2}',
        b'{"request":"explain","device":"7"}',
        b'{"x":' + b"[" * 100_000,
    ],
)
async def test_what_is_no_request_is_answered_and_the_next_one_heard(line: bytes) -> None:
    handler = Handler()
    async with conversing(handler) as stream:
        await stream.send_all(line + b'\n{"request":"stats"}\n')
        await stream.send_eof()
        first, second = await receive_lines(stream)
    assert first["answer"] == "error"
    assert str(first["text"]).startswith("not a request: ")
    assert second["answer"] == "stats"
    assert handler.asked == [("stats",)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("explode", "'explode'"), ("\x1b[2J", "'\\x1b[2J'"), ("x" * 1000, "'" + "x" * 59), ("", "''")],
)
async def test_a_request_of_another_version(name: str, shown: str) -> None:
    line = json.dumps({"request": name, "newer": 1}).encode()
    assert await one_answer(Handler(), line + b"\n") == {
        "answer": "error",
        "text": f"this server knows no request {shown}: another version?",
    }


@given(st.binary(max_size=300))
async def test_any_bytes_get_an_answer_a_line(data: bytes) -> None:
    handler = Handler()
    async with conversing(handler) as stream:
        await stream.send_all(data + b"\n")
        await stream.send_eof()
        answers = await receive_lines(stream)
    assert [answer["answer"] for answer in answers] == ["error"] * (data.count(b"\n") + 1)
    assert handler.asked == []


async def test_the_longest_line() -> None:
    request = b'{"request":"stats"}'
    answer = await one_answer(Handler(), request.rjust(ADMIN_LINE_MAX_BYTES) + b"\n")
    assert answer["answer"] == "stats"


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_longer_line_is_the_last(end: bytes) -> None:
    handler = Handler()
    async with conversing(handler) as stream:
        await stream.send_all(b'{"request":"stats"}'.rjust(ADMIN_LINE_MAX_BYTES + 1) + end)
        assert await receive_lines(stream) == [
            {"answer": "error", "text": "a line has at most 262,144 bytes"}
        ]
    assert handler.asked == []


async def test_half_a_line_is_not_carried_out() -> None:
    handler = Handler()
    async with conversing(handler) as stream:
        await stream.send_all(b'{"request":"stop"}')
        await stream.send_eof()
        assert await receive_lines(stream) == []
    assert handler.asked == []


# Time


async def test_silence_is_hung_up_on(autojump_clock: trio.testing.MockClock) -> None:
    async with conversing(Handler()) as stream:
        await stream.send_all(b'{"request":')
        assert await receive_lines(stream) == []
    assert trio.current_time() == ADMIN_IDLE_TIMEOUT_S


async def test_work_has_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    handler = Handler()
    handler.work = trio.sleep_forever
    answer = await one_answer(handler, b'{"request":"stats"}\n')
    assert answer == {"answer": "error", "text": "not finished within 30 s, look what happened"}
    assert trio.current_time() == ADMIN_REQUEST_DEADLINE_S


async def test_who_does_not_read_answers_is_hung_up_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    await_end = trio.Event()

    async def serve() -> None:
        async with theirs:
            await _Server(Handler()).serve(theirs)
        await_end.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await ours.send_all(b'{"request":"stats"}\n')
        await await_end.wait()
    assert trio.current_time() == ADMIN_IDLE_TIMEOUT_S


# Framing


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), st.data())
async def test_lines_come_out_whole_however_they_are_cut(
    lines: list[bytes], data: st.DataObject
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    rest = b"".join(line + b"\n" for line in lines)
    receiver = JsonLines(theirs)
    received = []
    while rest:
        cut = data.draw(st.integers(1, len(rest)))
        await ours.send_all(rest[:cut])
        for _ in range(rest[:cut].count(b"\n")):
            received.append(await receiver.receive())
        rest = rest[cut:]
    await ours.send_eof()
    assert received == lines
    assert await receiver.receive() is None
