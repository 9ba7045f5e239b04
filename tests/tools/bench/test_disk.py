from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from hwangso_tools.bench.disk import file_system, require_disk
from hwangso_tools.errors import CommandError


@pytest.fixture(autouse=True)
def mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [("/", "ext4"), ("/memory", "tmpfs"), ("/memory/disk", "xfs")]
    found = [SimpleNamespace(mountpoint=mount, fstype=kind) for mount, kind in table]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: found)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/home/x", "ext4"),
        ("/memory", "tmpfs"),
        ("/memory/x", "tmpfs"),
        ("/memory/disk/x", "xfs"),
        ("/memoryless", "ext4"),
    ],
)
def test_the_innermost_mount_counts(folder: str, kind: str) -> None:
    assert file_system(Path(folder)) == kind


def test_memory_is_no_disk() -> None:
    assert require_disk(Path("/home")) == "ext4"
    with pytest.raises(CommandError, match=r"/memory is in memory \(tmpfs\).*--work"):
        require_disk(Path("/memory"))


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])
    assert require_disk(Path("/home")) == "unknown"
