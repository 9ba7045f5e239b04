"""The stages of an emergency, and what brings them on.

    NORMAL -> BUSY -> EMERGENCY -> SHIELD     up at once, any number of stages
    NORMAL <- BUSY <- EMERGENCY <- SHIELD     down one at a time, when calm for a dwell

`THRESHOLDS` says it all: the *level* at one is how near its readings are to their limits, 1 is at
them; of several readings the one furthest away counts, for a threshold needs all of them. At level
1 it raises the stage to its own, at once or when that has lasted. While any threshold of the
present stage or one above is at `fall_level` or over, the stage is held; when none was for the
stage's dwell, it falls by one.

An operator may pin a stage for a time. Afterwards it goes on from there: up at once if it must,
down one at a time, so that the end of a pin is no second storm.

Pure: `now_s` is an argument.
"""

from collections.abc import Callable
from enum import IntEnum, StrEnum
from math import inf
from typing import Final

from msgspec import Struct

from hwangso_server.admission.settings import Settings
from hwangso_server.admission.signals import Signals


class Stage(IntEnum):
    """How far connects are put off; `treatment` has the table of what each does."""

    NORMAL = 0
    BUSY = 1
    EMERGENCY = 2
    SHIELD = 3


class StageRule(StrEnum):
    """Why the stage is what it is."""

    CALM = "calm"
    """Nothing has raised it."""
    BACKGROUND_STANDING = "background-standing"
    """A standing queue of background handshakes."""
    BACKGROUND_FULL = "background-full"
    """The background queue is as long as it may be: the surest sign, at once."""
    CONNECT_SURGE = "connect-surge"
    """A standing queue, and connects are far over the usual."""
    BACKLOG = "backlog"
    """The calendar reaches far ahead: demand has been over the budget for long."""
    FOREGROUND_STANDING = "foreground-standing"
    """A standing queue of foreground handshakes, which take most of the processor alone."""
    FOREGROUND_FULL = "foreground-full"
    """The foreground queue is as long as it may be."""
    RECOVERY = "recovery"
    """The stage above is over."""
    OPERATOR = "operator"
    """It is pinned."""
    UNPINNED = "unpinned"
    """The pin has ended, and the signals have not moved it since."""


class Reading(Struct, frozen=True, gc=False):
    """A signal beside its limit, both in the unit that the name ends with, or in none."""

    name: str
    value: float
    limit: float

    @property
    def level(self) -> float:
        """1 at the limit."""
        return self.value / self.limit


def readings(signals: Signals, backlog_s: float, settings: Settings) -> dict[str, Reading]:
    """Everything the thresholds look at. `backlog_s` is how far ahead the calendar reaches."""
    foreground_s, background_s = signals.foreground.standing_s, signals.background.standing_s
    foreground_target_s = max(
        settings.foreground_target_min_s, settings.foreground_targets * signals.target_s
    )
    found = (
        Reading("background_standing_s", background_s, signals.target_s),
        Reading("foreground_standing_s", foreground_s, foreground_target_s),
        Reading("standing_s", max(foreground_s, background_s), signals.target_s),
        Reading("connect_share", signals.connect_share, settings.connect_share),
        Reading("foreground_share", signals.foreground_share, settings.foreground_share),
        Reading("surge_ratio", signals.surge_ratio, settings.surge_ratio),
        Reading("backlog_s", backlog_s, settings.backlog_s),
    )
    return {reading.name: reading for reading in found}


class Threshold(Struct, frozen=True):
    """What raises the stage to `stage`: all of these readings at their limits."""

    rule: StageRule
    stage: Stage
    needs: tuple[str, ...]
    lasting_s: Callable[[Settings], float] = lambda _: 0.0

    def level(self, found: dict[str, Reading]) -> float:
        """1 and over: it is passed."""
        return min(found[name].level for name in self.needs)


THRESHOLDS: Final = (
    Threshold(
        StageRule.BACKGROUND_STANDING,
        Stage.BUSY,
        ("background_standing_s", "connect_share"),
    ),
    Threshold(
        StageRule.CONNECT_SURGE,
        Stage.EMERGENCY,
        ("standing_s", "connect_share", "surge_ratio"),
    ),
    Threshold(
        StageRule.BACKLOG,
        Stage.EMERGENCY,
        ("backlog_s",),
    ),
    Threshold(
        StageRule.FOREGROUND_STANDING,
        Stage.SHIELD,
        ("foreground_standing_s", "foreground_share"),
        lambda settings: settings.foreground_lasting_s,
    ),
)
"""In the order of their stages."""

OVERFLOWS: Final = {
    StageRule.BACKGROUND_FULL: Stage.BUSY,
    StageRule.FOREGROUND_FULL: Stage.SHIELD,
}
"""What happens between two windows, and raises the stage at once."""


class StageMachine:
    """Without `hysteresis` a stage falls as soon as no threshold is passed any more. Without
    `governed` it falls however many slots are still to come."""

    def __init__(
        self, settings: Settings, *, hysteresis: bool = True, governed: bool = True
    ) -> None:
        self._settings = settings
        self._hysteresis = hysteresis
        self._governed = governed
        self._dwell_s = (
            0.0,
            settings.busy_dwell_s,
            settings.emergency_dwell_s,
            settings.shield_dwell_s,
        )
        self.stage = Stage.NORMAL
        self.since_s = -inf
        """When the stage was entered."""
        self.rule = StageRule.CALM
        """What put it there."""
        self.pinned_until_s: float | None = None
        self._held_s = -inf
        """When last something held the stage."""
        self._passed_since_s = [inf] * len(THRESHOLDS)

    def update(self, signals: Signals, backlog_s: float, now_s: float) -> None:
        """A window has closed."""
        found = readings(signals, backlog_s, self._settings)
        levels = [threshold.level(found) for threshold in THRESHOLDS]
        raising = self._raising(levels, now_s)
        self.expire_pin(now_s)
        if self.pinned_until_s is not None:
            return
        if raising is not None and raising.stage > self.stage:
            self._enter(raising.stage, raising.rule, now_s)
            return
        fall_level = self._settings.fall_level if self._hysteresis else 1.0
        if any(
            level >= fall_level and self._holds(threshold)
            for threshold, level in zip(THRESHOLDS, levels, strict=True)
        ):
            self._held_s = now_s
        elif self._may_fall(backlog_s, now_s):
            lower = Stage(self.stage - 1)
            self._enter(lower, StageRule.RECOVERY if lower else StageRule.CALM, now_s)

    def overflow(self, rule: StageRule, now_s: float) -> Stage:
        """A queue is full (one of OVERFLOWS); gives the stage from now on."""
        stage = OVERFLOWS[rule]
        if self.pinned_until_s is None and stage > self.stage:
            self._enter(stage, rule, now_s)
        return self.stage

    def pin(self, stage: Stage, until_s: float, now_s: float) -> None:
        """An operator's word: this stage, whatever the signals say."""
        self._enter(stage, StageRule.OPERATOR, now_s)
        self.pinned_until_s = until_s

    def unpin(self, now_s: float) -> None:
        """Follow the signals again, from the stage of now; nothing if it is not pinned."""
        if self.pinned_until_s is not None:
            self.pinned_until_s = None
            self._enter(self.stage, StageRule.UNPINNED, now_s)

    def expire_pin(self, now_s: float) -> None:
        """Unpin if the time is up."""
        if self.pinned_until_s is not None and now_s >= self.pinned_until_s:
            self.unpin(now_s)

    def _raising(self, levels: list[float], now_s: float) -> Threshold | None:
        """That of the highest stage that is passed, and has been for as long as it must."""
        raising = None
        for number, (threshold, level) in enumerate(zip(THRESHOLDS, levels, strict=True)):
            since_s = min(self._passed_since_s[number], now_s) if level >= 1 else inf
            self._passed_since_s[number] = since_s
            lasting_s = threshold.lasting_s(self._settings) if self._hysteresis else 0.0
            if level >= 1 and now_s - since_s >= lasting_s:
                raising = threshold
        return raising

    def _holds(self, threshold: Threshold) -> bool:
        is_of_slots = threshold.rule is StageRule.BACKLOG
        return threshold.stage >= self.stage and (self._governed or not is_of_slots)

    def _may_fall(self, backlog_s: float, now_s: float) -> bool:
        if self.stage is Stage.NORMAL:
            return False
        if self.stage is Stage.BUSY and self._governed and backlog_s > 0:
            return False
        dwell_s = self._dwell_s[self.stage] if self._hysteresis else 0.0
        return now_s - max(self._held_s, self.since_s) >= dwell_s

    def _enter(self, stage: Stage, rule: StageRule, now_s: float) -> None:
        self.stage = stage
        self.since_s = now_s
        self.rule = rule
