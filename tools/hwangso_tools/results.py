"""The file behind every `--json FILE`: one shape for all commands.

    {"command": "swarm", "figures": {"logins": 12, ...}, "machine": {...}, "versions": {...},
     "config": {...}}

`figures` are what was measured, `config` what was asked for. Times carry their unit in the name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

import msgspec

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.machine import Machine, machine, versions

Figure: TypeAlias = "int | float | str | bool | list[Figure] | dict[str, Figure] | None"
Figures: TypeAlias = Mapping[str, Figure]


class Results(msgspec.Struct, frozen=True):
    """The content of a results file."""

    command: str
    figures: dict[str, object]
    """Each value is a Figure."""
    machine: Machine
    versions: dict[str, str]
    config: dict[str, object]


class ResultsFile:
    """Where a command's results go; nowhere without a path. Use `results_file`."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream

    def write(self, command: str, figures: Figures, config: Figures) -> None:
        """Write the results, once. Raises CommandError when the disk does not take them."""
        if self._stream is None:
            return
        results = Results(command, dict(figures), machine(), versions(), dict(config))
        content = msgspec.json.format(msgspec.json.encode(results), indent=2)
        save(self._stream, content + b"\n")


@contextmanager
def results_file(path: Path | None) -> Iterator[ResultsFile]:
    """Where `--json` writes; see `opened`. Raises CommandError."""
    if path is None:
        yield ResultsFile(None)
        return
    with opened("--json", path) as stream:
        yield ResultsFile(stream)


@contextmanager
def opened(option: str, path: Path) -> Iterator[IO[bytes]]:
    """Open the file that an option names before the run, so that a run is not wasted on a path that
    cannot be written.

    What stood there is gone then; a file that nothing was written to does not stay. Raises
    CommandError.
    """
    try:
        stream = path.open("wb")
    except OSError as error:
        raise CommandError(f"{option} {path}: cannot be written: {error.strerror}") from None
    with stream:
        try:
            yield stream
        finally:
            if path.is_file() and path.stat().st_size == 0:
                path.unlink()


def save(stream: IO[bytes], content: bytes) -> None:
    """Write results to such a file. Raises CommandError when the disk does not take them."""
    try:
        stream.write(content)
        stream.flush()
    except OSError as error:
        raise CommandError(
            f"{stream.name}: {error.strerror}; the results are not saved", ExitCode.STORAGE
        ) from None
