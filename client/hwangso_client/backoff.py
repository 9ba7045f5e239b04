"""How long to wait after a failure: exponential back-off with jitter, behind one small interface.

Full and decorrelated jitter are from M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture
Blog, 2015). `hwangso experiment jitter` compares them, and the README of this part has its table:
a device by itself uses decorrelated jitter. Base and cap are arguments of each call, because a
server may change its policy with any Welcome.
"""

from random import Random
from typing import Final, Protocol

from hwangso_protocol.messages import Policy

BASE_MIN_S: Final = 0.05
"""A policy of 0 would make retries a busy loop."""
CAP_MAX_S: Final = 3_600.0
"""A policy beyond an hour would lose the phone for good, most likely by a slip of an operator."""
DOUBLINGS_MAX: Final = 32
"""From BASE_MIN_S this is beyond any cap; it keeps 2^n a number."""


class Backoff(Protocol):
    """Waits between tries. Make one for each thing that is tried."""

    def next_s(self, base_s: float, cap_s: float) -> float:
        """The wait in seconds before the next try; grows from call to call, up to `cap_s`."""

    def reset(self) -> None:
        """What was tried has worked: begin at `base_s` again."""


class NoJitter:
    """`base * 2^n` for the n-th failure: what not to do. Devices that failed together come back
    together, every time; it is here to show that (`--without client-jitter`)."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def next_s(self, base_s: float, cap_s: float) -> float:
        wait_s = min(base_s * 2.0**self._failures, cap_s)
        self._failures = min(self._failures + 1, DOUBLINGS_MAX)
        return wait_s

    def reset(self) -> None:
        self._failures = 0


class FullJitter:
    """Anything from 0 to what `NoJitter` would wait: soonest to try again, for people and requests
    that wait."""

    __slots__ = ("_ceiling", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._ceiling = NoJitter()

    def next_s(self, base_s: float, cap_s: float) -> float:
        return self._rng.uniform(0.0, self._ceiling.next_s(base_s, cap_s))

    def reset(self) -> None:
        self._ceiling.reset()


class DecorrelatedJitter:
    """Anything from `base` to three times the wait before, cut at the cap: never at once. Two in
    three of those that have reached the cap wait exactly that long."""

    __slots__ = ("_last_s", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._last_s = 0.0

    def next_s(self, base_s: float, cap_s: float) -> float:
        widest_s = 3 * max(base_s, self._last_s)
        self._last_s = min(cap_s, self._rng.uniform(base_s, widest_s))
        return self._last_s

    def reset(self) -> None:
        self._last_s = 0.0


def bounds_s(policy: Policy) -> tuple[float, float]:
    """Base and cap in seconds of a server's policy, brought within what makes sense."""
    base_s = min(max(policy.backoff_base_ms / 1000, BASE_MIN_S), CAP_MAX_S)
    return base_s, min(max(policy.backoff_cap_ms / 1000, base_s), CAP_MAX_S)
