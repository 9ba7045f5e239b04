"""Rate controllers: four ways to find how many background handshakes a second there is room for.

Three of them feed back: they know nothing of the server but the queueing delay, and seek the rate
at which it stays near its target. What makes that hard is dead time: a slot handed out now brings
its load only when it is due, seconds or minutes later. The fourth, `Measured`, computes the rate
from what foreground leaves over and what a handshake costs, and feeds back only to correct it.

`hwangso experiment budget` compares them; its table is in the server's README.
All constants are shares, or relative to the target, which follows the measured cost of a
handshake, so that they hold for a server of 3,000 handshakes a second as for one of 15.
"""

from math import exp, sqrt
from typing import Final

from hwangso_server.admission.background import BudgetSample, RateController

FLOOR_PER_S: Final = 0.1
"""No controller goes below: a rate of 0 would hand out no slots, and learn nothing any more."""

INITIAL_PER_S: Final = 500.0
"""Until something has been measured: a good part of what one core does with real cryptography."""


def default_controller(initial_per_s: float = INITIAL_PER_S) -> RateController:
    """The one that the comparison has shown to be the best."""
    return Measured(initial_per_s)


class Aimd:
    """Additive increase, multiplicative decrease, as TCP's congestion window (RFC 5681): doubled
    each second until the first congestion, then raised by a step each second, and cut when the
    queueing delay exceeds its target, at most once in `RECOVERY_S`, as TCP does once in a round
    trip."""

    DECREASE: Final = 0.85
    """RFC 5681 has 0.5, CUBIC (RFC 9438) 0.7: those leave more idle, with no less delay."""
    STEP: Final = 0.3
    """Of the rate after the last decrease, added each second."""
    RECOVERY_S: Final = 1.0

    def __init__(self, initial_per_s: float) -> None:
        self.rate_per_s = initial_per_s
        self._usage = _Usage()
        self._cut_to_per_s: float | None = None
        self._recovering_s = 0.0

    def on_window(self, sample: BudgetSample) -> float:
        """See RateController."""
        is_used = self._usage.observe(sample, self.rate_per_s)
        self._recovering_s -= sample.window_s
        if sample.background_delay_s > sample.target_s:
            if self._recovering_s <= 0:
                self._recovering_s = self.RECOVERY_S
                self.rate_per_s = max(FLOOR_PER_S, self.rate_per_s * self.DECREASE)
                self._cut_to_per_s = self.rate_per_s
        elif is_used and self._cut_to_per_s is None:
            self.rate_per_s *= 2**sample.window_s
        elif is_used and self._cut_to_per_s is not None:
            self.rate_per_s += self._cut_to_per_s * self.STEP * sample.window_s
        return self.rate_per_s


class Pid:
    """A proportional-integral controller of the queueing delay, as PIE (RFC 8033) has one of the
    drop probability. It moves the logarithm of the rate: relative steps fit any server. (PIE leaves
    out the derivative part too: that of a queue is mostly noise.)"""

    INTEGRAL_PER_S: Final = 0.2
    """At a delay one target away from the target."""
    PROPORTIONAL: Final = 0.05
    ERROR_MAX: Final = 1.0
    """In targets, either way: one long queue must not undo what was learnt."""

    def __init__(self, initial_per_s: float) -> None:
        self.rate_per_s = initial_per_s
        self._usage = _Usage()
        self._error = -self.ERROR_MAX

    def on_window(self, sample: BudgetSample) -> float:
        """See RateController."""
        is_used = self._usage.observe(sample, self.rate_per_s)
        error = min(sample.background_delay_s / sample.target_s - 1, self.ERROR_MAX)
        lowered_by = self.INTEGRAL_PER_S * sample.window_s * error
        lowered_by += self.PROPORTIONAL * (error - self._error)
        self._error = error
        if lowered_by > 0 or is_used:  # raised only while it is the rate that limits: no wind-up
            self.rate_per_s = max(FLOOR_PER_S, self.rate_per_s * exp(-lowered_by))
        return self.rate_per_s


class Gradient:
    """`Gradient2Limit` of Netflix's concurrency-limits: the response time of long ago, divided by
    that of now, shrinks the limit; its square root is added, to look for more.

    There the limit is of requests in flight, here of handshakes in a window.
    """

    TOLERANCE: Final = 1.5
    """So much slower than usual is no reason to shrink."""
    SMOOTHING: Final = 0.03
    """Of the way to the new limit, in each window. There it is 0.2, which leaves more idle."""
    LONG_S: Final = 60.0
    """Memory of the usual response time."""

    def __init__(self, initial_per_s: float) -> None:
        self.rate_per_s = initial_per_s
        self._usage = _Usage()
        self._usual_s: float | None = None

    def on_window(self, sample: BudgetSample) -> float:
        """See RateController."""
        is_used = self._usage.observe(sample, self.rate_per_s)
        if not sample.started:
            return self.rate_per_s
        response_s = sample.background_delay_s + sample.background_s / sample.started
        gradient = self._gradient(response_s, sample.window_s)
        if gradient < 1 or is_used:
            limit = self.rate_per_s * sample.window_s
            sought = limit * gradient + sqrt(limit)
            limit += (sought - limit) * self.SMOOTHING
            self.rate_per_s = max(FLOOR_PER_S, limit / sample.window_s)
        return self.rate_per_s

    def _gradient(self, response_s: float, window_s: float) -> float:
        usual_s = response_s if self._usual_s is None else self._usual_s
        usual_s += (response_s - usual_s) * min(1.0, window_s / self.LONG_S)
        if usual_s > 2 * response_s:  # a long overload is over: it was not usual
            usual_s *= 0.95
        self._usual_s = usual_s
        if response_s <= 0:
            return 1.0
        return min(1.0, max(0.5, self.TOLERANCE * usual_s / response_s))


class Measured:
    """Feed-forward: the share of the processor that foreground leaves over, divided by what one
    background handshake costs, both measured. The queue only corrects it: its length, which says
    at once what the delays will say later.

    - What foreground and live sessions take is remembered shortly: the rate must follow a rise
      within a second. A window counts once, however long it was: a stall (garbage collection)
      makes one long window.
    - What the door takes is remembered for long: the hellos of a crowd all come at once, but the
      slots handed out meanwhile are due when the door is quiet again.
    - Nothing is summed up, so nothing winds up while there is no background work, and nothing is
      forgotten.
    """

    QUICK_S: Final = 0.5
    """Memory for foreground and live sessions."""
    QUICK_HANDSHAKES: Final = 100
    """But at least the time of so many: a share made of fewer is chance. That harms: slots are
    sparse where the share was high by chance, and nobody fills the gaps afterwards."""
    SLOW_S: Final = 20.0
    SLOW_HANDSHAKES: Final = 2_000
    """Memory for the door, likewise."""
    WINDOW_S: Final = 0.1
    """A longer window counts as one of these."""
    COST_HANDSHAKES: Final = 100
    """Memory for the cost of a handshake. It begins as the mean of the first so many."""
    COST_STEP: Final = 1.25
    """From then on one window changes it by no more than this factor: a stall that falls into a
    handshake is not its cost, and a server that has become twice as slow is known in 0.4 s."""
    SPARE_MIN: Final = 0.02
    """Background gets so much of the processor however busy foreground is: slots far apart are
    better than none."""
    LIFT: Final = 1.05
    """Times what was computed, while nobody waits. An empty processor is lost, a queue only
    waits."""
    DROP_PER_TARGET: Final = 0.05
    """Off that, for each target of delay that the queue is long."""
    DROP_MAX: Final = 0.25
    """More would cut the rate for a queue that the slots handed out before have made."""

    def __init__(self, initial_per_s: float) -> None:
        self.rate_per_s = initial_per_s
        self._people_share = 0.0
        self._door_share = 0.0
        self._cost_s = 0.0
        self._seen = 0.0

    def on_window(self, sample: BudgetSample) -> float:
        """See RateController. The first background handshake replaces the initial rate."""
        cost_s = self._measure_cost(sample)
        if not cost_s:
            return self.rate_per_s
        passed_s = min(sample.window_s, self.WINDOW_S)
        people_share = (sample.foreground_s + sample.live_s) / sample.window_s
        quick_s = max(self.QUICK_S, self.QUICK_HANDSHAKES * cost_s)
        self._people_share += (people_share - self._people_share) * passed_s / quick_s
        door_share = sample.door_s / sample.window_s
        slow_s = max(self.SLOW_S, self.SLOW_HANDSHAKES * cost_s)
        self._door_share += (door_share - self._door_share) * passed_s / slow_s
        spare_share = max(self.SPARE_MIN, 1 - self._people_share - self._door_share)
        targets = sample.queue_length * cost_s / sample.target_s
        drop = min(self.DROP_PER_TARGET * targets, self.DROP_MAX)
        self.rate_per_s = max(FLOOR_PER_S, spare_share / cost_s * (self.LIFT - drop))
        return self.rate_per_s

    def _measure_cost(self, sample: BudgetSample) -> float:
        """Of one background handshake of weight 1, in seconds; 0 while none was seen."""
        if not sample.started:
            return self._cost_s
        measured_s, known_s = sample.background_s / sample.started, self._cost_s
        if self._seen >= self.COST_HANDSHAKES:
            measured_s = min(max(measured_s, known_s / self.COST_STEP), known_s * self.COST_STEP)
        self._seen = min(self._seen, self.COST_HANDSHAKES) + sample.started
        gain = max(1 - exp(-sample.started / self.COST_HANDSHAKES), sample.started / self._seen)
        self._cost_s += (measured_s - known_s) * gain
        return self._cost_s


class _Usage:
    """Whether a rate is made use of: one that is not must not be raised, for nothing was learnt
    about it (RFC 7661 says so of TCP's window)."""

    MEMORY_S: Final = 1.0
    USED_SHARE: Final = 0.5

    def __init__(self) -> None:
        self._started_per_s = 0.0

    def observe(self, sample: BudgetSample, rate_per_s: float) -> bool:
        """A window is over; gives whether about half of the rate was used of late."""
        current_per_s = sample.started / sample.window_s
        weight = min(1.0, sample.window_s / self.MEMORY_S)
        self._started_per_s += (current_per_s - self._started_per_s) * weight
        return self._started_per_s >= self.USED_SHARE * rate_per_s
