"""One queue of admitted callers: who waits, for how long, and what serving one of them costs.

Of the delays in a window the *smallest* counts, as in CoDel (RFC 8289, section 4.4): a burst that
the queue absorbs brings the smallest back to nothing, a standing queue does not. Where nobody is
served the delay grows with the window. And where the newest is served first delays say nothing, but
the queue is still there: a window's value is the larger one of its smallest delay and its smallest
queue, the latter in seconds of work.

Each sample costs the same, memory is fixed.
"""

from collections import deque
from math import inf

from hwangso_server.admission.settings import Settings
from hwangso_server.admission.signals import QueueSignals

COST_SEED_STARTS = 8
"""By so many handshakes the assumed cost is replaced; from then on it is followed with care."""

RESPONSE_GAIN = 1 / 8
"""Of the smoothed response time, for each answer (RFC 6298, section 2: SRTT)."""


class Queue:
    """Those who wait for the turn of one intent, and the window under way."""

    __slots__ = (
        "_delay_max_s",
        "_delay_min_s",
        "_delay_sum_s",
        "_left",
        "_response_s",
        "_seen",
        "_standing",
        "_waiting_min",
        "arrivals",
        "arrivals_per_s",
        "cost_s",
        "started",
        "started_weight",
        "waiting",
        "weight",
        "work_s",
    )

    def __init__(self, settings: Settings) -> None:
        self.waiting = 0
        self.weight = 0.0
        """Of those waiting, in resumes."""
        self.cost_s = settings.handshake_cost_s
        self.arrivals_per_s = 0.0
        self._seen = 0.0
        """Weight begun since the server started, up to COST_SEED_STARTS."""
        self._response_s = 0.0
        self._standing: deque[float] = deque(maxlen=settings.windows_judged)
        self.open()

    def open(self) -> None:
        """A window begins."""
        self.arrivals = 0
        self.started = 0
        self._left = 0
        """Those begun, and those who were gone when their turn came."""
        self.started_weight = 0.0
        self.work_s = 0.0
        self._waiting_min = self.waiting
        self._delay_sum_s = 0.0
        self._delay_max_s = 0.0
        self._delay_min_s = inf

    @property
    def expected_s(self) -> float:
        """The work that waits here: the least that one more caller would wait."""
        return self.weight * self.cost_s

    @property
    def standing_s(self) -> float:
        """The smallest value of the windows judged; 0 until there are enough of them."""
        windows = self._standing
        return min(windows) if len(windows) == windows.maxlen else 0.0

    @property
    def mean_delay_s(self) -> float:
        """Of the handshakes begun in this window; 0 if none was."""
        return self._delay_sum_s / self.started if self.started else 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has happened in this window, and nobody waits."""
        return not (self.waiting or self.arrivals or self.started)

    @property
    def is_measured(self) -> bool:
        """Whether the cost is more than an assumption."""
        return self._seen > 0

    def admit(self, weight: float) -> None:
        """One more waits; `weight` is what it costs, in resumes."""
        self.waiting += 1
        self.weight += weight

    def leave(self, waited_s: float) -> float:
        """The turn of one has come, and it was gone: that it waited so long counts all the same, or
        a queue that outlasts everybody's patience would look like none. Gives its weight: the mean
        of all, for who it was is not told."""
        weight = self.weight / self.waiting
        self.waiting -= 1
        self.weight = self.weight - weight if self.waiting else 0.0
        self._waiting_min = min(self._waiting_min, self.waiting)
        self._left += 1
        self._delay_min_s = min(self._delay_min_s, waited_s)
        self._delay_max_s = max(self._delay_max_s, waited_s)
        return weight

    def start(self, waited_s: float) -> None:
        """The turn of one has come, `waited_s` after its hello reached the kernel."""
        self.started_weight += self.leave(waited_s)
        self.started += 1
        self._delay_sum_s += waited_s

    def answer(self, response_s: float) -> None:
        """One has its answer, `response_s` after its hello reached the kernel."""
        self._response_s += RESPONSE_GAIN * (response_s - self._response_s)

    def judge(self, elapsed_s: float, arrivals_gain: float) -> None:
        """The window is over: smooth what is smoothed, once, before `signals` and `open`."""
        self.arrivals_per_s += arrivals_gain * (self.arrivals / elapsed_s - self.arrivals_per_s)
        self._measure_cost()
        if self._left:
            delay_s = self._delay_min_s
        elif self._waiting_min:
            delay_s = elapsed_s + (self._standing[-1] if self._standing else 0.0)
        else:
            delay_s = 0.0
        self._standing.append(max(delay_s, self._waiting_min * self.cost_s))

    def signals(self) -> QueueSignals:
        """Of the window that was judged."""
        return QueueSignals(
            arrivals_per_s=self.arrivals_per_s,
            waiting=self.waiting,
            standing_s=self.standing_s,
            mean_delay_s=self.mean_delay_s,
            max_delay_s=self._delay_max_s,
            response_s=self._response_s,
            cost_s=self.cost_s,
        )

    def _measure_cost(self) -> None:
        """In a window the estimate at most doubles or halves, so that a pause which falls into a
        handshake does not count as its cost; the more handshakes, the more it moves."""
        weight = self.started_weight
        if not weight or self.work_s <= 0:
            return
        if self._seen < COST_SEED_STARTS:
            self.cost_s = (self.cost_s * self._seen + self.work_s) / (self._seen + weight)
            self._seen += weight
            return
        measured_s = min(max(self.work_s / weight, self.cost_s / 2), self.cost_s * 2)
        self.cost_s += weight / (weight + COST_SEED_STARTS) * (measured_s - self.cost_s)
