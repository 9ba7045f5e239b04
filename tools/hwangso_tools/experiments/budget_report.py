"""The comparison of rate controllers in tables: one for each figure, scenario x controller."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from rich import box
from rich.table import Table

from hwangso_tools.experiments.budget import Outcome, mean_drain_ratios
from hwangso_tools.results import Figure

Outcomes = Mapping[str, Mapping[str, Outcome]]
"""By scenario, then by controller."""


def _drain(outcome: Outcome) -> str:
    return "never" if outcome.drain_ratio is None else f"{outcome.drain_ratio:.2f}"


COLUMNS: Final[Mapping[str, Callable[[Outcome], str]]] = {
    "drain time, 1 = ideal": _drain,
    "idle while devices wait, %": lambda outcome: f"{100 * outcome.idle_share:.0f}",
    "background queue p99, ms": lambda outcome: f"{1e3 * outcome.background_p99_s:,.0f}",
    "foreground queue p99, ms": lambda outcome: f"{1e3 * outcome.foreground_p99_s:,.1f}",
    "deferrals, mean": lambda outcome: f"{outcome.deferrals_mean:.2f}",
    "deferrals, most": lambda outcome: str(outcome.deferrals_max),
    "overshoot of the rate": lambda outcome: f"{outcome.overshoot:.2f}",
}
"""Each figure, as people read it."""


def tables(outcomes: Outcomes) -> list[Table]:
    """For a terminal."""
    made: list[Table] = []
    for title, shown in COLUMNS.items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        table.add_column("scenario", no_wrap=True)
        for controller in _controllers(outcomes):
            table.add_column(controller, justify="right")
        for scenario, of_scenario in outcomes.items():
            table.add_row(scenario, *(shown(outcome) for outcome in of_scenario.values()))
        made.append(table)
    return made


def as_figures(outcomes: Outcomes, best: str) -> dict[str, Figure]:
    """For a results file."""
    scenarios: dict[str, Figure] = {
        scenario: {controller: asdict(outcome) for controller, outcome in of_scenario.items()}
        for scenario, of_scenario in outcomes.items()
    }
    means: dict[str, Figure] = dict(mean_drain_ratios(outcomes))
    return {"best": best, "mean_drain_ratios": means, "scenarios": scenarios}


def _controllers(outcomes: Outcomes) -> list[str]:
    return list(next(iter(outcomes.values()), {}))
