"""Every number of the admission core that can be chosen, with its unit and its reason.

Thresholds do not port between services (DAGOR, SoCC '18: 20 ms is right for WeChat). So what can
be is given in handshakes or as a share, and becomes seconds by the cost that `Pressure` measures:
the same defaults do for a server of 3,000 handshakes a second and for a modelled one of 10.
"""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults are those of the server; only its size has none."""

    # ---- size ---------------------------------------------------------------------------------

    handshakes_max: int
    """Handshakes under way or waiting, however calm it is."""
    sessions_max: int
    """Handshakes and live sessions together."""
    foreground_reserve: float = 0.1
    """Share of `handshakes_max` and of `sessions_max` that background leaves free."""

    # ---- cost ---------------------------------------------------------------------------------

    handshake_cost_s: float = 0.0003
    """Of one resume, until it has been measured (README of the server: 304 us)."""
    login_weight: float = 1.8
    """A login costs as much as so many resumes (measured: 3,280 against 1,850 a second)."""
    enrol_weight: float = 2.0
    """An enrolment without its password, which has threads and a limit of its own."""

    # ---- windows of `Pressure` ----------------------------------------------------------------

    window_s: float = 0.1
    """CoDel's interval (RFC 8289, section 4.3): a worst-case round trip."""
    window_handshakes: float = 2.0
    """A window is at least as long as so many handshakes: of less nothing can be said."""
    windows_judged: int = 5
    """A queue stands when its delay was over the target in this many windows on end: half a
    second, which a garbage collection of 0.3 s does not fill."""
    idle_window_s: float = 1.0
    """The window of a server with nothing to do: it need not wake ten times a second."""
    share_smoothing_s: float = 0.5
    """Time constant of the shares of the processor."""
    arrivals_smoothing_s: float = 1.0
    """Time constant of arrivals a second."""
    baseline_smoothing_s: float = 600.0
    """Time constant of what counts as usual: longer than a storm's onset, shorter than the rise of
    a morning."""
    baseline_floor_share: float = 0.05
    """Usual is at least this share of what the processor can do: three times next to nothing is no
    surge."""

    # ---- thresholds of `StageMachine` ---------------------------------------------------------

    target_min_s: float = 0.020
    """Queueing delay to aim at (DAGOR), where handshakes are cheap; else `target_handshakes`."""
    target_handshakes: float = 4.0
    """Who has so many handshakes before him has not met a queue."""
    foreground_target_min_s: float = 0.1
    """Delay of foreground at which background alone no longer explains it, and people begin to
    notice (Miller 1968: to a tenth of a second a response feels immediate)."""
    foreground_targets: float = 5.0
    """And at least so many targets."""
    connect_share: float = 0.3
    """A queue that stands while connects take less of the processor than this stands behind
    something else, messages for one: putting connects off would not help."""
    foreground_share: float = 0.5
    """Foreground handshakes alone take most of the processor: deferring background will not do."""
    foreground_lasting_s: float = 1.0
    """For so long, before the server shields itself from people."""
    surge_ratio: float = 3.0
    """Arrivals against the usual. Pohang 2017 was over 5, a calm evening's rise is under 2."""
    backlog_s: float = 3.0
    """The calendar reaches so far ahead: demand has been over the budget for that long."""
    fall_level: float = 0.5
    """A stage is left when its signals are under this share of their thresholds (hysteresis)."""
    busy_dwell_s: float = 5.0
    emergency_dwell_s: float = 10.0
    shield_dwell_s: float = 10.0
    """They have to stay there for so long, and a stage is held for at least so long. A phone's
    back-off has come round in that time (cap 16 s, mean of full jitter 8 s)."""

    # ---- queues -------------------------------------------------------------------------------

    hold_s: float = 0.3
    """Work that the background queue holds: enough that the processor never waits for the next
    slot, short against the timeout of an impatient phone (1 s)."""
    hold_handshakes: float = 8.0
    """And at least so many: less than that comes together by chance on a calm day."""
    foreground_hold_s: float = 1.0
    """Work that the foreground queue holds: who waits longer than a second thinks it is broken."""
    shield_hold_s: float = 0.1
    """The same in SHIELD. There the newest is served first, so the last of a long queue would be
    served when all is over; of a short one nearly everybody is served at once."""
    foreground_hold_handshakes: float = 16.0
    """And at least so many, of both."""
    aged_factor: float = 2.0
    """Times these, for background that has been deferred `aged_deferrals` times, and for people
    whose slot has come."""
    limit_factor: float = 4.0
    """Times these, for who has been deferred `deferrals_max` times. Nobody is let in beyond."""
    background_wait_s: float = 2.0
    """The background queue is no longer than it is served in this time: else the phones would have
    given up (after 5 s, most of them), and the little time that is left for background while people
    fill the server would be spent on hang-ups."""

    # ---- slots --------------------------------------------------------------------------------

    bucket_s: float = 0.1
    """Of the calendar."""
    horizon_s: float = 600.0
    """Of the calendar. With queues and delays nobody waits longer than 15 minutes."""
    slot_min_s: float = 0.2
    """The nearest slot: coming again takes a round trip and a deferral's work."""
    slot_tolerance_s: float = 0.1
    """A device this early is on time: clocks differ by 100 ms in 10 minutes at 170 ppm."""
    late_max_s: float = 900.0
    """A slot is kept this long. Later its deferral ticket is worth nothing."""
    aged_deferrals: int = 3
    """Deferrals after which age wins."""
    deferrals_max: int = 4
    """Nobody who keeps to the slots is deferred more often."""
    background_min_share: float = 0.05
    """Slots are handed out at no less than this share of the processor, which the dispatcher gives
    to background whatever foreground does: else a burst of people would send phones away for ten
    minutes."""
    strangers_slot_share: float = 0.75
    """Of all slots, at most, for those who have no resume ticket: who may be anybody, and may
    never come back for the slot."""
    people_slot_min_s: float = 1.0
    """Foreground over capacity comes back after this, or when the calendar for people has room."""
    newcomers_factor: float = 0.5
    """Of the room in the queue, for people who have no slot while others have: who has waited for a
    slot is to find room, and where slots are not taken newcomers fill the gap."""
    people_min_share: float = 0.25
    """Its slots are handed out at no less than this share of the processor."""

    # ---- foreground budget --------------------------------------------------------------------

    foreground_burst: int = 4
    """Claims that a device has at first, and at most."""
    foreground_interval_s: float = 7_200.0
    """One more each; `foreground` has the reasoning."""
    foreground_retry_s: float = 60.0
    """Attempts after the first, this soon after a claim, are of the same opening of the app."""
    foreground_retries_max: int = 60
    """And at most so many: with back-offs of a second on average as many as fit into that time."""
    foreground_devices_max: int = 100_000
    """Whose claims are remembered (about 200 bytes each)."""
    strangers_foreground_share: float = 0.1
    """Of the processor, for foreground claims of those who have no resume ticket."""

    # ---- memory -------------------------------------------------------------------------------

    devices_remembered: int = 100_000
    """Whose last decision is kept, to explain it and to keep their slot (about 500 bytes each)."""
