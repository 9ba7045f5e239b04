import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwangso_server.folder import (
    SOCKET_PATH_MAX_BYTES,
    DataFolder,
    DataFolderError,
    DataFolderInUse,
    replace_file,
)

OWNER = """
import sys
from pathlib import Path
from hwangso_server.folder import DataFolder

with DataFolder.open(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path) -> str:
    with pytest.raises(DataFolderError) as caught, DataFolder.open(path):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """No mask at all: only the modes that the code asks for protect a file."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_umask")
def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with DataFolder.open(tmp_path / "data") as folder:
        assert mode_of(folder.path) == 0o700
        assert mode_of(folder.lock) == 0o600
        assert folder.lock.read_text() == f"{os.getpid()}\n"
        assert folder.database == tmp_path / "data" / "messages.db"


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with DataFolder.open(tmp_path):
        with pytest.raises(DataFolderInUse) as caught, DataFolder.open(tmp_path):
            pass
        assert str(caught.value) == (
            f"data folder {tmp_path}: in use by process {os.getpid()}; "
            "stop that one or name another data folder"
        )
    with DataFolder.open(tmp_path):
        pass


def test_a_killed_owner_leaves_the_folder_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        assert f"in use by process {owner.pid};" in refusal(tmp_path)
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    (tmp_path / "lock").write_text("a longer pid than any\n")
    with DataFolder.open(tmp_path) as folder:
        assert folder.lock.read_text() == f"{os.getpid()}\n"


def test_not_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert refusal(file) == f"{file}: Not a directory"


def test_missing_parent_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "data"
    assert refusal(path) == f"{path}: No such file or directory"
    assert not path.parent.exists()


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_folder_others_can_write_to(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert refusal(tmp_path).endswith(f"other users can write to it; run: chmod 700 {tmp_path}")


def test_folder_others_can_only_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with DataFolder.open(tmp_path):
        pass


def test_path_too_long_for_the_socket(tmp_path: Path) -> None:
    room = SOCKET_PATH_MAX_BYTES - len(os.fsencode(tmp_path / "x" / "admin.sock"))
    with DataFolder.open(tmp_path / ("x" * (room + 1))):
        pass
    too_long = tmp_path / ("x" * (room + 2))
    assert "the path is 1 bytes too long for the admin socket" in refusal(too_long)
    assert not too_long.exists()


def test_a_relative_path_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.chdir(deep)
    with DataFolder.open(Path("data")) as folder:
        assert (deep / "data" / "lock").samefile(folder.lock)


@pytest.mark.usefixtures("loose_umask")
def test_replace_file_has_its_mode_before_it_has_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    real_open = os.open

    def watched_open(path: str | Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(path, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched_open)
    replace_file(tmp_path / "secret", b"s", 0o600)
    assert modes[0] == 0o600
    assert mode_of(tmp_path / "secret") == 0o600


def test_replace_file_syncs_content_then_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen = []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append(("folder" if is_folder else "file", path.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(path, b"new", 0o600)
    assert seen == [("file", b"old"), ("folder", b"new")]


def test_replace_file_on_a_full_disk_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old", 0o600)
    with monkeypatch.context() as full_disk:

        def fsync(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full_disk.setattr(os, "fsync", fsync)
        with pytest.raises(DataFolderError, match=f"^{path}: No space left on device$"):
            replace_file(path, b"new", 0o600)
    assert path.read_bytes() == b"old"
    replace_file(path, b"newer", 0o600)  # what the failure left is no obstacle
    assert path.read_bytes() == b"newer"
    assert list(tmp_path.iterdir()) == [path]


def test_open_on_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full_disk:
        full_disk.setattr(os, "pwrite", pwrite)
        assert refusal(tmp_path) == f"{tmp_path}: No space left on device"
    with DataFolder.open(tmp_path):  # and the lock is free again
        pass
