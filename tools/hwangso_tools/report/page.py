"""The page: one HTML file that needs nothing else. Pure.

`page.html.jinja` is its text. All that comes from a scenario is escaped there, and the page itself
forbids the browser to load anything (Content-Security-Policy).
"""

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hwangso_tools.durations import in_words
from hwangso_tools.report.charts import charts
from hwangso_tools.report.events import marks
from hwangso_tools.report.plot import CONFIG, figure, library
from hwangso_tools.report.scenario_text import scenario_text
from hwangso_tools.report.series import COLUMNS, OpenWaits, Run
from hwangso_tools.report.story import Story
from hwangso_tools.storm.progress import clock, control_name
from hwangso_tools.storm.report import (
    LABELS,
    Outcome,
    published_in_words,
    sentences,
    sources,
    value_in_words,
)


def page(story: Story) -> str:
    """The whole page."""
    scenario = story.outcome.scenario
    told, happening = sentences(story.outcome), marks(scenario)
    made = _environment().get_template("page.html.jinja")
    return made.render(
        about=scenario.scenario,
        devices=scenario.population.devices,
        headline=told[-1],
        details=told[:-1],
        control_names=[control_name(run.control) for run in story.runs],
        figures=_figure_rows(story.outcome),
        sources=sources(scenario),
        waits=_wait_rows(story.runs),
        marks=[(clock(mark.at_s), mark.name, mark.meaning) for mark in happening],
        charts=[(chart, figure(chart)) for chart in charts(story.runs, happening)],
        provenance=story.provenance,
        scenario_text=scenario_text(scenario),
        columns=COLUMNS,
        step_s=story.runs[0].step_s,
        config=CONFIG,
        library=Markup(library()),  # it has no `</script`
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hwangso_tools.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


Row = tuple[str, list[str]]
"""What, and what it is in each column."""


def _figure_rows(outcome: Outcome) -> list[Row]:
    """What was published, and what each run came to."""
    published = {one.figure: one for one in outcome.scenario.published}
    runs = outcome.runs().items()
    return [
        (
            label,
            [
                published_in_words(published[name]) if name in published else "",
                *(value_in_words(name, run, control) for control, run in runs),
            ],
        )
        for name, label in LABELS.items()
    ]


def _wait_rows(runs: Sequence[Run]) -> list[Row]:
    """A column for each run."""
    waits = [run.waits for run in runs]
    percentiles = {
        "p50": [one.p50_s for one in waits],
        "p90": [one.p90_s for one in waits],
        "p99": [one.p99_s for one in waits],
        "p99.9": [one.p99_9_s for one in waits],
        "longest": [one.max_s for one in waits],
    }
    return [
        ("app opens", [f"{one.opens:,}" for one in waits]),
        *(
            (name, [_wait_in_words(one, wait_s) for one, wait_s in zip(waits, found, strict=True)])
            for name, found in percentiles.items()
        ),
        ("no session in 30 s", [f"{one.failed:,}" for one in waits]),
    ]


def _wait_in_words(waits: OpenWaits, wait_s: float | None) -> str:
    if wait_s is not None:
        return in_words(wait_s)
    return "never" if waits.opens else "-"
