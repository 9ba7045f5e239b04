"""Who was it for, and who got it: the books on every message, exact and mergeable. Pure.

A swarm's users and the devices of each are numbered from 0. A message is for every device of its
recipient, and for the sender's other devices, which find it in the sender's own inbox. Which
devices hold it is a set of bits: device `n` of the recipient is bit `n`, device `n` of the sender
bit `64 + n`. Each device lives in one process, so the books of several processes merge by "or",
and a device that gets a message twice shows where it lives.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from hwangso_protocol.limits import DEVICES_PER_USER_MAX

MESSAGES_MAX: Final = 1_000_000
"""Messages of one run; each takes about half a kilobyte of the books."""

_SENDER_SHIFT: Final = DEVICES_PER_USER_MAX
_LOW: Final = (1 << _SENDER_SHIFT) - 1

PresentDevices: TypeAlias = Callable[[int], int]
"""The devices of a user that take part, as bits."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """An acknowledged message: from which user's which device to which user."""

    sender: int
    device: int
    recipient: int


class Books(msgspec.Struct, frozen=True):
    """A part of a ledger on its way to another process: acknowledged messages, and for each message
    the bits of the recipient's and of the sender's devices that hold it."""

    acknowledged: Sequence[tuple[bytes, Sent]] = ()
    arrivals: Sequence[tuple[bytes, int, int]] = ()
    duplicated: int = 0
    strays: int = 0


class Audit(msgspec.Struct, frozen=True):
    """What the books say. All but `acknowledged` and `lost` count copies: one per device."""

    acknowledged: int
    lost: int
    """Acknowledged messages that some device they were for did not get."""
    expected: int
    """Copies that acknowledged messages should have made."""
    missing: int
    """Those of them that no device holds."""
    duplicated: int
    """Copies that a device took although it held the message."""
    strays: int
    """Copies at devices they were not for."""

    @property
    def exactly_once(self) -> bool:
        """Every acknowledged message is held by every device it was for, once, and by no other."""
        return not (self.lost or self.duplicated or self.strays)


class Ledger:
    """The books of one process, or of all once merged."""

    def __init__(self) -> None:
        self._acknowledged: dict[bytes, Sent] = {}
        self._arrivals: dict[bytes, int] = {}
        self._duplicated = 0
        self._strays = 0

    @property
    def acknowledged(self) -> int:
        """Messages that the server says are on disk."""
        return len(self._acknowledged)

    def acknowledge(self, message_id: bytes, sent: Sent) -> None:
        """The server has it on disk."""
        self._acknowledged[message_id] = sent

    def arrive(self, message_id: bytes, user: int, device: int, *, sender: int, to: int) -> bool:
        """A device took a message. False if that is wrong: a duplicate, or not for this user."""
        if user not in (sender, to):
            self._strays += 1
            return False
        bit = 1 << (device if user == to else device + _SENDER_SHIFT)
        held = self._arrivals.get(message_id, 0)
        if held & bit:
            self._duplicated += 1
            return False
        self._arrivals[message_id] = held | bit
        return True

    def audit(self, present: PresentDevices) -> Audit:
        """Compare what arrived with what was acknowledged."""
        lost = expected = missing = 0
        for message_id, sent in self._acknowledged.items():
            wanted = wanted_bits(sent, present)
            absent = wanted & ~self._arrivals.get(message_id, 0)
            expected += wanted.bit_count()
            missing += absent.bit_count()
            lost += absent != 0
        return Audit(
            acknowledged=len(self._acknowledged),
            lost=lost,
            expected=expected,
            missing=missing,
            duplicated=self._duplicated,
            strays=self._strays,
        )

    def export(self, chunk: int) -> Iterable[Books]:
        """The books in parts of at most `chunk` messages; the first also holds the totals."""
        acknowledged = list(self._acknowledged.items())
        arrivals = [
            (key, bits & _LOW, bits >> _SENDER_SHIFT) for key, bits in self._arrivals.items()
        ]
        yield Books(duplicated=self._duplicated, strays=self._strays)
        for at in range(0, len(acknowledged), chunk):
            yield Books(acknowledged=acknowledged[at : at + chunk])
        for at in range(0, len(arrivals), chunk):
            yield Books(arrivals=arrivals[at : at + chunk])

    def merge(self, books: Books) -> None:
        """Take over a part of another process's books."""
        self._acknowledged.update(books.acknowledged)
        for message_id, recipients, senders in books.arrivals:
            bits = recipients | senders << _SENDER_SHIFT
            self._arrivals[message_id] = self._arrivals.get(message_id, 0) | bits
        self._duplicated += books.duplicated
        self._strays += books.strays


def wanted_bits(sent: Sent, present: PresentDevices) -> int:
    """The devices that a message is for."""
    others = present(sent.sender) & ~(1 << sent.device)
    return present(sent.recipient) | others << _SENDER_SHIFT
