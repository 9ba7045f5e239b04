"""`hwangso phone` in a terminal of its own: a pty, and what is left of it afterwards."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.tools.phone.hands import served

from hwangso_client.profile import FileProfile, ProfileState
from hwangso_tools.childserver import Ready
from hwangso_tools.commands import phone as phone_command
from hwangso_tools.commands.tree import run
from hwangso_tools.errors import ExitCode
from hwangso_tools.phone.files import locked

WITHIN_S: Final = 30.0
_ESCAPES: Final = re.compile(rb"\x1b\[[0-9;?<>$]*[a-zA-Z]|\x1b[()][A-Z0-9]")
CTRL_C, CTRL_Q = b"\x03", b"\x11"
OTHER_KEY: Final = "09" + 31 * "00"
THIRD_KEY: Final = "0a" + 31 * "00"
HWANGSO: Final = ("-m", "hwangso_tools")
LEAVES_ALTERNATE_SCREEN: Final = b"\x1b[?1049l"
SHOWS_CURSOR: Final = b"\x1b[?25h"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    with served(tmp_path_factory.mktemp("served")) as ready:
        yield ready


class Terminal:
    """A command in a terminal."""

    def __init__(self, arguments: list[str], cwd: Path, program: tuple[str, ...] = HWANGSO) -> None:
        self.written = b""
        self._master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, (24, 80))
        self._before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=cwd,
            env=os.environ | {"TERM": "xterm-256color", "TEXTUAL_DISABLE_KITTY_KEY": "1"},
            start_new_session=True,
        )

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    @property
    def words(self) -> str:
        return _ESCAPES.sub(b"", self.written).decode(errors="replace")

    def until(self, wanted: str) -> None:
        """Read until it has written that."""
        deadline = time.monotonic() + WITHIN_S
        while wanted not in self.words:
            assert time.monotonic() < deadline, self.words
            self._read()

    def _read(self) -> None:
        readable, _, _ = select.select([self._master], [], [], 0.05)
        if readable:
            self.written += os.read(self._master, 65_536)

    def end(self) -> int:
        """Read until the process has ended; its exit code. The terminal is as it was."""
        deadline = time.monotonic() + WITHIN_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.words
            self._read()
        self._read()
        assert termios.tcgetattr(self._slave) == self._before
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@contextmanager
def terminal(
    server: Ready, cwd: Path, user: str, *more: str, program: tuple[str, ...] = HWANGSO
) -> Iterator[Terminal]:
    (cwd / "password").write_text("pw\n")
    arguments = ["phone", "--user", user, "--server", str(server.address)]
    arguments += ["--server-key", server.server_key.hex(), "--password-file", "password", *more]
    opened = Terminal(arguments, cwd, program)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        (CTRL_Q, ExitCode.OK, ""),
        (CTRL_C, ExitCode.INTERRUPTED, "hwangso: interrupted"),
        (signal.SIGINT, ExitCode.INTERRUPTED, "hwangso: interrupted"),
        (signal.SIGTERM, ExitCode.TERMINATED, "hwangso: ended by SIGTERM"),
        (signal.SIGHUP, ExitCode.HUNG_UP, "hwangso: ended by SIGHUP"),
    ],
    ids=["quit", "ctrl-c", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_restored(
    server: Ready, tmp_path: Path, how: bytes | signal.Signals, code: int, said: str
) -> None:
    with terminal(server, tmp_path, "ann", "--register") as phone:
        phone.until("READY")
        if isinstance(how, bytes):
            phone.press(how)
        else:
            phone.process.send_signal(how)
        assert phone.end() == code
    screen, _, after = phone.written.rpartition(LEAVES_ALTERNATE_SCREEN)
    assert screen
    assert SHOWS_CURSOR in after
    assert said in phone.words
    assert "Traceback" not in phone.words


def test_two_terminals_chat(server: Ready, tmp_path: Path) -> None:
    with (
        terminal(server, tmp_path, "bea", "--register") as bea,
        terminal(server, tmp_path, "cat", "--register") as cat,
    ):
        bea.until("READY")
        cat.until("READY")
        bea.press(b"\x0e")  # Ctrl+N
        bea.until("Chat with whom?")
        bea.press(b"cat\r")
        bea.until("No messages with cat yet")
        bea.press("안녕 cat\r".encode())
        bea.until("[on the server's disk]")
        cat.until("bea: 1 new message")
        for phone in (bea, cat):
            phone.press(CTRL_Q)
            assert phone.end() == ExitCode.OK


def test_a_disk_that_fails_ends_the_phone_in_order(server: Ready, tmp_path: Path) -> None:
    (tmp_path / "hwangso-phones" / ".gil.phone.chats.new").mkdir(parents=True)  # is in its way
    with terminal(server, tmp_path, "gil", "--register") as phone:
        phone.until("READY")
        phone.press(b"\x0e")  # Ctrl+N
        phone.until("Chat with whom?")
        phone.press(b"gil\r")
        phone.until("No messages with gil yet")
        phone.press(b"hello\r")
        assert phone.end() == ExitCode.STORAGE
    assert LEAVES_ALTERNATE_SCREEN in phone.written
    assert phone.words.rstrip().endswith("gil.phone.chats: Is a directory")
    assert "Traceback" not in phone.words


BUG: Final = """
import sys
from hwangso_tools.cli import main
from hwangso_tools.phone.screens import ChatsScreen

def show(*_):
    raise RuntimeError("a bug of ours")

ChatsScreen.show = show
sys.argv[0] = "hwangso"
main()
"""


def test_a_bug_is_a_traceback_in_a_terminal_that_works(server: Ready, tmp_path: Path) -> None:
    (tmp_path / "bug.py").write_text(BUG)
    with terminal(server, tmp_path, "hal", "--register", program=("bug.py",)) as phone:
        phone.until("READY")
        phone.press(b"\r")
        assert phone.end() == 1
    shown = phone.written.rpartition(LEAVES_ALTERNATE_SCREEN)[2]
    assert b"RuntimeError: a bug of ours" in _ESCAPES.sub(b"", shown)


def test_a_wrong_password_is_one_line(server: Ready, tmp_path: Path) -> None:
    with terminal(server, tmp_path, "nobody") as phone:
        assert phone.end() == ExitCode.UNREACHABLE
    assert phone.words.rstrip().endswith(
        "hwangso: user nobody: the server refused: wrong password, or no such user "
        "(--register makes one)"
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in; the command believes that it has a terminal, which it then does not get to
    use."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HWANGSO_SERVER_KEY", raising=False)
    monkeypatch.setattr(phone_command, "_check_terminal", lambda: None)
    return tmp_path


def test_whose_profile_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = bytes.fromhex(OTHER_KEY)
    profile = Path("hwangso-phones/dan.phone")
    FileProfile(profile).save(ProfileState(key, "dan", bytes(32), 0.5, enrolled=True))
    eve = ["phone", "--user", "eve", "--profile", str(profile)]
    assert run(eve) == ExitCode.USAGE
    assert "hwangso-phones/dan.phone is a phone of user dan, not eve" in capsys.readouterr().err
    assert run(["phone", "--user", "dan", "--server-key", THIRD_KEY]) == ExitCode.USAGE
    assert "is a phone of a server with another key" in capsys.readouterr().err
    with locked(profile):
        assert run(["phone", "--user", "dan"]) == ExitCode.USAGE
    assert "hwangso-phones/dan.phone is in use" in capsys.readouterr().err
    profile.write_bytes(b"hwangso-profile 1 0\n{}")
    assert run(["phone", "--user", "dan"]) == ExitCode.USAGE
    assert "is damaged (its checksum is wrong)" in capsys.readouterr().err


KEY: Final = ["--server-key", OTHER_KEY]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--server", "localhost:99999"], ExitCode.USAGE, "a port is a number from 1 to 65535"),
        (["--server-key", "zz"], ExitCode.USAGE, "server key: expected 64 hexadecimal digits"),
        ([], ExitCode.UNREACHABLE, "the server's key is not known"),
        ([*KEY, "--password-file", "missing"], ExitCode.USAGE, "cannot read missing: No such"),
        ([*KEY, "--password-file", "binary"], ExitCode.USAGE, "binary is not a text file"),
        ([*KEY, "--password", ""], ExitCode.USAGE, "the password is empty"),
        (
            [*KEY, "--password", "a", "--password-file", "b"],
            ExitCode.USAGE,
            "--password and --password-file: give one of them",
        ),
        ([*KEY, "--password", "x" * 2_000], ExitCode.USAGE, "device of user 'ann'"),
        (["--user", "Not/A/Name"], ExitCode.USAGE, "--user 'Not/A/Name': 1 to 32 of a-z"),
        ([*KEY, "--profile", "binary/x"], ExitCode.USAGE, "cannot make its lock"),
    ],
)
def test_what_a_user_can_get_wrong(
    here: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "binary").write_bytes(b"\xff\n")
    user = [] if "--user" in arguments else ["--user", "ann"]
    assert run(["phone", *user, *arguments]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.startswith("hwangso: ")
    assert shown.err.count("\n") == 1


def test_the_password_is_asked_for_once_for_a_user_twice_for_a_new_one(
    server: Ready, tmp_path: Path
) -> None:
    at = ["--server", str(server.address), "--server-key", server.server_key.hex()]
    phone = Terminal(["phone", "--user", "fay", "--register", *at], tmp_path)
    try:
        phone.until("password: ")
        phone.press(b"one\n")
        phone.until("once more: ")
        phone.press(b"two\n")
        assert phone.end() == ExitCode.USAGE
        assert "the two passwords are not the same" in phone.words
    finally:
        phone.close()


def test_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["phone", "--user", "ann"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("hwangso: a phone needs a terminal")


def test_no_other_command_loads_textual() -> None:
    script = (
        "import sys; from hwangso_tools.commands.tree import run; "
        "run(['user', '--help']); run(['--help']); print('textual' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.splitlines()[-1] == "False"
