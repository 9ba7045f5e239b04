"""user, device, keys, stats and stop, with and without a running server; admission with one."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trio

from hwangso_client.config import DeviceConfig
from hwangso_client.device import Device
from hwangso_client.network import TcpNetwork
from hwangso_client.profile import MemoryProfile
from hwangso_tools.childserver import ChildServer, child_server
from hwangso_tools.commands.operate import utc
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWANGSO_ARGON2_MEMORY_KIB", "8")
    monkeypatch.setenv("HWANGSO_ARGON2_ITERATIONS", "1")
    monkeypatch.setenv("HWANGSO_ARGON2_LANES", "1")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[str]:
    """A data folder with a short path, for a Unix socket will lie in it."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield "data"
    os.chdir(before)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def said_wrong(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.removeprefix("hwangso: ").removesuffix("\n")


def test_a_user_without_a_server(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", data]
    assert run(["user", "add", "bob", "--password", "x", *where]) == 0
    assert said(capsys) == "user bob added\n"
    assert run(["user", "disable", "bob", *where]) == 0
    assert said(capsys) == "user bob disabled\n"
    assert run(["user", "list", "--json", "users.json", *where]) == 0
    assert "bob" in said(capsys)
    written = msgspec.json.decode(Path("users.json").read_bytes())
    assert written["command"] == "user list"
    (bob,) = written["figures"]["users"]
    assert bob["name"] == "bob"
    assert bob["disabled_at_ms"] >= bob["created_at_ms"]
    assert run(["user", "enable", "bob", *where]) == 0
    assert said(capsys) == "user bob enabled\n"
    assert run(["device", "list", "bob", *where]) == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("user add bob --password x", "user 'bob' exists already"),
        ("user add BOB --password x", "user name 'BOB' is not allowed"),
        ("user disable eve", "there is no user 'eve'"),
        ("device list eve", "there is no user 'eve'"),
        ("device revoke bob 7", "user 'bob' has no device 7"),
        ("user list --config missing.toml", "missing.toml: cannot be read"),
    ],
)
def test_what_an_operator_gets_wrong(
    arguments: str, line: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["user", "add", "bob", "--password", "x", "--data", data]) == 0
    capsys.readouterr()
    assert run([*arguments.split(), "--data", data]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.err.startswith(f"hwangso: {line}")
    assert captured.err.count("\n") == 1


def test_a_password_from_stdin(
    data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\nmore\n"))
    assert run(["user", "add", "bob", "--password-stdin", "--data", data]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run(["user", "add", "eve", "--data", data]) == ExitCode.USAGE
    assert "use --password-stdin" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [(["a", "a"], 0), (["a", "b"], ExitCode.USAGE)])
def test_a_password_typed_twice(
    typed: list[str], code: int, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _prompt: typed.pop(0))
    assert run(["user", "add", "bob", "--data", data]) == code


def test_keys(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", data]
    assert run(["keys", "show", *where]) == ExitCode.USAGE
    assert "makes it on its first start" in capsys.readouterr().err
    assert run(["keys", "rotate-tickets", *where]) == 0
    assert "2 keys are held" in said(capsys)
    assert run(["keys", "show", *where]) == 0
    before = said(capsys).strip()
    assert run(["keys", "rotate-server", *where]) == 0
    assert said(capsys).startswith("new server key")
    assert run(["keys", "show", *where]) == 0
    assert len(before) == 64
    assert said(capsys).strip() not in ("", before)


def test_a_broken_database_is_a_storage_error(
    data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(data).mkdir(0o700)
    Path(data, "messages.db").write_bytes(b"no database " * 1000)
    assert run(["user", "list", "--data", data]) == ExitCode.STORAGE
    assert "messages.db" in capsys.readouterr().err


async def command(*arguments: str) -> int:
    """Run in a thread: a command runs a Trio of its own."""
    return await trio.to_thread.run_sync(run, arguments)


async def enrol(server: ChildServer, user: str) -> None:
    config = DeviceConfig(server.server_key, user, "x", device_name="old phone")
    async with Device(config, TcpNetwork(server.address)) as phone:
        await phone.open_app()


async def test_with_a_running_server(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--data", data)
    async with child_server(where) as server:
        assert await command("user", "add", "bob", "--password", "x", *where) == 0
        await enrol(server, "bob")
        capsys.readouterr()
        assert await command("device", "list", "bob", *where) == 0
        assert "old phone" in said(capsys)
        assert await command("device", "revoke", "bob", "1", *where) == 0
        assert said(capsys) == "device 1 of user bob revoked\n"
        assert await command("keys", "rotate-tickets", *where) == 0
        assert await command("keys", "rotate-server", *where) == ExitCode.USAGE
        assert "in use by process" in capsys.readouterr().err
        assert await command("stats", "--json", "stats.json", *where) == 0
        assert "session.enrol.FG" in said(capsys)
        figures = msgspec.json.decode(await trio.Path("stats.json").read_bytes())["figures"]
        assert figures["session.enrol.FG"] == 1
        assert await command("stop", *where) == 0
        assert said(capsys) == "the server is stopping\n"
        assert await server.wait() == 0


async def test_admission_of_a_running_server(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--data", data)
    async with child_server(where) as server:
        assert await command("user", "add", "bob", "--password", "x", *where) == 0
        capsys.readouterr()
        assert await command("explain", "1", *where) == ExitCode.USAGE
        assert "nothing is known of device 1" in capsys.readouterr().err
        config = DeviceConfig(server.server_key, "bob", "x")
        profile = MemoryProfile()
        for _ in ("enrol", "resume"):
            async with Device(config, TcpNetwork(server.address), profile=profile) as phone:
                await phone.open_app()
        assert await command("explain", "1", *where) == 0
        explained = said(capsys)
        assert explained.startswith("device 1 was admitted ")
        assert "foreground: a person waits" in explained
        assert await command("stage", "set", "shield", "--for", "1h", *where) == 0
        assert said(capsys).startswith("stage 3 SHIELD, pinned for 1 h ")
        assert await command("stage", "show", *where) == 0
        shown = said(capsys)
        assert shown.startswith("stage     3 SHIELD for ")
        assert "because   operator" in shown
        assert await command("stats", "--json", "stats.json", *where) == 0
        assert "now.stage" in said(capsys)
        figures = msgspec.json.decode(await trio.Path("stats.json").read_bytes())["figures"]
        assert figures["now.stage"] == 3
        assert figures["decided.foreground"] == 2
        assert await command("calendar", *where) == 0
        assert said(capsys) == "no slots are handed out for the time to come\n"
        assert await command("stage", "auto", *where) == 0
        assert said(capsys) == "stage 3 SHIELD, it follows from pressure\n"


async def test_a_server_with_its_control_off(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--data", data)
    asked = ("stage show", "stage set 2 --for 1m", "stage auto", "explain 1", "calendar")
    async with child_server((*where, "--control", "off")):
        capsys.readouterr()
        for arguments in asked:
            assert await command(*arguments.split(), *where) == ExitCode.USAGE
            assert said_wrong(capsys) == "this server runs with its admission control off"
        assert await command("stats", *where) == 0
        assert "now.stage" not in said(capsys)


def test_utc() -> None:
    assert utc(None) == ""
    assert utc(0) == "1970-01-01 00:00:00Z"
