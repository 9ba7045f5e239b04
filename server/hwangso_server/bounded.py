"""A dictionary that holds at most so many keys: the least recently used one makes room."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(Generic[K, V]):
    """A cache: what it forgot can be looked up again by its owner."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("a bounded dictionary holds at least one key")
        self._limit = limit
        # Not a plain dict: to find its first key takes the longer the more were deleted before it,
        # up to 84 us a `put` of 200,000, instead of 0.4.
        self._items: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """The value of a key, which becomes the most recently used; None if it is not here."""
        value = self._items.get(key)
        if value is not None:
            self._items.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, which must not be None."""
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._limit:
            self._items.popitem(last=False)

    def forget(self, key: K) -> None:
        """Drop a key; no error if it is not here."""
        self._items.pop(key, None)
