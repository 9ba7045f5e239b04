"""`childserver` with real `hwangso serve` processes."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hwangso_client.address import ServerAddress
from hwangso_tools.childserver import (
    ChildServer,
    ServerDidNotStart,
    child_server,
    parse_ready_line,
)
from hwangso_tools.errors import ExitCode

KEY = "ab" * 32


def test_ready_line() -> None:
    ready = parse_ready_line(
        f"hwangso ready foreground=127.0.0.1:7744 background=127.0.0.1:7745 key={KEY} pid=12"
        " data=/a folder/x\n"
    )
    assert ready is not None
    assert ready.address == ServerAddress("127.0.0.1", 7744, 7745)
    assert ready.server_key == bytes.fromhex(KEY)
    assert ready.pid == 12
    assert ready.data == Path("/a folder/x")


def test_ready_line_with_an_ipv6_address() -> None:
    ready = parse_ready_line(
        f"hwangso ready foreground=[::1]:1 background=[::1]:1 key={KEY} pid=12 data=d"
    )
    assert ready is not None
    assert ready.address == ServerAddress("::1", 1, 1)


@pytest.mark.parametrize("line", ["", "hwangso ready", f"ready key={KEY}", "x" * 10_000])
def test_other_lines(line: str) -> None:
    assert parse_ready_line(line) is None


async def test_starts_and_stops(tmp_path: Path) -> None:
    async with child_server(["--data", str(tmp_path / "data")]) as server:
        assert server.exit_code is None
        assert server.data == tmp_path / "data"
        assert (tmp_path / "data" / "server.pub").read_text().strip() == server.server_key.hex()
        stream = await trio.open_tcp_stream("127.0.0.1", server.address.foreground_port)
        await stream.aclose()
    assert server.exit_code == 0


async def test_stop_gives_the_exit_code(tmp_path: Path) -> None:
    async with child_server(["--data", str(tmp_path / "data")]) as server:
        assert await server.stop() == 0
        assert any("stopped" in line for line in server.log)


async def test_kill_and_restart_on_the_same_folder(tmp_path: Path) -> None:
    arguments = ["--data", str(tmp_path / "data")]
    async with child_server(arguments) as first:
        await first.kill()
        assert first.exit_code == -signal.SIGKILL
    async with child_server(arguments) as second:
        assert second.server_key == first.server_key


async def test_the_next_one_listens_where_it_is_told_to(tmp_path: Path) -> None:
    data = f"--data={tmp_path / 'data'}"
    async with child_server([data]) as first:
        address = first.address
    flags = [f"--foreground-port={address.foreground_port}"]
    async with child_server([data, *flags, "--background-port=0"]) as second:
        assert second.address.foreground_port == address.foreground_port


async def test_a_wrong_argument_is_the_childs_own_line_and_code(tmp_path: Path) -> None:
    with pytest.raises(ServerDidNotStart, match="--keepalive-s: 0 is not allowed") as caught:
        async with child_server(["--data", str(tmp_path / "data"), "--keepalive-s", "0"]):
            raise AssertionError("it must not start")
    assert caught.value.code is ExitCode.USAGE


async def test_it_has_stopped_when_the_body_raises(tmp_path: Path) -> None:
    server: ChildServer | None = None
    with pytest.raises(ZeroDivisionError):
        async with child_server(["--data", str(tmp_path / "data")]) as server:
            raise ZeroDivisionError
    assert server is not None
    assert server.exit_code == 0


PARENT = """
import sys, trio
from hwangso_tools.childserver import child_server

async def main():
    async with child_server(["--data", sys.argv[1]]) as server:
        print(server.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    ended, _, _ = select.select([child], [], [], 60)
    os.close(child)
    assert ended
