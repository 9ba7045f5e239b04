"""Settings and signals with plain numbers, of which a test says only what matters to it."""

from msgspec.structs import replace

from hwangso_server.admission import QueueSignals, Settings, Signals

SETTINGS = Settings(handshakes_max=10_000, sessions_max=100_000)

CALM_QUEUE = QueueSignals(
    arrivals_per_s=10.0,
    waiting=0,
    standing_s=0.0,
    mean_delay_s=0.001,
    max_delay_s=0.002,
    response_s=0.005,
    cost_s=0.0003,
)


def signals(
    *,
    foreground_standing_s: float = 0.0,
    background_standing_s: float = 0.0,
    target_s: float = 0.02,
    surge_ratio: float = 1.0,
    foreground_share: float = 0.0,
    background_share: float = 0.0,
    live_share: float = 0.0,
    response_s: float = 0.005,
) -> Signals:
    """Those of a calm server, but for what is given."""
    queue = replace(CALM_QUEUE, response_s=response_s)
    return Signals(
        window_s=0.1,
        foreground=replace(queue, standing_s=foreground_standing_s),
        background=replace(queue, standing_s=background_standing_s),
        target_s=target_s,
        baseline_per_s=20.0,
        surge_ratio=surge_ratio,
        live_share=live_share,
        foreground_share=foreground_share,
        background_share=background_share,
        door_share=0.0,
        hang_ups_per_s=0.0,
        lag_s=0.0,
    )
