"""What a window of `Pressure` says: everything that stages follow from, and that a screen shows."""

from msgspec import Struct


class QueueSignals(Struct, frozen=True, gc=False):
    """Of one intent."""

    arrivals_per_s: float
    """Hellos that claimed it, smoothed."""
    waiting: int
    """Admitted, their handshake not begun, when the window ended."""
    standing_s: float
    """The delay below which nobody got, in any of the windows judged."""
    mean_delay_s: float
    max_delay_s: float
    """Of the handshakes begun in the window; 0 if none was."""
    response_s: float
    """From hello to answer, smoothed."""
    cost_s: float
    """Processor time of a resume, smoothed."""


class Signals(Struct, frozen=True, gc=False):
    """Of a server. Shares are of the processor's time, smoothed."""

    window_s: float
    foreground: QueueSignals
    background: QueueSignals
    target_s: float
    """The queueing delay to aim at, from the measured cost."""
    baseline_per_s: float
    """Usual arrivals."""
    surge_ratio: float
    """Arrivals against the usual."""
    live_share: float
    foreground_share: float
    background_share: float
    door_share: float
    hang_ups_per_s: float
    """Sessions that ended, smoothed."""
    lag_s: float
    """How much later than it was due the window was closed."""

    @property
    def connect_share(self) -> float:
        """Everything that connects cause."""
        return self.foreground_share + self.background_share + self.door_share

    @property
    def foreground_arrival_share(self) -> float:
        """Of all arrivals; 0 if there are none."""
        arrivals = self.foreground.arrivals_per_s + self.background.arrivals_per_s
        return self.foreground.arrivals_per_s / arrivals if arrivals else 0.0
