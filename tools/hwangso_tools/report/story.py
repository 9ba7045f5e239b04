"""What a report tells."""

from dataclasses import dataclass

from hwangso_tools.report.provenance import Provenance
from hwangso_tools.report.series import Run
from hwangso_tools.storm.report import Outcome


@dataclass(frozen=True, slots=True)
class Story:
    """One scenario, as it was played here."""

    outcome: Outcome
    runs: tuple[Run, ...]
    """Those of the outcome, in the same order."""
    provenance: Provenance
