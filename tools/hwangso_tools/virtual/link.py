"""A phone's link to the server: how long packets take, and whether they arrive."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """How good a link is. Raises ValueError for what no link can be.

    A packet takes `latency_s` one way, and between nothing and `jitter_s` more; it is lost with
    probability `loss`. The default is a phone on LTE: 40 to 60 ms there and back.
    """

    latency_s: float = 0.020
    jitter_s: float = 0.010
    loss: float = 0.0

    def __post_init__(self) -> None:
        if min(self.latency_s, self.jitter_s) < 0 or not 0 <= self.loss < 1:
            raise ValueError(f"latency and jitter from 0, loss from 0 to below 1: {self}")


class Link:
    """One phone's way to the server. `profile` may be changed at any time."""

    __slots__ = ("_rng", "is_up", "profile")

    def __init__(self, profile: LinkProfile, rng: random.Random) -> None:
        self._rng = rng
        self.profile = profile
        self.is_up = True

    def cut(self) -> None:
        """An outage, until `restore`: nothing arrives at either end, and nobody is told. TCP goes
        on trying, so that what was sent arrives some time after the outage, if both ends still
        wait."""
        self.is_up = False

    def restore(self) -> None:
        """The outage is over. Each connection finds out with its next retransmission."""
        self.is_up = True

    # For the network

    def delay_s(self) -> float:
        """How long a packet takes that leaves now."""
        profile = self.profile
        return profile.latency_s + profile.jitter_s * self._rng.random()

    def passes(self) -> bool:
        """Whether the packet that should arrive now does."""
        loss = self.profile.loss
        return self.is_up and (not loss or self._rng.random() >= loss)
