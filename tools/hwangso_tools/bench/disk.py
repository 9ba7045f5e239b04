"""Whether a folder is on a disk: on a file system in memory an fsync costs nothing."""

import os
from pathlib import Path
from typing import Final

import psutil

from hwangso_tools.errors import CommandError

IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})


def file_system(folder: Path) -> str:
    """Its type: ext4, xfs, overlay. `unknown` where the system does not tell."""
    real = folder.resolve()
    best, kind = "", "unknown"
    for partition in psutil.disk_partitions(all=True):
        mount = str(partition.mountpoint)
        if os.path.commonpath([mount, real]) == mount and len(mount) >= len(best):
            best, kind = mount, str(partition.fstype)
    return kind


def require_disk(folder: Path) -> str:
    """The type of the folder's file system. Raises CommandError if that is in memory."""
    kind = file_system(folder)
    if kind in IN_MEMORY:
        raise CommandError(
            f"{folder} is in memory ({kind}), where nothing is ever written to a disk: name "
            "another folder with --work"
        )
    return kind
