"""Which jitter should a device's back-off have? Each kind, for the same crowds, on servers of
several sizes that were away for several times; and no jitter, as the negative control.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean
from typing import Final

from hwangso_client.backoff import DecorrelatedJitter, FullJitter, NoJitter
from hwangso_tools.experiments.jitter_storm import (
    ARRIVALS_WINDOW_S,
    LIMIT_S,
    Make,
    Record,
    Setting,
    Storm,
)


class EqualJitter:
    """Half of what `NoJitter` would wait, and anything up to the other half: the third kind of the
    source that `hwangso_client.backoff` names."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ceiling = NoJitter()

    def next_s(self, base_s: float, cap_s: float) -> float:
        """The wait before the next try."""
        half_s = self._ceiling.next_s(base_s, cap_s) / 2
        return half_s + self._rng.uniform(0.0, half_s)

    def reset(self) -> None:
        """Begin at the base again."""
        self._ceiling.reset()


class SlowFullJitter(FullJitter):
    """Full jitter at four times the base: its first wait is that of decorrelated jitter."""

    def next_s(self, base_s: float, cap_s: float) -> float:
        """The wait before the next try."""
        return super().next_s(4 * base_s, cap_s)


KINDS: Final[Mapping[str, Make]] = {
    "full": FullJitter,
    "decorrelated": DecorrelatedJitter,
    "equal": EqualJitter,
}
"""All with the same policy."""
CONTROLS: Final[Mapping[str, Make]] = {
    "full, 4 base": SlowFullJitter,
    "none": lambda _: NoJitter(),
}
"""How much of a difference is only that of the first wait; and the negative control."""


@dataclass(frozen=True)
class Case:
    """A crowd and its policy, in several settings over which its figures are taken together."""

    name: str
    about: str
    settings: Sequence[Setting]


CAPACITIES: Final = (0.3, 1.0, 3.0)
QUEUES: Final = {"deep": 0.4, "shallow": 0.04}
"""An accept queue of 4,096 for 10,000 devices, and for 100,000."""


def _cases() -> Iterator[Case]:
    for queue, share in QUEUES.items():
        for cap_s in (4.0, 16.0, 60.0):
            yield Case(
                f"{queue}, cap {cap_s:g} s",
                f"accept queue for {share:.0%} of the devices, policy 0.5 s to {cap_s:g} s",
                [
                    Setting(capacity=capacity, queue=share, outage_s=outage_s, cap_s=cap_s)
                    for outage_s in (0.0, 10.0, 60.0)
                    for capacity in CAPACITIES
                ],
            )
        yield Case(
            f"{queue}, impatient",
            f"accept queue for {share:.0%}, policy 0.1 s to 1 s, devices that wait 1 s",
            [
                Setting(
                    capacity=capacity,
                    queue=share,
                    outage_s=outage_s,
                    base_s=0.1,
                    cap_s=1.0,
                    connect_timeout_s=1.0,
                    answer_timeout_s=1.0,
                )
                for outage_s in (0.0, 10.0)
                for capacity in CAPACITIES
            ],
        )


CASES: Final = tuple(_cases())

BACK_SHARE: Final = 0.99
"""Of the crowd is back: then the storm is over."""


@dataclass(frozen=True)
class Outcome:
    """One kind in one case."""

    never: int
    """Settings in which the storm was not over after LIMIT_S."""
    back_ratio: float
    """Time from the server's return until the storm was over, over the shortest that there can be;
    geometric mean over the settings, where `never` counts as LIMIT_S."""
    attempts_mean: float
    """Of a device."""
    peak_ratio: float
    """The most arrivals in ARRIVALS_WINDOW_S, over what the server can answer in that time;
    geometric mean."""
    worst_s: float | None
    """The longest that any device was away after the server's return; None: longer than LIMIT_S."""


def compare(
    cases: Sequence[Case], kinds: Mapping[str, Make], seed: int
) -> Iterator[tuple[Case, dict[str, Outcome]]]:
    """Run each kind in each setting; gives the outcomes case by case."""
    for case in cases:
        yield (
            case,
            {
                name: judge(
                    [(setting, Storm(setting, make, seed).run()) for setting in case.settings]
                )
                for name, make in kinds.items()
            },
        )


def judge(runs: Sequence[tuple[Setting, Record]]) -> Outcome:
    """What a kind was like in these settings."""
    over_s = [_over_s(setting, record) for setting, record in runs]
    return Outcome(
        never=over_s.count(None),
        back_ratio=geometric_mean(
            (LIMIT_S if seconds is None else seconds) / _ideal_s(setting)
            for seconds, (setting, _) in zip(over_s, runs, strict=True)
        ),
        attempts_mean=fmean(record.attempts / setting.devices for setting, record in runs),
        peak_ratio=geometric_mean(
            max(record.arrivals.values()) / ARRIVALS_WINDOW_S / setting.handshakes_per_s
            for setting, record in runs
        ),
        worst_s=_worst_s(runs),
    )


def overall(outcomes: Sequence[Mapping[str, Outcome]]) -> dict[str, Outcome]:
    """Of each kind over all cases: geometric means, sums, the worst."""
    return {name: _overall([of_case[name] for of_case in outcomes]) for name in outcomes[0]}


def best(outcomes: Sequence[Mapping[str, Outcome]]) -> str:
    """The kind that most often ends the storm at all, and then soonest on average."""
    means = overall(outcomes)
    return min(KINDS, key=lambda name: (means[name].never, means[name].back_ratio))


def _overall(outcomes: Sequence[Outcome]) -> Outcome:
    worst_s = [outcome.worst_s for outcome in outcomes if outcome.worst_s is not None]
    return Outcome(
        never=sum(outcome.never for outcome in outcomes),
        back_ratio=geometric_mean(outcome.back_ratio for outcome in outcomes),
        attempts_mean=geometric_mean(outcome.attempts_mean for outcome in outcomes),
        peak_ratio=geometric_mean(outcome.peak_ratio for outcome in outcomes),
        worst_s=max(worst_s) if len(worst_s) == len(outcomes) else None,
    )


def _enough(setting: Setting) -> int:
    return int(BACK_SHARE * setting.devices)


def _ideal_s(setting: Setting) -> float:
    return _enough(setting) / setting.handshakes_per_s


def _over_s(setting: Setting, record: Record) -> float | None:
    enough = _enough(setting)
    if len(record.back_at) < enough:
        return None
    return record.back_at[enough - 1] - setting.outage_s


def _worst_s(runs: Sequence[tuple[Setting, Record]]) -> float | None:
    if any(len(record.back_at) < setting.devices for setting, record in runs):
        return None
    return max(record.back_at[-1] - setting.outage_s for setting, record in runs)
