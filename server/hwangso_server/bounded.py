"""A dictionary that holds at most so many keys: the least recently used one makes room."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(Generic[K, V]):
    """A cache: what it forgot can be looked up again by its owner."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("a bounded dictionary holds at least one key")
        self._limit = limit
        self._items: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """The value of a key, which becomes the most recently used; None if it is not here."""
        value = self._items.pop(key, None)
        if value is not None:
            self._items[key] = value
        return value

    def put(self, key: K, value: V) -> None:
        """Keep a value, which must not be None."""
        self._items.pop(key, None)
        self._items[key] = value
        if len(self._items) > self._limit:
            del self._items[next(iter(self._items))]

    def forget(self, key: K) -> None:
        """Drop a key; no error if it is not here."""
        self._items.pop(key, None)
