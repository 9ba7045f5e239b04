"""The comparison of jitters in tables: one for each figure, case x kind."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.experiments.jitter import Outcome, overall
from hwangso_tools.results import Figure

Outcomes = Mapping[str, Mapping[str, Outcome]]
"""By case, then by kind."""


def _back(outcome: Outcome) -> str:
    never = f" ({outcome.never} never)" if outcome.never else ""
    return f"{outcome.back_ratio:.2f}{never}"


def _worst(outcome: Outcome) -> str:
    return "-" if outcome.worst_s is None else f"{outcome.worst_s:.0f}"


COLUMNS: Final[Mapping[str, Callable[[Outcome], str]]] = {
    "time until 99 % are back, 1 = ideal": _back,
    "attempts of a device": lambda outcome: f"{outcome.attempts_mean:.1f}",
    "peak of arrivals, 1 = capacity": lambda outcome: f"{outcome.peak_ratio:.1f}",
    "last device back after, s": _worst,
}
"""Each figure, as people read it."""


def tables(outcomes: Outcomes) -> list[Table]:
    """For a terminal. At least one case, each with the same kinds."""
    made: list[Table] = []
    for title, shown in COLUMNS.items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("case", no_wrap=True)
        for kind in next(iter(outcomes.values())):
            table.add_column(kind, justify="right")
        for case, of_case in outcomes.items():
            table.add_row(case, *(shown(outcome) for outcome in of_case.values()))
        table.add_section()
        together = overall(list(outcomes.values()))
        table.add_row("together", *(shown(outcome) for outcome in together.values()))
        made.append(table)
    return made


def as_figures(outcomes: Outcomes, best: str) -> dict[str, Figure]:
    """For a results file."""
    cases: dict[str, Figure] = {
        case: {kind: asdict(outcome) for kind, outcome in of_case.items()}
        for case, of_case in outcomes.items()
    }
    together: dict[str, Figure] = {
        kind: asdict(outcome) for kind, outcome in overall(list(outcomes.values())).items()
    }
    return {"best": best, "together": together, "cases": cases}
