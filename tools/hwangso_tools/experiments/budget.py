"""Which rate controller should the background budget have? Each one, in each scenario, before the
same crowd and the same foreground; and two rates that never change, as the negative control."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean
from typing import Final

from hwangso_server.admission.background import BudgetSample, RateController
from hwangso_server.admission.rates import Aimd, Gradient, Measured, Pid
from hwangso_tools.experiments.budget_storm import Record, Scenario, Storm, always

FAST_PER_S: Final = 3_000.0
SLOW_PER_S: Final = 15.0
"""Handshakes a second of a real server, and of one in virtual time."""

SCENARIOS: Final = (
    Scenario(
        name="storm",
        about="10,000 devices at once; 3,000 handshakes a second, 5 % of that foreground",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=always(0.05),
    ),
    Scenario(
        name="rate-known",
        about="the same; the controllers begin with the right rate",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=always(0.05),
        told_share=0.855,
    ),
    Scenario(
        name="restart",
        about="the same; the server has just been started",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=always(0.05),
        calm_s=0.0,
    ),
    Scenario(
        name="rise",
        about="the same; foreground is 60 % from 1.5 s on",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=((-inf, 0.05), (1.5, 0.6)),
    ),
    Scenario(
        name="stop-and-go",
        about="the same; foreground is 60 % in every other second",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=((-inf, 0.05), *((s + 0.5, 0.05 if s % 2 else 0.6) for s in range(60))),
    ),
    Scenario(
        name="slowdown",
        about="the same; everything takes twice as long from 1.5 s on",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=always(0.05),
        slowness=((-inf, 1.0), (1.5, 2.0)),
    ),
    Scenario(
        name="stalls",
        about="the same; stalls of 0.2 s at 0.3 s, 1.5 s and 3 s",
        devices=10_000,
        handshakes_per_s=FAST_PER_S,
        foreground=always(0.05),
        stalls=((0.3, 0.2), (1.5, 0.2), (3.0, 0.2)),
    ),
    Scenario(
        name="small",
        about="1,000 devices at once; 15 handshakes a second, 5 % of that foreground",
        devices=1_000,
        handshakes_per_s=SLOW_PER_S,
        foreground=always(0.05),
        calm_s=60.0,
    ),
    Scenario(
        name="small-rise",
        about="the same; foreground is 60 % from 20 s on",
        devices=1_000,
        handshakes_per_s=SLOW_PER_S,
        foreground=((-inf, 0.05), (20.0, 0.6)),
        calm_s=60.0,
    ),
)


class Fixed:
    """A negative control: a rate that never changes."""

    def __init__(self, rate_per_s: float) -> None:
        self.rate_per_s = rate_per_s

    def on_window(self, sample: BudgetSample) -> float:
        """The same as ever."""
        return self.rate_per_s


Make = Callable[[Scenario], RateController]
"""Makes a controller for a scenario."""

CONTROLLERS: Final[Mapping[str, Make]] = {
    "AIMD": lambda scenario: Aimd(_told_per_s(scenario)),
    "PID": lambda scenario: Pid(_told_per_s(scenario)),
    "gradient": lambda scenario: Gradient(_told_per_s(scenario)),
    "measured": lambda scenario: Measured(_told_per_s(scenario)),
}
NEGATIVE_CONTROLS: Final[Mapping[str, Make]] = {
    "fixed low": lambda scenario: Fixed(scenario.spare_per_s(0) / 2),
    "fixed high": lambda scenario: Fixed(scenario.spare_per_s(0) * 2),
}
"""Half and twice what there is room for at the beginning."""


DRAINED_SHARE: Final = 0.99
"""Of the crowd is served: then the storm has drained."""

OVERSHOOT_S: Final = 1.0
"""Rates are averaged over so long a time."""


@dataclass(frozen=True)
class Outcome:
    """One controller in one scenario."""

    drain_ratio: float | None
    """Time until the storm has drained, over the shortest that there can be; None: never."""
    idle_share: float
    """Of that time, the processor was idle although devices waited for their slots."""
    background_p99_s: float
    """In the queue of those let in; likewise the next."""
    foreground_p99_s: float
    deferrals_mean: float
    deferrals_max: int
    attempts_mean: float
    overshoot: float
    """The highest rate over one second, over what foreground left room for."""


def compare(
    scenarios: Sequence[Scenario], controllers: Mapping[str, Make], seed: int
) -> Iterator[tuple[Scenario, dict[str, Outcome]]]:
    """Run each controller in each scenario; gives the outcomes scenario by scenario."""
    for scenario in scenarios:
        ideal_s = _drained_s(Storm(scenario, None, seed).run(), scenario)
        if ideal_s is None:
            raise ValueError(f"{scenario.name}: no server could do it within the limit")
        yield (
            scenario,
            {
                name: judge(scenario, Storm(scenario, make(scenario), seed).run(), ideal_s)
                for name, make in controllers.items()
            },
        )


def judge(scenario: Scenario, record: Record, ideal_s: float) -> Outcome:
    """What a run was like."""
    drained_s = _drained_s(record, scenario)
    until_s = scenario.limit_s if drained_s is None else drained_s
    return Outcome(
        drain_ratio=None if drained_s is None else drained_s / ideal_s,
        idle_share=sum(idle_s for at_s, idle_s in record.idle_s if at_s <= until_s) / until_s,
        background_p99_s=percentile(record.background_delays_s, 0.99),
        foreground_p99_s=percentile(record.foreground_delays_s, 0.99),
        deferrals_mean=fmean(record.deferrals or [0]),
        deferrals_max=max(record.deferrals, default=0),
        attempts_mean=record.attempts / max(1, len(record.served_s)),
        overshoot=_overshoot(scenario, record, until_s),
    )


def mean_drain_ratios(outcomes: Mapping[str, Mapping[str, Outcome]]) -> dict[str, float | None]:
    """Of each controller over all scenarios (by scenario, then by controller); None if it did not
    drain one of them."""
    means: dict[str, float | None] = {}
    for name in next(iter(outcomes.values()), {}):
        ratios = [of_scenario[name].drain_ratio for of_scenario in outcomes.values()]
        drained = [ratio for ratio in ratios if ratio is not None]
        means[name] = fmean(drained) if len(drained) == len(ratios) else None
    return means


def best(outcomes: Mapping[str, Mapping[str, Outcome]], candidates: Sequence[str]) -> str:
    """The candidate with the smallest mean drain time."""
    means = mean_drain_ratios(outcomes)

    def mean_or_never(name: str) -> float:
        mean = means[name]
        return inf if mean is None else mean

    return min(candidates, key=mean_or_never)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _told_per_s(scenario: Scenario) -> float:
    return scenario.told_share * scenario.handshakes_per_s


def _drained_s(record: Record, scenario: Scenario) -> float | None:
    enough = int(DRAINED_SHARE * scenario.devices)
    return sorted(record.served_s)[enough - 1] if len(record.served_s) >= enough else None


def _overshoot(scenario: Scenario, record: Record, until_s: float) -> float:
    ratios: list[float] = []
    second: list[tuple[float, float]] = []
    for at_s, rate_per_s in record.rates:
        if at_s > until_s:
            break
        second = [(then_s, ratio) for then_s, ratio in second if then_s > at_s - OVERSHOOT_S]
        second.append((at_s, rate_per_s / scenario.spare_per_s(at_s)))
        ratios.append(fmean(ratio for _, ratio in second))
    return max(ratios, default=0.0)
