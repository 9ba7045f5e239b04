"""A processor made of numbers: what the server's work takes in virtual time."""

from collections.abc import Mapping

import trio

from hwangso_server.processor import SHARES_OF_A_RESUME, Work


class ModelledProcessor:
    """A `Processor` whose work takes virtual time.

    Within a turn no virtual time passes, but the processor knows how far its work has got: `now_s`
    is the time for the program that runs on it, and when what it sends leaves. It outlives the
    program, as a machine does. Raises ValueError for a capacity that is not a positive number.
    """

    def __init__(
        self, capacity_per_s: float, shares: Mapping[Work, float] = SHARES_OF_A_RESUME
    ) -> None:
        if not capacity_per_s > 0:
            raise ValueError(f"a capacity of {capacity_per_s} resumes a second")
        self.capacity_per_s = capacity_per_s
        """Resumes a second at full speed, with nothing else to do."""
        self._costs_s = {work: share / capacity_per_s for work, share in shares.items()}
        self._factor = 1.0
        self._spent_s = 0.0
        self._busy_until_s = 0.0
        self.busy_s = dict.fromkeys(Work, 0.0)
        """All that was ever charged, by kind of work."""

    def now_s(self) -> float:
        """The time when the work charged so far is done; never goes back."""
        return max(self._busy_until_s, trio.current_time())

    def slow_down(self, factor: float) -> None:
        """From now on work takes `factor` times what it should; 1 is full speed."""
        self._factor = factor

    def begin(self) -> None:
        """A turn begins."""
        self._spent_s = 0.0

    def charge(self, work: Work) -> None:
        """A piece of work was done."""
        cost_s = self._costs_s[work] * self._factor
        self._spent_s += cost_s
        self._busy_until_s = self.now_s() + cost_s
        self.busy_s[work] += cost_s

    def spent_s(self) -> float:
        """Since `begin`."""
        return self._spent_s

    def give_way(self) -> None:
        """There are no threads here."""

    async def settle(self) -> None:
        """Let the time pass that was charged; always a checkpoint."""
        await trio.sleep_until(self._busy_until_s)
