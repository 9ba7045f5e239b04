"""The table that sets published figures beside reproduced ones, and the sentences of what it means.

Both are computed from the figures of the runs, and are true of a run that went badly, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from hwangso_tools.durations import in_words
from hwangso_tools.results import Figure
from hwangso_tools.storm.figures import StormFigures
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.progress import control_name
from hwangso_tools.storm.scenario import Operator, Published, Scenario

LABELS: Final = {
    FigureName.BG_SHARE_CALM: "background among calm connects",
    FigureName.CONNECT_PEAK_RATIO: "connects at the peak, times calm",
    FigureName.BG_SHARE_PEAK: "background among them",
    FigureName.FG_SUCCESS: "app opens with a session in 30 s",
    FigureName.FG_P99_S: "app open to session, p99",
    FigureName.EMERGENCY_DETECTED_AFTER_S: "slow answers to EMERGENCY",
    FigureName.RESPONSE_NORMAL_AFTER_S: "answers normal again after",
    FigureName.STAGE_NORMAL_AFTER_S: "stage NORMAL again after",
    FigureName.MAX_BG_WAIT_S: "longest background wait",
    FigureName.MAX_DEFERRALS: "most deferrals of one phone",
    FigureName.SECOND_PEAK_RATIO: "second peak, times capacity",
    FigureName.GOODPUT_SHARE: "work that was of use, busiest minute",
}

SHARES: Final = frozenset(
    {
        FigureName.BG_SHARE_CALM,
        FigureName.BG_SHARE_PEAK,
        FigureName.FG_SUCCESS,
        FigureName.GOODPUT_SHARE,
    }
)
OF_STAGES: Final = frozenset(
    {FigureName.EMERGENCY_DETECTED_AFTER_S, FigureName.STAGE_NORMAL_AFTER_S}
)
"""Without control there are no stages."""
MAY_BE_UNKNOWN: Final = frozenset(
    {FigureName.EMERGENCY_DETECTED_AFTER_S, FigureName.BG_SHARE_CALM, FigureName.GOODPUT_SHARE}
)
"""No emergency, no connects, no modelled processor: none of these is a failure."""

MAY_COME_LATER: Final = frozenset(
    {FigureName.RESPONSE_NORMAL_AFTER_S, FigureName.STAGE_NORMAL_AFTER_S}
)
"""The story is told to an end, which on real sockets comes soon."""

SAME: Final = 1.5
"""Two times, or two shares of failures, that differ by less than this factor are much the same."""

FAILURES_THAT_MATTER: Final = 0.001
"""One app open in a thousand."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The runs of one scenario; at least one."""

    scenario: Scenario
    off: StormFigures | None
    on: StormFigures | None

    def runs(self) -> Mapping[bool, StormFigures]:
        """Those that there are, by whether the control was on; off first."""
        return {
            control: figures
            for control, figures in ((False, self.off), (True, self.on))
            if figures is not None
        }


def table(outcome: Outcome) -> Table:
    """A row for each figure."""
    published = {one.figure: one for one in outcome.scenario.published}
    runs = outcome.runs()
    title = Text(outcome.scenario.scenario.title)  # brackets in it are no markup
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1), title=title)
    made.add_column("", no_wrap=True)
    for heading in ("published", *map(control_name, runs)):
        made.add_column(heading, justify="right")
    for name, label in LABELS.items():
        said = published_in_words(published[name]) if name in published else ""
        values = (value_in_words(name, run, control) for control, run in runs.items())
        made.add_row(label, said, *values)
    return made


def sources(scenario: Scenario) -> list[str]:
    """Where the published figures are from, a line each."""
    return [
        f"published, {LABELS[one.figure]}: {published_in_words(one)} ({one.source})"
        for one in scenario.published
    ]


def value_in_words(name: FigureName, run: StormFigures, control: bool) -> str:
    """A figure as the table shows it."""
    value = run.by_name()[name]
    if name in OF_STAGES and not control:
        return "-"
    if value is not None:
        return _number(name, value)
    if name is FigureName.FG_SUCCESS:
        return "nobody came"
    if name in MAY_COME_LATER:
        return "not yet"
    return "-" if name in MAY_BE_UNKNOWN else "never"


def published_in_words(published: Published) -> str:
    """What was published, in the same form."""
    name = published.figure
    if published.range is not None:
        low, high = published.range
        return f"{_number(name, low)} to {_number(name, high)}"
    if published.at_least is not None:
        return f"over {_number(name, published.at_least)}"
    return "" if published.value is None else _number(name, published.value)


def _number(name: FigureName, value: float) -> str:
    if name in SHARES:
        return percent(value)
    if name is FigureName.MAX_DEFERRALS:
        return f"{value:.0f}"
    if name.value.endswith("_s"):
        return in_words(value)
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def percent(share: float) -> str:
    """Never 100 % when some are missing, nor 0 % when there is one."""
    if share >= 0.99 and share < 1:
        return f"{min(share, 0.9999) * 100:.2f} %"
    return f"{share * 100:.1f} %" if 0 < share < 0.1 else f"{share * 100:.0f} %"


# Sentences


def sentences(outcome: Outcome) -> list[str]:
    """What it means, in plain words."""
    said = [
        f"{control_name(control).capitalize()}: {_story(outcome.scenario, run, control)}."
        for control, run in outcome.runs().items()
    ]
    if outcome.off is not None and outcome.on is not None:
        said.append(_verdict(outcome.scenario, outcome.off, outcome.on))
    return said


def _story(scenario: Scenario, run: StormFigures, control: bool) -> str:
    peak, rise = run.connect_peak_ratio, ""
    if peak is not None:
        times = _number(FigureName.CONNECT_PEAK_RATIO, peak)
        rise = f"connects rose to {times} times the calm rate, "
    if run.fg_success is None:
        return f"{rise}nobody opened the app"
    opens = f"{percent(run.fg_success)} of app opens got a session in time"
    return f"{rise}{opens}, and {_recovery(scenario, run, control)}"


def _recovery(scenario: Scenario, run: StormFigures, control: bool) -> str:
    after_s = run.response_normal_after_s
    relief_s = None if control else _relief_s(scenario)
    if after_s is None:
        return "answers were not back at normal speed by the end"
    if after_s == 0:
        return "answers kept their normal speed"
    if relief_s is not None and after_s > relief_s:
        return (
            f"answers were back at normal speed after {in_words(after_s)}, not before the operator "
            f"stepped in after {in_words(relief_s)}"
        )
    return f"answers were back at normal speed after {in_words(after_s)}"


def _relief_s(scenario: Scenario) -> float | None:
    """When the operator steps in, counted as the figures are."""
    moments = [event.at_s for event in scenario.event if isinstance(event, Operator)]
    return min(moments) - scenario.first_event_s if moments else None


def _verdict(scenario: Scenario, off: StormFigures, on: StormFigures) -> str:
    failures = _compare(_failures(off), _failures(on), FAILURES_THAT_MATTER)
    times = _compare(_normal_after_s(off), _normal_after_s(on), 1.0)
    if min(failures, times) < 0 < max(failures, times):
        return "The control helped in one way and harmed in the other: see the table."
    if failures + times < 0:
        return "The control made it worse."
    if failures + times == 0:
        return "The control made no difference that matters here."
    if times > 0:
        before, after = (_slow_in_words(scenario, run) for run in (off, on))
        return f"The control cut the time of slow or missing answers from {before} to {after}."
    return "The control let people in who would have failed."


def _slow_in_words(scenario: Scenario, run: StormFigures) -> str:
    if run.response_normal_after_s is None:
        return f"more than {in_words(scenario.scenario.seconds - scenario.first_event_s)}"
    return in_words(run.response_normal_after_s) if run.response_normal_after_s else "none"


def _failures(run: StormFigures) -> float:
    return 0.0 if run.fg_success is None else 1 - run.fg_success


def _normal_after_s(run: StormFigures) -> float:
    return float("inf") if run.response_normal_after_s is None else run.response_normal_after_s


def _compare(off: float, on: float, matters: float) -> int:
    """1 if `on` is clearly less than `off`, -1 if it is clearly more, 0 if they are much the same;
    a difference of less than `matters` is none."""
    if off == on or abs(off - on) < matters:
        return 0
    if off > SAME * on:
        return 1
    return -1 if on > SAME * off else 0


def as_figures(outcome: Outcome) -> dict[str, Figure]:
    """For a results file: by control, then by name."""
    return {
        "on" if control else "off": {
            name.value: None if value is None else round(value, 6)
            for name, value in run.by_name().items()
        }
        for control, run in outcome.runs().items()
    }
