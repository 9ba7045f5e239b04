"""Deadlines of many connections in few buckets: pure, `now_s` is an argument.

Adding and dropping cost the same however many there are. A deadline is kept to within one tick,
late never early, which is what timeouts of seconds need.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

TICK_S = 0.5
"""Width of a bucket: ten times finer than the shortest timeout."""

T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """Items with one deadline each."""

    def __init__(self) -> None:
        # Dicts as ordered sets: the same run gives the same order, which virtual time relies on.
        self._buckets: dict[int, dict[T, None]] = {}
        self._done = 0

    def set(self, item: T, deadline_s: float) -> int:
        """Add an item that has no deadline; gives its bucket, which `drop` needs."""
        bucket = max(int(deadline_s / TICK_S) + 1, self._done + 1)
        items = self._buckets.get(bucket)
        if items is None:
            items = self._buckets[bucket] = {}
        items[item] = None
        return bucket

    def drop(self, item: T, bucket: int) -> None:
        """Forget an item's deadline; no error if it has passed."""
        items = self._buckets.get(bucket)
        if items is not None:
            items.pop(item, None)
            if not items:
                del self._buckets[bucket]

    def take_due(self, now_s: float, limit: int) -> list[T]:
        """Take out at most `limit` items whose deadline has passed; call again while it is full."""
        due: list[T] = []
        current = int(now_s / TICK_S)
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= current):
            items = self._buckets[bucket]
            while items and len(due) < limit:
                due.append(items.popitem()[0])
            if items:
                return due
            del self._buckets[bucket]
        self._done = max(self._done, current)
        return due

    def __len__(self) -> int:
        return sum(len(items) for items in self._buckets.values())
