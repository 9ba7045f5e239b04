"""What a storm came to: the figures of a Recording, by the names they have in results files. Pure.

Response time is judged against the calm baseline of the same run, so that no figure depends on how
fast this machine, or the modelled one, is. None means that it never happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, inf
from typing import Final

from hwangso_protocol.hello import Intent
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.recording import RATE_S, Open, Recording

SERVED_WITHIN_S: Final = 30.0
"""An app open that has no session by then has failed: nobody looks at a spinner for longer."""

PATIENCE_S: Final = 10.0
"""Whoever leaves the app earlier has not waited for it."""

SLOW_FACTOR: Final = 3.0
"""Answers are slow when they take so many times the calm p95, in the mean of a second."""

NORMAL_FACTOR: Final = 2.0
"""An app open is normal when it takes at most so many times the calm p95."""

NORMAL_SHARE: Final = 0.9
"""Response is normal when so many of the app opens are."""

HOLDS_S: Final = 30
"""And has been for so long. The app opens of a small crowd are few: by chance none of them may meet
a server in trouble for half a minute, so the next one must be normal, too."""

GOODPUT_S: Final = 60
"""The busiest so many seconds show what the processor works for when it has most to do."""


@dataclass(frozen=True, slots=True)
class StormFigures:
    """One run. Times count from the first event."""

    bg_share_calm: float | None
    """BACKGROUND among the connects of the calm baseline."""
    connect_peak_ratio: float | None
    """Most connects begun in RATE_S, over the same of the calm baseline."""
    bg_share_peak: float | None
    """BACKGROUND among them."""
    fg_success: float | None
    """App opens with a session within SERVED_WITHIN_S, over all that waited for so long, or were
    left after PATIENCE_S at least. Waits count from when the phone has service."""
    fg_p99_s: float | None
    """From the intended start of an app open to its session; None if one in a hundred had none."""
    emergency_detected_after_s: float | None
    """From the first second with slow answers until the stage is EMERGENCY; 0 if it was already."""
    response_normal_after_s: float | None
    """Until, with all triggers over, app opens have been normal for HOLDS_S and still are in the
    next: since then."""
    stage_normal_after_s: float | None
    """Until, with all triggers over, the stage has been NORMAL for HOLDS_S: since then."""
    max_bg_wait_s: float
    """The longest time from a phone's first background attempt to its session, service given."""
    max_deferrals: int
    """Most deferrals of one phone between two sessions."""
    second_peak_ratio: float | None
    """The highest rate of connects after the first peak has fallen to the capacity, over that
    capacity; None if it has not fallen."""
    goodput_share: float | None
    """Of all that the server's processor did in its busiest GOODPUT_S, the share that went into
    sessions that came to be and into messages: the rest was for peers who had gone, and for saying
    no. None where the processor's work is not known."""

    def by_name(self) -> dict[FigureName, float | None]:
        """All, in the order of the table."""
        return {name: getattr(self, name.value) for name in FigureName}


def figures(recording: Recording) -> StormFigures:
    """Judge a run."""
    calm_s, first_s = recording.calm_seconds, int(recording.first_event_s)
    by_intent = recording.series.connects
    connects = [sum(counts) for counts in zip(*by_intent.values(), strict=True)]
    calm_per_s = sum(connects[:calm_s]) / max(calm_s, 1)
    rates = window_rates(connects[calm_s:])
    peak = max(range(len(rates)), key=rates.__getitem__, default=0)
    return StormFigures(
        bg_share_calm=_background_share(recording, 0, calm_s),
        connect_peak_ratio=rates[peak] / calm_per_s if rates and calm_per_s else None,
        bg_share_peak=_background_share(recording, calm_s + peak, RATE_S) if rates else None,
        fg_success=_success(recording.opens),
        fg_p99_s=wait_percentile_s(recording.opens, 99),
        emergency_detected_after_s=_detected_after_s(recording),
        response_normal_after_s=_response_normal_after_s(recording, first_s),
        stage_normal_after_s=_stage_normal_after_s(recording),
        max_bg_wait_s=recording.max_background_wait_s,
        max_deferrals=recording.max_deferrals,
        second_peak_ratio=_second_peak_ratio(rates, recording),
        goodput_share=_goodput_share(recording),
    )


def window_rates(counts: Sequence[int]) -> list[float]:
    """For each second at which a whole window begins: what happens in it, per second."""
    sums = [0, *accumulate(counts)]
    starts = range(len(counts) - RATE_S + 1)
    return [(sums[start + RATE_S] - sums[start]) / RATE_S for start in starts]


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile: the least value that so many per cent do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


def _background_share(recording: Recording, start: int, seconds: int) -> float | None:
    """Among the connects of so many seconds, from that place in the series on."""
    window = slice(start, start + seconds)
    counts = {intent: sum(made[window]) for intent, made in recording.series.connects.items()}
    total = sum(counts.values())
    return counts[Intent.BACKGROUND] / total if total else None


def is_judged(opened: Open) -> bool:
    """Whether an app open was a success or a failure, and not just a short look."""
    return opened.ready or opened.waited_s >= PATIENCE_S


def was_served(opened: Open) -> bool:
    """Whether it had its session in time."""
    return opened.ready and opened.waited_s <= SERVED_WITHIN_S


def wait_percentile_s(opens: Sequence[Open], percent: float) -> float | None:
    """Of the time from an app open to its session; None if that is one which had none, or nobody
    came."""
    waits = [opened.waited_s if opened.ready else inf for opened in opens if is_judged(opened)]
    found_s = percentile(waits, percent)
    return None if found_s is None or found_s == inf else found_s


def _success(opens: Sequence[Open]) -> float | None:
    judged = [opened for opened in opens if is_judged(opened)]
    return sum(map(was_served, judged)) / len(judged) if judged else None


def _detected_after_s(recording: Recording) -> float | None:
    alarms = (change.at_s for change in recording.stages if change.stage >= Stage.EMERGENCY)
    detected_s = next((at_s for at_s in alarms if at_s >= recording.first_event_s), None)
    if detected_s is None:
        return None
    slow_s = _slow_from_s(recording)
    return 0.0 if slow_s is None else max(0.0, detected_s - slow_s)


def _slow_from_s(recording: Recording) -> float | None:
    """The first second with slow answers."""
    series, calm_p95_s = recording.series, percentile(recording.calm_responses_s, 95)
    if calm_p95_s is None:
        return None
    for place in range(recording.index(recording.first_event_s), series.seconds):
        responses = sum(counts[place] for counts in series.responses.values())
        response_s = sum(sums_s[place] for sums_s in series.response_s.values())
        if response_s > SLOW_FACTOR * calm_p95_s * responses:
            return float(place - recording.calm_seconds)
    return None


def _response_normal_after_s(recording: Recording, first_s: int) -> float | None:
    calm_p95_s = percentile(recording.calm_opens_s, 95)
    if calm_p95_s is None:
        return None
    normal, counted = [0] * recording.seconds, [0] * recording.seconds
    for opened in recording.opens:
        if opened.at_s < recording.seconds and is_judged(opened):
            counted[int(opened.at_s)] += 1
            if opened.ready and opened.waited_s <= NORMAL_FACTOR * calm_p95_s:
                normal[int(opened.at_s)] += 1
    normals, counts = [0, *accumulate(normal)], [0, *accumulate(counted)]
    since_s: int | None = None
    for start_s in range(first_s, recording.seconds - HOLDS_S + 1):
        all_opens = counts[start_s + HOLDS_S] - counts[start_s]
        normal_opens = normals[start_s + HOLDS_S] - normals[start_s]
        if not all_opens or normal_opens < NORMAL_SHARE * all_opens:
            since_s = None
        elif since_s is None:
            since_s = start_s
        if since_s is not None and start_s >= max(recording.triggers_end_s, since_s + HOLDS_S):
            return float(since_s - first_s)
    return None


def _stage_normal_after_s(recording: Recording) -> float | None:
    if not recording.controlled:
        return None
    since_s: float | None = recording.first_event_s
    for change in recording.stages:
        if since_s is not None and change.at_s - HOLDS_S >= max(recording.triggers_end_s, since_s):
            break
        if change.stage is not Stage.NORMAL:
            since_s = None
        elif since_s is None:
            since_s = max(change.at_s, recording.first_event_s)
    if since_s is None or since_s + HOLDS_S > recording.seconds:
        return None
    return since_s - recording.first_event_s


def _second_peak_ratio(rates: Sequence[float], recording: Recording) -> float | None:
    """The first peak is that of the last trigger: a carrier's return, say, after its failure."""
    capacity_per_s = recording.capacity_per_s
    since = range(min(int(recording.triggers_end_s), len(rates)), len(rates))
    peak = max(since, key=rates.__getitem__, default=len(rates))
    over = (start for start in range(peak, len(rates)) if rates[start] <= capacity_per_s)
    passed = next(over, None)
    return None if passed is None else max(rates[passed:]) / capacity_per_s


def _goodput_share(recording: Recording) -> float | None:
    series, calm_s = recording.series, recording.calm_seconds
    busy_s = [0.0, *accumulate(series.busy_s[calm_s:])]
    useful_s = [0.0, *accumulate(series.useful_s[calm_s:])]
    starts = range(max(1, len(busy_s) - GOODPUT_S))
    ends = [min(start + GOODPUT_S, len(busy_s) - 1) for start in starts]
    start = max(starts, key=lambda start: busy_s[ends[start]] - busy_s[start])
    worked_s = busy_s[ends[start]] - busy_s[start]
    return (useful_s[ends[start]] - useful_s[start]) / worked_s if worked_s else None
