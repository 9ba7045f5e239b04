"""The background budget: how many background handshakes a second foreground leaves room for.

A rate controller (`rates`) finds the rate, once a window; this object hands it out: to those who
are admitted now, through a token bucket, and as `rate_per_s` to the calendar of slots. Pure:
`now_s` is an argument.
"""

from typing import Protocol

from msgspec import Struct


class BudgetSample(Struct, frozen=True, gc=False):
    """What was measured in one window. Seconds, unless the name says otherwise."""

    window_s: float
    """How long the window lasted."""
    background_delay_s: float
    """Mean queueing delay of the background handshakes started in the window; 0 if none was."""
    foreground_delay_s: float
    """Likewise of the foreground ones."""
    started: float
    """Background handshakes started, by weight: a login counts as several resumes."""
    background_s: float
    """Work for background handshakes. This and the next four are what `Load` says, summed up."""
    foreground_s: float
    live_s: float
    door_s: float
    idle_s: float
    queue_length: int
    """Admitted background callers that wait at the end of the window."""
    target_s: float
    """The queueing delay aimed at (`Pressure` has it from the measured cost of a handshake)."""


class RateController(Protocol):
    """Finds the rate of background handshakes."""

    rate_per_s: float
    """The rate in force, in handshakes of weight 1 a second; always above 0."""

    def on_window(self, sample: BudgetSample) -> float:
        """A window is over; gives the rate from now on."""


class BackgroundBudget:
    """A token bucket that fills at the rate of `controller` and holds `burst_s` seconds' worth,
    one token at least."""

    def __init__(self, controller: RateController, *, burst_s: float = 0.1) -> None:
        self._controller = controller
        self._burst_s = burst_s
        self._tokens = self._burst
        self._filled_s: float | None = None

    @property
    def rate_per_s(self) -> float:
        """Background handshakes a second, of weight 1."""
        return self._controller.rate_per_s

    def observe(self, sample: BudgetSample, now_s: float) -> None:
        """A window is over: the rate follows. Call it once a window."""
        self._fill(now_s)
        self._controller.on_window(sample)

    def take(self, now_s: float, weight: float = 1.0) -> bool:
        """Take `weight` tokens (a resume is 1), if there are. What weighs more than the bucket
        holds takes a full one and leaves a debt, so that it is not turned away for ever."""
        self._fill(now_s)
        if self._tokens < min(weight, self._burst):
            return False
        self._tokens -= weight
        return True

    @property
    def _burst(self) -> float:
        return max(1.0, self.rate_per_s * self._burst_s)

    def _fill(self, now_s: float) -> None:
        if self._filled_s is not None:
            gained = (now_s - self._filled_s) * self.rate_per_s
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled_s = now_s
