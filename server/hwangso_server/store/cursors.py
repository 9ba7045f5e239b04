"""Cursors between `advance_cursor` and the disk. Pure.

Devices acknowledge far more often than their cursors need writing, so only the newest is kept and
written about once a second. `advanced` holds what is not written yet; it is bounded by the number
of devices that acknowledge between two flushes. `stored` holds what the newest writes made of it,
so that a lookup which began before such a write does not show an older cursor afterwards.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from hwangso_server.store.interface import Device

STORED_LIMIT: Final = 50_000
"""Written cursors remembered, about 100 bytes each. They matter only while a lookup is on its way,
so what is dropped beyond it (the oldest first) is long stale."""


class Cursors:
    """What is known of cursors beside the database."""

    def __init__(self) -> None:
        self._advanced: dict[int, int] = {}
        self._stored: dict[int, int] = {}

    def advance(self, device_id: int, seq: int) -> None:
        """A device says it has received up to `seq`, which may be anything."""
        if seq > self._advanced.get(device_id, 0):
            self._advanced[device_id] = seq

    def advanced(self) -> Sequence[tuple[int, int]]:
        """Device ids and seqs to write now."""
        return list(self._advanced.items())

    def written(
        self, advanced: Iterable[tuple[int, int]], stored: Iterable[tuple[int, int]]
    ) -> None:
        """These advances are durable, and the devices' cursors are now as `stored` says."""
        for device_id, seq in advanced:
            if self._advanced.get(device_id) == seq:  # not advanced further meanwhile
                del self._advanced[device_id]
        for device_id, cursor in stored:
            self._stored.pop(device_id, None)
            self._stored[device_id] = cursor
        for device_id in list(self._stored)[: max(0, len(self._stored) - STORED_LIMIT)]:
            del self._stored[device_id]

    def current(self, device: Device, head: int) -> Device:
        """The device as just read, with its cursor brought up to date; `head` is its inbox's."""
        advanced = min(self._advanced.get(device.id, 0), head)
        cursor = max(device.cursor, self._stored.get(device.id, 0), advanced)
        if cursor == device.cursor:
            return device
        return msgspec.structs.replace(device, cursor=cursor)
