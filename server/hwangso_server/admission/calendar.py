"""The calendar of slots: when each deferred device comes back, so that the returning crowd is flat
by construction.

Time is cut into buckets. A slot is put into the first bucket with room, at a random time inside
it. A bucket has room for rate x bucket_s; where that is no whole number, the last slot of a bucket
takes the rest of its room from the buckets behind it, so a rate of one slot in three seconds works
with buckets of a tenth. `weight` says how much room one slot takes: a login is several resumes.

The rate may change between calls: a bucket filled at a higher rate stays as it is, one filled at a
lower rate gets more. Pure: `now_s` is an argument and never goes back, randomness is injected.
"""

from collections.abc import Callable
from math import ceil, floor, inf
from typing import Final

OVERBOOKED_SPREAD_S: Final = 120.0
"""Slots for which there is no room are spread over so long a time before the horizon: the server
refuses nobody, it comes late in keeping its word."""

REOPEN_FACTOR: Final = 1.05
"""A rate must rise by so much before full buckets are looked through again, and once in the time
of a bucket at most: a measured rate trembles, and a look costs as much as the calendar is long."""

LONG_AGO: Final = -(2**62)
"""The number of a bucket before all others, whenever the clock began."""

NO_ROOM: Final = 1e-9
"""Of a bucket's capacity: less is a rounding error."""


class SlotCalendar:
    """Slots from now until `horizon_s` (seconds) ahead, in buckets of `bucket_s` (seconds).

    `uniform(low, high)` gives a random number between the two. Memory is bounded by the number of
    buckets, however many slots there are.
    """

    overbooked: int
    """How many slots were handed out for which there was no room before the horizon."""

    def __init__(
        self, *, bucket_s: float, horizon_s: float, uniform: Callable[[float, float], float]
    ) -> None:
        if not 0 < bucket_s <= horizon_s:
            raise ValueError("a calendar has at least one bucket, and buckets have a width")
        self.overbooked = 0
        self._bucket_s = bucket_s
        self._uniform = uniform
        # Rings, by the number of a bucket since time zero.
        self._size = ceil(horizon_s / bucket_s)
        self._taken = [0.0] * self._size
        self._slots = [0] * self._size
        # Where to look on behind a full bucket; a number that is not behind it: not known full. So
        # are all left by the bucket that had the place before.
        self._behind = [LONG_AGO] * self._size
        self._full_at = inf  # the smallest capacity at which a bucket was found full
        self._reopened = LONG_AGO
        self._current = LONG_AGO
        self._last = LONG_AGO
        self._outstanding = 0

    def take(
        self, now_s: float, rate_per_s: float, not_before_s: float, weight: float = 1.0
    ) -> float:
        """Hand out a slot; gives its time (seconds, on the clock of `now_s`).

        The first bucket with room for `weight` resumes at `rate_per_s`, none before `not_before_s`
        (beyond the horizon it counts as the horizon). In any run of buckets the slots never weigh
        more than its time x the rate, but for one that takes from the buckets behind. Without room
        before the horizon the slot is overbooked.
        """
        current = self._advance(now_s)
        end = current + self._size
        capacity = rate_per_s * self._bucket_s
        earliest_s = min(max(now_s, not_before_s), end * self._bucket_s)
        first = min(max(current, floor(earliest_s / self._bucket_s)), end - 1)
        bucket = self._find(first, end, capacity, weight)
        if bucket is None:
            bucket = self._overbook(first, end, weight)
        self._slots[bucket % self._size] += 1
        self._outstanding += 1
        self._last = max(self._last, bucket)
        low_s = max(earliest_s, bucket * self._bucket_s)
        high_s = (bucket + 1) * self._bucket_s
        return self._uniform(low_s, high_s) if low_s < high_s else low_s

    def outstanding(self, now_s: float) -> int:
        """How many slots are not due yet; those of the bucket under way count until it ends."""
        self._advance(now_s)
        return self._outstanding

    def last_slot_s(self, now_s: float) -> float:
        """When the last bucket with a slot ends; `now_s` if none is outstanding."""
        self._advance(now_s)
        return (self._last + 1) * self._bucket_s if self._outstanding else now_s

    def dump(self, now_s: float) -> list[tuple[int, int]]:
        """(whole seconds from now, slots in that second), without the empty seconds."""
        current = self._advance(now_s)
        seconds: dict[int, int] = {}
        for bucket in range(current, self._last + 1):
            if slots := self._slots[bucket % self._size]:
                second = max(0, floor(bucket * self._bucket_s - now_s))
                seconds[second] = seconds.get(second, 0) + slots
        return list(seconds.items())

    def _advance(self, now_s: float) -> int:
        """Forget the buckets that are over; gives the one under way."""
        current = floor(now_s / self._bucket_s)
        if current <= self._current:
            return self._current
        for bucket in range(self._current, min(current, self._current + self._size)):
            place = bucket % self._size
            self._outstanding -= self._slots[place]
            self._slots[place] = 0
            self._taken[place] = 0.0
        self._current = current
        return current

    def _find(self, first: int, end: int, capacity: float, weight: float) -> int | None:
        """Take room in the first place for it from bucket `first` on; gives the bucket where it
        begins, None without room before bucket `end`."""
        if capacity > self._full_at * REOPEN_FACTOR and self._reopened != self._current:
            self._behind = [LONG_AGO] * self._size
            self._full_at = inf
            self._reopened = self._current
        self._full_at = min(self._full_at, capacity)
        bucket = self._look_from(first)
        while (end - bucket) * capacity >= weight:
            stop = self._fill(bucket, end, capacity, weight)
            if stop is None:
                return bucket
            if stop == end:
                break
            for full in range(bucket, stop):
                self._behind[full % self._size] = stop
            bucket = self._look_from(stop)
        return None

    def _fill(self, first: int, end: int, capacity: float, weight: float) -> int | None:
        """Take room from bucket `first` on. Gives None if that succeeded, else the bucket behind
        the last one in which no such slot can begin.

        What does not fit into the first bucket goes into those behind it, which must be empty but
        for the last: so at most one slot reaches from any bucket into the next, and a crowd of
        scraps does not add up to more than the rate.
        """
        room = capacity - self._taken[first % self._size]
        if room <= capacity * NO_ROOM:
            return first + 1
        bucket, left = first, weight
        while left > room:
            left -= room
            bucket += 1
            if bucket == end:
                return end
            taken = self._taken[bucket % self._size]
            room = capacity - taken
            if taken and left > room:
                return bucket
        for full in range(first, bucket):
            self._taken[full % self._size] = capacity
        self._taken[bucket % self._size] += left
        return None

    def _look_from(self, bucket: int) -> int:
        """The first bucket from here on that is not known to be full. Halves the path there each
        time, as a disjoint-set forest does, so that a crowd does not look at full buckets often."""
        behind, size = self._behind, self._size
        while (following := behind[bucket % size]) > bucket:
            further = behind[following % size]
            if further > following:
                behind[bucket % size] = further
            bucket = following
        return bucket

    def _overbook(self, first: int, end: int, weight: float) -> int:
        """Put a slot into a random bucket of the last minutes."""
        self.overbooked += 1
        spread = floor(OVERBOOKED_SPREAD_S / self._bucket_s)
        low = max(first, end - spread)
        bucket = min(floor(self._uniform(low, end)), end - 1)
        self._taken[bucket % self._size] += weight
        return bucket
