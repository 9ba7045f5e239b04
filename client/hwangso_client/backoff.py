"""How long to wait after a failure: exponential back-off with jitter, behind one small interface.

Both kinds are from M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). Base
and cap are arguments of each call, because a server may change its policy with any Welcome.
"""

from random import Random
from typing import Protocol

from hwangso_protocol.messages import Policy

BASE_MIN_S = 0.05
"""A policy of 0 would make retries a busy loop."""
CAP_MAX_S = 3_600.0
"""A policy beyond an hour would lose the phone for good, most likely by a slip of an operator."""


class Backoff(Protocol):
    """Waits between tries. Make one for each thing that is tried."""

    def next_s(self, base_s: float, cap_s: float) -> float:
        """The wait in seconds before the next try; grows from call to call, up to `cap_s`."""

    def reset(self) -> None:
        """What was tried has worked: begin at `base_s` again."""


class FullJitter:
    """Anything from 0 to `base * 2^n`, for the n-th failure: the flattest crowd of the kinds."""

    __slots__ = ("_ceiling_s", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._ceiling_s = 0.0

    def next_s(self, base_s: float, cap_s: float) -> float:
        ceiling_s = min(max(self._ceiling_s, base_s), cap_s)
        self._ceiling_s = 2 * ceiling_s
        return self._rng.uniform(0.0, ceiling_s)

    def reset(self) -> None:
        self._ceiling_s = 0.0


class DecorrelatedJitter:
    """Anything from `base` to three times the wait before: never at once, grows less evenly."""

    __slots__ = ("_last_s", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._last_s = 0.0

    def next_s(self, base_s: float, cap_s: float) -> float:
        widest_s = max(base_s, 3 * self._last_s)
        self._last_s = min(cap_s, self._rng.uniform(base_s, widest_s))
        return self._last_s

    def reset(self) -> None:
        self._last_s = 0.0


def bounds_s(policy: Policy) -> tuple[float, float]:
    """Base and cap in seconds of a server's policy, brought within what makes sense."""
    base_s = min(max(policy.backoff_base_ms / 1000, BASE_MIN_S), CAP_MAX_S)
    return base_s, min(max(policy.backoff_cap_ms / 1000, base_s), CAP_MAX_S)
