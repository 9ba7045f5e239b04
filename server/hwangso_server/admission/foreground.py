"""The foreground budget: how often a device is believed that a person waits.

One counter a device, by the generic cell rate algorithm (GCRA, ITU-T I.371, the leaky bucket as one
number): the *theoretical arrival time* of its next claim. A claim conforms unless it comes more
than a burst before that time, and moves it on by one interval. So trust heals with time alone.

Four claims at first, and one more every two hours: people open a messenger often, but only an
opening without a warm connection claims foreground. On a calm day these are under 20 % of connects
(the story: background over 80 %). A phone that reconnects by itself about once an hour so has fewer
than six a day; the budget has twelve, and four at once for an evening on a train. A device that
claims foreground for everything has spent it by noon. With one claim every half hour, 48 a day, it
never would have.

A phone that fails and tries again is the same person opening the same app: attempts after the
first, soon after a claim that was charged, are free, up to a number that no honest phone reaches.

What is forgotten is safe: the device whose last claim is the longest ago makes room, whose trust is
the most healed. To push its own record out, a liar needs the resume tickets of all the others.
"""

from collections import OrderedDict

from msgspec import Struct

from hwangso_server.admission.settings import Settings

STRANGERS_BURST_S = 1.0
"""Of their share of the processor, what strangers may take at once."""


class _Claim(Struct):
    """What a device has claimed."""

    due_s: float
    """The theoretical arrival time."""
    charged_s: float
    """When the last claim was charged."""
    retries: int = 0
    """Free ones since."""


class ForegroundBudget:
    """Pure: `now_s` is an argument."""

    def __init__(self, settings: Settings) -> None:
        self._interval_s = settings.foreground_interval_s
        self._tolerance_s = (settings.foreground_burst - 1) * settings.foreground_interval_s
        self._retry_s = settings.foreground_retry_s
        self._retries_max = settings.foreground_retries_max
        self._limit = settings.foreground_devices_max
        self._strangers_share = settings.strangers_foreground_share
        self._strangers_s = 0.0
        self._claims: OrderedDict[int, _Claim] = OrderedDict()
        """By device, in the order of the last charges. Not a plain dict: to find its first key
        takes the longer the more were deleted before it."""

    def __len__(self) -> int:
        return len(self._claims)

    def believes(self, device_id: int, attempt: int, now_s: float) -> bool:
        """A device claims foreground: charge it, unless this is the same opening of the app as the
        last one. False: it has claimed too often, and is charged nothing."""
        claims = self._claims
        known = claims.get(device_id)
        if known is None:
            if len(claims) >= self._limit:
                claims.popitem(last=False)
            claims[device_id] = _Claim(now_s + self._interval_s, now_s)
            return True
        is_retry = attempt > 1 and now_s - known.charged_s < self._retry_s
        if is_retry and known.retries < self._retries_max:
            known.retries += 1
            return True
        if known.due_s - now_s > self._tolerance_s:
            return False
        known.due_s = max(known.due_s, now_s) + self._interval_s
        known.charged_s, known.retries = now_s, 0
        claims.move_to_end(device_id)
        return True

    def believes_stranger(self, cost_s: float, now_s: float) -> bool:
        """Somebody without a resume ticket, whom nothing tells apart, claims foreground: together
        they may take a share of the processor. `cost_s` is what the handshake will take of it."""
        due_s = max(self._strangers_s, now_s)
        if due_s - now_s > STRANGERS_BURST_S:
            return False
        self._strangers_s = due_s + cost_s / self._strangers_share
        return True
