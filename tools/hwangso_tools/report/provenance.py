"""What a report must say so that somebody else can make it again."""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Final

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.machine import Machine, machine, versions

DRAWN_WITH: Final = "plotly"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a report comes from."""

    command: tuple[str, ...]
    """The words on the command line that make it again."""
    made_at: datetime
    """In UTC."""
    seed: int
    without: tuple[Mechanism, ...]
    real_speed: float | None
    """So many seconds of the story passed in one, on real sockets; None for virtual time."""
    machine: Machine
    versions: dict[str, str]

    @property
    def command_line(self) -> str:
        """As a shell takes it."""
        return shlex.join(self.command)

    def rows(self) -> list[tuple[str, str]]:
        """For people: what, and its value."""
        without = ", ".join(mechanism.value for mechanism in self.without)
        where = "virtual time, on a modelled processor and network"
        if self.real_speed is not None:
            where = f"real sockets, {self.real_speed:g} times as fast as told"
        machine = self.machine
        return [
            ("made", f"{self.made_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("seed", str(self.seed)),
            ("played in", where),
            ("control on is without", without or "nothing: it is whole"),
            ("processor", f"{machine.processor}, {machine.cores} cores"),
            ("memory", f"{machine.memory_bytes / 2**30:.1f} GiB"),
            ("system", machine.system),
            ("versions", ", ".join(f"{name} {known}" for name, known in self.versions.items())),
        ]


def provenance(
    command: tuple[str, ...], seed: int, without: tuple[Mechanism, ...], real_speed: float | None
) -> Provenance:
    """That of a report made here and now."""
    return Provenance(
        command=command,
        made_at=datetime.now(UTC),
        seed=seed,
        without=without,
        real_speed=real_speed,
        machine=machine(),
        versions={**versions(), DRAWN_WITH: metadata.version(DRAWN_WITH)},
    )
