"""Pressure: how loaded the server is, from plain samples, in windows.

The primary signal is the queueing delay, as in DAGOR (Zhou et al., SoCC '18): what callers wait for
their turn, not how long their answers take, which a slow disk may be to blame for. `queueing` has
it, for each intent. Beside it stand arrivals against the usual, and what the processor is used for.

What does not raise it: one slow client (it is not in a queue), a garbage collection (the smallest
delay of half a second counts), a burst of messages (`connect_share` stays low), a slow disk.
"""

from math import exp, inf

from hwangso_server.admission.background import BudgetSample
from hwangso_server.admission.decision import Load
from hwangso_server.admission.queueing import Queue
from hwangso_server.admission.settings import Settings
from hwangso_server.admission.signals import Signals

HELLOS_SEEN = 32
"""In a window: from so many on the cost of a hello is followed quickly."""


class Pressure:
    """Samples go into `foreground`, `background` and the methods here. Call `close` when
    `next_close_s` has passed; `signals` are those of the last window closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.foreground = Queue(settings)
        self.background = Queue(settings)
        self.next_close_s = -inf
        self._opened_s: float | None = None
        self._is_idle = True
        self._live_s = self._door_s = self._idle_s = 0.0
        self._live_share = self._door_share = 0.0
        self._foreground_share = self._background_share = 0.0
        self._ended = 0
        self._hang_ups_per_s = 0.0
        self._baseline_per_s = 0.0
        self._learnt_s = 0.0
        """Time that the baseline stands for."""
        self._hello_s = 0.0
        """What the door takes for a hello, smoothed."""
        self.signals = self._signals(settings.window_s, 0.0)

    # Samples

    def arrived(self, queue: Queue, now_s: float) -> None:
        """A hello has come that claims the intent of `queue`."""
        if self._is_idle:
            self._wake(now_s)
        queue.arrivals += 1

    def session_ended(self) -> None:
        """A session is over."""
        self._ended += 1

    def worked(self, load: Load) -> None:
        """What a turn of the processor was used for."""
        self._live_s += load.live_s
        self._door_s += load.door_s
        self._idle_s += load.idle_s
        self.foreground.work_s += load.foreground_s
        self.background.work_s += load.background_s

    # Windows

    def close(self, now_s: float, *, is_calm: bool) -> BudgetSample | None:
        """End the window; gives what the budget is to know of it, None at the first call.

        Only while it is calm does the server learn what is usual, and rest when nothing happens.
        """
        if self._opened_s is None or now_s <= self._opened_s:
            self._open(now_s)
            return None
        elapsed_s = now_s - self._opened_s
        lag_s = max(0.0, now_s - self.next_close_s)
        self._smooth(elapsed_s, learn=is_calm)
        self.signals = self._signals(elapsed_s, lag_s)
        sample = self._sample(elapsed_s)
        self._is_idle = is_calm and self.foreground.is_quiet and self.background.is_quiet
        self._open(now_s)
        return sample

    def _open(self, now_s: float) -> None:
        settings = self._settings
        length_s = max(settings.window_s, settings.window_handshakes * self._cost_s)
        if self._is_idle:
            length_s = max(length_s, settings.idle_window_s)
        self._opened_s = now_s
        self.next_close_s = now_s + length_s
        self._live_s = self._door_s = self._idle_s = 0.0
        self._ended = 0
        self.foreground.open()
        self.background.open()

    def _wake(self, now_s: float) -> None:
        """The idle window ends with the first arrival, so that its silence does not dilute what
        comes now."""
        self._is_idle = False
        if self._opened_s is not None and now_s > self._opened_s:
            self._smooth(now_s - self._opened_s, learn=True)
        self._open(now_s)

    @property
    def _cost_s(self) -> float:
        return max(self.foreground.cost_s, self.background.cost_s)

    def _smooth(self, elapsed_s: float, *, learn: bool) -> None:
        settings, foreground, background = self._settings, self.foreground, self.background
        arrivals = foreground.arrivals + background.arrivals
        arrivals_gain = _gain(elapsed_s, settings.arrivals_smoothing_s)
        for queue in (foreground, background):
            queue.judge(elapsed_s, arrivals_gain)
        if background.is_measured and not foreground.is_measured:
            foreground.cost_s = background.cost_s
        elif foreground.is_measured and not background.is_measured:
            background.cost_s = foreground.cost_s
        self._hang_ups_per_s += arrivals_gain * (self._ended / elapsed_s - self._hang_ups_per_s)
        if learn:
            # A mean at first: nothing is usual yet after a start, also not the absence of load.
            self._learnt_s = min(self._learnt_s + elapsed_s, settings.baseline_smoothing_s)
            gain = elapsed_s / max(self._learnt_s, elapsed_s)
            self._baseline_per_s += gain * (arrivals / elapsed_s - self._baseline_per_s)
        gain = _gain(elapsed_s, settings.share_smoothing_s)
        self._foreground_share += gain * (foreground.work_s / elapsed_s - self._foreground_share)
        self._background_share += gain * (background.work_s / elapsed_s - self._background_share)
        self._live_share += gain * (self._live_s / elapsed_s - self._live_share)
        self._door_share += gain * (self._door_s / elapsed_s - self._door_share)

    def _signals(self, elapsed_s: float, lag_s: float) -> Signals:
        settings = self._settings
        arrivals_per_s = self.foreground.arrivals_per_s + self.background.arrivals_per_s
        floor_per_s = settings.baseline_floor_share / self._cost_s
        return Signals(
            window_s=elapsed_s,
            foreground=self.foreground.signals(),
            background=self.background.signals(),
            target_s=max(settings.target_min_s, settings.target_handshakes * self._cost_s),
            baseline_per_s=self._baseline_per_s,
            surge_ratio=arrivals_per_s / max(self._baseline_per_s, floor_per_s),
            live_share=self._live_share,
            foreground_share=self._foreground_share,
            background_share=self._background_share,
            door_share=self._door_share,
            hang_ups_per_s=self._hang_ups_per_s,
            lag_s=lag_s,
        )

    def _sample(self, elapsed_s: float) -> BudgetSample:
        """The door's work for background that gets in is background's, for a slot is a hello and a
        handshake; what is left of its hellos is the price of deferrals. All hellos of people are
        foreground's: they go on for as long as people come."""
        foreground, background = self.foreground, self.background
        hellos = foreground.arrivals + background.arrivals
        if hellos:
            gain = hellos / (hellos + HELLOS_SEEN)
            self._hello_s += gain * (self._door_s / hellos - self._hello_s)
        foreground_s = self._door_s * foreground.arrivals / hellos if hellos else 0.0
        background_s = background.started * self._hello_s
        return BudgetSample(
            window_s=elapsed_s,
            background_delay_s=background.mean_delay_s,
            foreground_delay_s=foreground.mean_delay_s,
            started=background.started_weight,
            background_s=background.work_s + background_s,
            foreground_s=foreground.work_s + foreground_s,
            live_s=self._live_s,
            door_s=max(0.0, self._door_s - foreground_s - background_s),
            idle_s=self._idle_s,
            queue_length=background.waiting,
            target_s=self.signals.target_s,
        )


def _gain(elapsed_s: float, smoothing_s: float) -> float:
    """Of an exponentially weighted mean, for a sample that stands for `elapsed_s`."""
    return 1.0 - exp(-elapsed_s / smoothing_s)
