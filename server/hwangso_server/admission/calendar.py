"""The calendar of slots: when each deferred device comes back, so that the returning crowd is flat
by construction.

Time is cut into buckets. A slot is put into the first bucket with room, at a random time inside
it. A bucket has room for rate x bucket_s; where that is no whole number, the last slot of a bucket
takes the rest of its room from the buckets behind it, so a rate of one slot in three seconds works
with buckets of a tenth. `weight` says how much room one slot takes: a login is several resumes.

The rate may change between calls: a bucket filled at a higher rate stays as it is, one filled at a
lower rate gets more. Pure: `now_s` is an argument and never goes back, randomness is injected.

A measured rate trembles all the time, so what was full a moment ago may not be, and the other way
round: what a search costs must not depend on it. Buckets are in blocks, each of which knows its
emptiest bucket, and a search skips the blocks that are full.
"""

from collections.abc import Callable
from math import ceil, floor, inf
from typing import Final

OVERBOOKED_SPREAD_S: Final = 120.0
"""Slots for which there is no room are spread over so long a time before the horizon: the server
refuses nobody, it comes late in keeping its word."""

BLOCK: Final = 64
"""Buckets in a block. Of 6,000 buckets a search so looks at 94 blocks and 64 buckets at most."""

LOOKS_MAX: Final = 8
"""Gaps that are looked at for a slot which takes several buckets; the last look is behind all other
slots."""

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
        self._size = ceil(horizon_s / bucket_s)
        # Rings, by the number of a bucket since time zero; whole blocks of them.
        blocks = ceil(self._size / BLOCK)
        self._places = blocks * BLOCK
        self._taken = [0.0] * self._places
        self._slots = [0] * self._places
        self._least = [0.0] * blocks  # of what is taken in a block
        self._known_full = range(0)  # of each of these buckets
        self._known_most = -inf  # more than this is taken
        self._current = LONG_AGO
        self._last = LONG_AGO  # of the buckets where slots begin
        self._reach = LONG_AGO  # of those of which something is taken
        self._outstanding = 0

    def take(
        self, now_s: float, rate_per_s: float, not_before_s: float, weight: float = 1.0
    ) -> float:
        """Hand out a slot; gives its time (seconds, on the clock of `now_s`).

        The first place with room for `weight` resumes at `rate_per_s`, none before `not_before_s`
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
        self._slots[bucket % self._places] += 1
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
            if slots := self._slots[bucket % self._places]:
                second = max(0, floor(bucket * self._bucket_s - now_s))
                seconds[second] = seconds.get(second, 0) + slots
        return list(seconds.items())

    def _advance(self, now_s: float) -> int:
        """Forget the buckets that are over; gives the one under way."""
        current = floor(now_s / self._bucket_s)
        if current <= self._current:
            return self._current
        for bucket in range(self._current, min(current, self._reach + 1)):
            place = bucket % self._places
            self._outstanding -= self._slots[place]
            self._slots[place] = 0
            self._taken[place] = self._least[place // BLOCK] = 0.0
        self._current = current
        return current

    def _find(self, first: int, end: int, capacity: float, weight: float) -> int | None:
        """Take room in the first place for it from bucket `first` on; gives the bucket where it
        begins, None without room before bucket `end`.

        A place is a bucket that holds all of it, or an empty one if none can; or the one before
        that, if there is some room left.
        """
        most = max(capacity - weight, 0.0)
        bucket = self._with_room(first, end, capacity * (1 - NO_ROOM))
        for look in range(LOOKS_MAX):
            if look == LOOKS_MAX - 1:
                bucket = max(bucket, self._reach)
            if (end - bucket) * capacity < weight:
                break
            there = self._search(bucket, end, most)
            for begin in range(max(there - 1, bucket), min(there + 1, end)):
                stop = self._fill(begin, end, capacity, weight)
                if stop is None:
                    return begin
                bucket = stop
        return None

    def _with_room(self, bucket: int, end: int, most: float) -> int:
        """As `_search`, but begins where the last call ended if that went the same way: while the
        rate does not rise, a crowd finds the same buckets full."""
        full = self._known_full
        if most > self._known_most or not full.start <= bucket <= full.stop:
            full = range(bucket, bucket)
        found = self._search(full.stop, end, most)
        self._known_full, self._known_most = range(full.start, found), most
        return found

    def _search(self, bucket: int, end: int, most: float) -> int:
        """The first bucket from here on of which at most so much is taken; `end` without one before
        that."""
        taken, least, places = self._taken, self._least, self._places
        while bucket < end:
            place = bucket % places
            if least[place // BLOCK] > most:
                bucket += BLOCK - place % BLOCK
            elif taken[place] <= most:
                return bucket
            else:
                bucket += 1
        return end

    def _fill(self, first: int, end: int, capacity: float, weight: float) -> int | None:
        """Take room from bucket `first` on. Gives None if that succeeded, else the bucket behind
        the last one in which no such slot can begin.

        What does not fit into the first bucket goes into those behind it, which must be empty but
        for the last: so at most one slot reaches from any bucket into the next, and a crowd of
        scraps does not add up to more than the rate.
        """
        taken, places = self._taken, self._places
        room = capacity - taken[first % places]
        if room <= capacity * NO_ROOM:
            return first + 1
        bucket, left = first, weight
        while left > room:
            left -= room
            bucket += 1
            if bucket == end:
                return end
            there = taken[bucket % places]
            room = capacity - there
            if there and left > room:
                return bucket
        for full in range(first, bucket):
            self._set_taken(full, capacity)
        self._set_taken(bucket, taken[bucket % places] + left)
        return None

    def _set_taken(self, bucket: int, taken: float) -> None:
        place = bucket % self._places
        block = place // BLOCK
        was_least = self._taken[place] <= self._least[block]
        self._taken[place] = taken
        if was_least:
            self._least[block] = min(self._taken[block * BLOCK : (block + 1) * BLOCK])
        self._reach = max(self._reach, bucket)

    def _overbook(self, first: int, end: int, weight: float) -> int:
        """Put a slot into a random bucket of the last minutes."""
        self.overbooked += 1
        spread = floor(OVERBOOKED_SPREAD_S / self._bucket_s)
        low = max(first, end - spread)
        bucket = min(floor(self._uniform(low, end)), end - 1)
        self._set_taken(bucket, self._taken[bucket % self._places] + weight)
        return bucket
