"""`hwangso experiment`: the comparisons behind choices that the design leaves open."""

from pathlib import Path

from cyclopts import App
from rich.console import Console

from hwangso_tools.experiments import budget as comparison
from hwangso_tools.experiments import jitter as jitters
from hwangso_tools.experiments import jitter_report
from hwangso_tools.experiments.budget_report import as_figures, tables
from hwangso_tools.results import results_file

app = App(name="experiment", help="The comparisons behind choices of the design.")
app.command(
    "hwangso_tools.commands.ablation:ablation",
    name="ablation",
    help="What each mechanism of the control buys.",
)
app.command(
    "hwangso_tools.commands.stability:stability",
    name="stability",
    help="Which outages outlive their trigger, control off and on.",
)


@app.command
def budget(*, json: Path | None = None, seed: int = 2017) -> None:
    """Rate controllers of the background budget: which one drains a storm best.

    Simulated, in about 20 seconds; the same seed gives the same figures.

    Parameters
    ----------
    json
        Write the results to this file.
    seed
        Of everything that happens by chance.
    """
    console = Console()
    controllers = {**comparison.CONTROLLERS, **comparison.NEGATIVE_CONTROLS}
    with results_file(json) as results:
        outcomes: dict[str, dict[str, comparison.Outcome]] = {}
        for scenario, of_scenario in comparison.compare(comparison.SCENARIOS, controllers, seed):
            console.print(f"{scenario.name}: {scenario.about}", highlight=False)
            outcomes[scenario.name] = of_scenario
        for table in tables(outcomes):
            console.print(table)
        best = comparison.best(outcomes, list(comparison.CONTROLLERS))
        console.print(f"smallest mean drain time: {best}")
        results.write("experiment budget", as_figures(outcomes, best), {"seed": seed})


@app.command
def jitter(*, json: Path | None = None, seed: int = 2017) -> None:
    """Jitters of a device's back-off: which one brings a crowd back best without control.

    Simulated, in about 20 seconds; the same seed gives the same figures.

    Parameters
    ----------
    json
        Write the results to this file.
    seed
        Of everything that happens by chance.
    """
    console = Console()
    kinds = {**jitters.KINDS, **jitters.CONTROLS}
    with results_file(json) as results:
        outcomes: dict[str, dict[str, jitters.Outcome]] = {}
        for case, of_case in jitters.compare(jitters.CASES, kinds, seed):
            console.print(f"{case.name}: {case.about}", highlight=False)
            outcomes[case.name] = of_case
        for table in jitter_report.tables(outcomes):
            console.print(table)
        best = jitters.best(list(outcomes.values()))
        console.print(f"back most often, and soonest on average: {best}", highlight=False)
        results.write("experiment jitter", jitter_report.as_figures(outcomes, best), {"seed": seed})
