"""The command as its users call it. Each error is one line, and says what to do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwangso_protocol import __version__
from hwangso_tools.cli import Interruption
from hwangso_tools.commands.tree import make_app, run
from hwangso_tools.errors import ExitCode

HWANGSO = [sys.executable, "-m", "hwangso_tools"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_version_loads_no_command() -> None:
    probe = (
        "import sys; from hwangso_tools.commands.tree import run; run(['--version']);"
        "print(*sys.modules, sep='\\n')"
    )
    shown = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    loaded = set(shown.stdout.split())
    assert "hwangso_tools.commands.tree" in loaded
    assert loaded & {"trio", "structlog", "cryptography", "hwangso_server"} == set()


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in (
        "serve", "demo", "swarm", "bench", "experiment", "user", "device", "keys", "stage",
        "explain", "calendar", "stats", "stop",
    ):  # fmt: skip
        assert f" {command} " in shown


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "demo",
        "swarm",
        "bench",
        "bench login",
        "bench resume",
        "bench idle",
        "bench message",
        "experiment",
        "experiment budget",
        "user",
        "user add",
        "user list",
        "user disable",
        "user enable",
        "device",
        "device list",
        "device revoke",
        "keys",
        "keys show",
        "keys rotate-tickets",
        "keys rotate-server",
        "stage",
        "stage show",
        "stage set",
        "stage auto",
        "explain",
        "calendar",
        "stats",
        "stop",
    ],
)
def test_every_command_exists_and_has_help(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    shown = capsys.readouterr()
    assert f"Usage: hwangso {command}" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("sevre", 'Unknown command "sevre"'),
        ("serve --prot 3", "Unknown option: --prot. Did you mean --port?"),
        ("serve --port many", "--port"),
        ("serve --port 70000", "--port: 70000 is not allowed, expected"),
        ("serve --config /missing.toml", "/missing.toml: cannot be read"),
        ("serve --registration maybe", "'closed' or 'open'"),
        ("user add", "NAME"),
        ("user add x --password a --password-stdin", "give one of them"),
        ("demo --devices 1", "--devices: at least 2"),
        ("demo --chat-seconds 0", "--chat-seconds: above 0"),
        ("demo --json /missing/x.json", "cannot be written"),
        ("swarm --devices 3", "--s"),
        ("swarm --devices 2 --seconds 1 --server nowhere", "expected HOST:PORT"),
        ("swarm --devices 2 --seconds 1 --server a:1 --server-key 12", "64 hexadecimal digits"),
        ("bench login --runs 0", "--runs: at least 1"),
        ("bench message --devices 3", "an even number"),
        ("bench idle --work /missing", "not a folder"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments.split()) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("hwangso: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_an_unknown_server_key_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HWANGSO_SERVER_KEY", raising=False)
    code = run(["swarm", "--devices", "2", "--seconds", "1", "--server", "127.0.0.1:1"])
    assert code == ExitCode.UNREACHABLE
    assert "give --server-key" in capsys.readouterr().err


def test_no_server_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stats", "--data", str(tmp_path)]) == ExitCode.UNREACHABLE
    assert run(["stop", "--data", str(tmp_path)]) == ExitCode.UNREACHABLE
    assert capsys.readouterr().err.count("no server answers at") == 2


def test_the_commands_are_those_of_the_tree() -> None:
    tree = {name for name in make_app() if not name.startswith("-")}
    assert tree == {
        "serve", "demo", "swarm", "bench", "experiment", "user", "device", "keys", "stage",
        "explain", "calendar", "stats", "stop", "storm", "phone",
    }  # fmt: skip


ENDINGS = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "ended by SIGTERM"),
    (signal.SIGHUP, 129, "ended by SIGHUP"),
]


def start_demo(folder: Path, *command: str) -> subprocess.Popen[str]:
    """A demo that has its server, and keeps its temporary files in the folder."""
    demo = subprocess.Popen(
        [*command, *HWANGSO, "demo", "--devices", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert demo.stdout is not None
    assert demo.stdout.readline().startswith("server on ")
    return demo


@pytest.mark.parametrize(("by", "code", "said"), ENDINGS)
def test_a_signal_ends_it_cleanly(by: signal.Signals, code: int, said: str, tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    demo.send_signal(by)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == code
    assert errors == f"hwangso: {said}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back what signals did before."""
    before = {number: signal.getsignal(number) for number, _, _ in ENDINGS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_second_signal_does_not_break_off_the_cleaning_up_unless_it_is_ctrl_c() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    interruption = Interruption()
    interruption.watch()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGHUP)
    assert interruption.by is signal.SIGHUP
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_script_may_end_it_in_the_background(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "sh", "-c", "trap '' INT; exec \"$@\"", "sh")  # as `&` does
    demo.terminate()
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == ExitCode.TERMINATED
    assert errors == "hwangso: ended by SIGTERM\n"
    assert list(tmp_path.iterdir()) == []


DURING_IMPORT = """
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.argv[1:] = ["demo"]
            signal.raise_signal({number})

sys.meta_path.insert(0, Finder())
from hwangso_tools.cli import main
main()
"""


@pytest.mark.parametrize("module", ["cyclopts", "trio"])
@pytest.mark.parametrize(("by", "code", "said"), ENDINGS)
def test_a_signal_while_it_is_being_imported(
    by: signal.Signals, code: int, said: str, module: str
) -> None:
    program = DURING_IMPORT.replace("{number}", str(by.value))
    # While `cyclopts` is imported the arguments are not read yet; `demo` imports trio.
    ended = subprocess.run(
        [sys.executable, "-c", program, module],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code
    assert ended.stdout == ""
    assert ended.stderr == f"hwangso: {said}\n"


def test_what_is_started_imports_nothing_that_takes_time() -> None:
    probe = "import sys; import hwangso_tools.cli; print(*sys.modules, sep='\\n')"
    shown = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    loaded = set(shown.stdout.split())
    assert "hwangso_tools.cli" in loaded
    assert loaded & {"cyclopts", "msgspec", "trio", "hwangso_tools.commands"} == set()


@pytest.mark.usefixtures("handlers")
def test_nohup_stays_in_force() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interruption = Interruption()
    interruption.watch()
    signal.raise_signal(signal.SIGHUP)
    assert interruption.by is None


def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*HWANGSO, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == ExitCode.STORAGE
    assert ended.stderr.startswith("hwangso: no space left")
    assert ended.stderr.count("\n") == 1


def test_a_reader_that_has_gone_is_no_error_worth_a_traceback() -> None:
    piped = subprocess.Popen(
        [*HWANGSO, "serve", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert piped.stdout is not None
    assert piped.stderr is not None
    piped.stdout.close()
    assert piped.stderr.read() == ""
    piped.stderr.close()
    assert piped.wait(timeout=60) in (ExitCode.OK, ExitCode.VERDICT)
