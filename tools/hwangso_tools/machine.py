"""The machine below: what it is, and what a process that makes load asks of it."""

import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import psutil

VERSIONED = ("hwangso", "trio", "cryptography", "cbor2", "msgspec")
"""The distributions whose versions a result names: those on the path of every message."""


class Machine(msgspec.Struct, frozen=True):
    """Where a figure was measured."""

    system: str
    processor: str
    cores: int
    memory_bytes: int


def machine() -> Machine:
    """This machine."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
    )


def versions() -> dict[str, str]:
    """Python and the distributions that matter, by name."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in VERSIONED},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def raise_descriptor_limit() -> int:
    """Allow as many open files as the hard limit says, and give that number: each connection is
    one. Child processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 1_048_576)  # the kernel's own default ceiling, fs.nr_open
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard


@dataclass(frozen=True, slots=True)
class Cores:
    """A core for the server and another one for the generator."""

    server: int
    generator: int


def separate_cores() -> Cores | None:
    """Two of the cores that this process may use; None where there are none, or no pinning."""
    if sys.platform != "linux":
        return None
    cores = sorted(os.sched_getaffinity(0))
    return Cores(server=cores[0], generator=cores[-1]) if len(cores) >= 2 else None


def pin(pid: int, core: int) -> None:
    """Keep a process on one core. Threads that it starts later stay there too."""
    if sys.platform == "linux":
        os.sched_setaffinity(pid, {core})


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keep this thread on one core meanwhile; with None, do nothing."""
    if core is None or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


REALTIME_PRIORITY = 10
"""Of 1 to 99: above every ordinary process, below the kernel's own threads."""


def ask_for_realtime() -> bool:
    """Let this process run before every ordinary one on its core; False where it may not."""
    if sys.platform != "linux":
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    except PermissionError:
        return False
    return True
