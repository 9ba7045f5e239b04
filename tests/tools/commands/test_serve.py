"""`hwangso serve` as a process."""

import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from hwangso_server.config import Config
from hwangso_tools.commands.serve import ServeFlags
from hwangso_tools.errors import ExitCode

FREE_PORTS = ["--foreground-port", "0", "--background-port", "0"]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hwangso_tools", "serve", *FREE_PORTS, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready_line(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return server.stdout.readline()


def test_there_is_a_flag_for_every_key_of_the_configuration() -> None:
    assert [field.name for field in fields(ServeFlags)] == [
        field.name for field in msgspec.structs.fields(Config)
    ]
    assert all(field.default is None for field in fields(ServeFlags))


def test_the_help_tells_the_defaults_of_the_configuration() -> None:
    source = Path(sys.modules[ServeFlags.__module__].__file__ or "").read_text()
    for name in ("keepalive_s", "argon2_memory_kib", "argon2_iterations", "inbox_retained"):
        default = getattr(Config(), name)
        assert re.search(rf'{name}: int . None = None\n    """[^"]*\[{default}\]', source), name


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stops_on_a_signal(by: signal.Signals, tmp_path: Path) -> None:
    server = start("--data", str(tmp_path / "data"))
    assert re.fullmatch(
        r"hwangso ready foreground=127.0.0.1:\d+ background=127.0.0.1:\d+ key=[0-9a-f]{64}"
        rf" pid={server.pid} data={tmp_path}/data\n",
        ready_line(server),
    )
    server.send_signal(by)
    out, _ = server.communicate(timeout=60)
    assert server.returncode == ExitCode.OK
    assert out == ""


def test_stops_when_stdin_closes_if_told_so(tmp_path: Path) -> None:
    server = start("--data", str(tmp_path / "data"), "--until-stdin-closes")
    assert ready_line(server)
    server.communicate(timeout=60)  # closes its standard input
    assert server.returncode == ExitCode.OK


def test_a_stdin_that_cannot_be_watched(tmp_path: Path) -> None:
    server = subprocess.run(
        [sys.executable, "-m", "hwangso_tools", "serve", *FREE_PORTS, "--until-stdin-closes"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert server.returncode == ExitCode.USAGE
    assert "needs a pipe or a terminal" in server.stderr
    assert "Traceback" not in server.stderr


HWANGSO_SERVE = shlex.join([sys.executable, "-m", "hwangso_tools", "serve", *FREE_PORTS])


@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        ("--until-stdin-closes <&-", "--until-stdin-closes needs a pipe or a terminal"),
        (">/dev/full", "the ready line cannot be written to standard output: No space left"),
        ("| true", "the ready line cannot be written to standard output: Broken pipe"),
        (">&-", "the ready line cannot be written to standard output: it is closed"),
    ],
)
def test_standard_streams_that_do_not_serve(redirected: str, said: str, tmp_path: Path) -> None:
    server = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {HWANGSO_SERVE} --log-level error {redirected}"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert server.returncode == ExitCode.USAGE
    assert server.stderr.startswith(f"hwangso: {said}")
    assert server.stderr.count("\n") == 1


def test_a_data_folder_in_use(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    first = start(*data)
    assert ready_line(first)
    second = start(*data)
    _, said = second.communicate(timeout=60)
    assert second.returncode == ExitCode.USAGE
    assert re.fullmatch(rf"hwangso: data folder .* in use by process {first.pid}; .*\n", said)
    first.terminate()
    first.communicate(timeout=60)


def test_a_broken_database_is_a_storage_error(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o700)
    (data / "messages.db").write_bytes(b"no database " * 1000)
    server = start("--data", str(data))
    _, said = server.communicate(timeout=60)
    assert server.returncode == ExitCode.STORAGE
    assert said.startswith("hwangso: ")
    assert said.count("\n") == 1
    assert "messages.db" in said


def test_a_locked_database_is_a_storage_error(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o700)
    with sqlite3.connect(data / "messages.db", isolation_level=None) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        server = start("--data", str(data))
        _, said = server.communicate(timeout=90)
    other.close()
    assert server.returncode == ExitCode.STORAGE
    assert said.count("\n") == 1
