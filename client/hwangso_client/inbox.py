"""The device's copy of its user's inbox: in order, without holes, nothing twice. Pure.

The server numbers the inbox with `seq` 1, 2, 3, ... The device holds everything up to `since`. What
comes next in order is taken. What is at or below `since` is a duplicate: counted, given to nobody.
What lies beyond the next is a hole: it is not taken, and a Sync asks for what is missing. Only the
answer to a Login or Sync may skip numbers, for the server deletes old entries.

Entries wait in `unread` until the app takes them. When that is full the device takes no more, and
asks again once there is room: nothing is lost, the server keeps it. A session may also begin *held*
(`Policy.background_sync`): then what its Welcome left out is not asked for until the app is opened,
or the server says More.
"""

from collections import deque
from collections.abc import Iterable

from hwangso_protocol.limits import PAGE_MAX_ENTRIES
from hwangso_protocol.messages import Entry, Page, Received, Sync, Welcome


class Inbox:
    """`limit` bounds `unread`; with 0 entries are not kept, for an app that takes each at once.

    The methods that take entries return two lists: those that are new, and those that the device
    held already.
    """

    __slots__ = (
        "_acknowledged",
        "_acknowledged_before",
        "_head",
        "_held",
        "_limit",
        "_syncing",
        "duplicates",
        "holes",
        "resets",
        "since",
        "unread",
    )

    def __init__(self, since: int, unread: Iterable[Entry], limit: int) -> None:
        self.since = since
        self.unread = deque(unread)
        self.duplicates = 0
        self.holes = 0
        self.resets = 0
        self._limit = limit
        self._head = since
        self._held = False
        self._syncing = False
        self._acknowledged = 0
        self._acknowledged_before = 0

    @property
    def room(self) -> int:
        """How many entries can be taken now, at most a page."""
        if not self._limit:
            return PAGE_MAX_ENTRIES
        return max(0, min(PAGE_MAX_ENTRIES, self._limit - len(self.unread)))

    @property
    def syncing(self) -> bool:
        """A Sync waits for its Page."""
        return self._syncing

    @property
    def missing(self) -> int:
        """How many entries the server has beyond those taken; fewer if it has deleted old ones."""
        return max(0, self._head - self.since)

    def begin(
        self, welcome: Welcome, *, enrolled: bool, held: bool = False
    ) -> tuple[list[Entry], list[Entry]]:
        """A session begins, `held` or not. An enrolment says where the device's inbox begins.

        A Welcome whose `since` is below ours means that the server has lost history (an old
        backup): the device follows it, or it would take nothing until the numbers have caught up.
        """
        self._acknowledged_before = self._acknowledged
        self._head = welcome.head
        self._held = held
        if enrolled:
            self.since = welcome.since
        elif welcome.since < self.since:
            self.since = welcome.since
            self._acknowledged = self._acknowledged_before = 0
            self.resets += 1
        return self._take(welcome.entries)

    def lost(self) -> None:
        """The session broke: whether its last Received arrived is not known, so say it again."""
        self._syncing = False
        self._acknowledged = self._acknowledged_before

    def page(self, page: Page) -> tuple[list[Entry], list[Entry]]:
        """The answer to the Sync that `sync` gave; any other Page is only duplicates."""
        if not self._syncing:
            return self.delivered(page.entries)
        self._syncing = False
        self._head = max(self._head, page.head)
        if not page.entries:
            # Also where the server spoke of more before: to ask again at once would never end.
            self._head = self.since = max(self.since, page.head)
        return self._take(page.entries)

    def delivered(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        """New entries that the server sent by itself."""
        new: list[Entry] = []
        held: list[Entry] = []
        for entry in entries:
            self._head = max(self._head, entry.seq)
            if entry.seq <= self.since:
                held.append(entry)
            elif entry.seq == self.since + 1 and self.room:
                self._keep(entry)
                new.append(entry)
            elif self.room:
                self.holes += 1
        self.duplicates += len(held)
        return new, held

    def more(self, head: int) -> None:
        """The inbox goes on to `head`, and the server is ready to be asked."""
        self._head = max(self._head, head)
        self._held = False

    def release(self) -> None:
        """The app was opened: whatever is missing is wanted now."""
        self._held = False

    @property
    def wants_sync(self) -> bool:
        """Entries are missing, nothing holds the device back, no Sync is on its way, and there is
        room."""
        behind = self._head > self.since
        return behind and not self._held and not self._syncing and self.room > 0

    def sync(self) -> Sync:
        """The Sync to send now, where the inbox wants one."""
        self._syncing = True
        return Sync(self.since, self.room)

    def sync_failed(self) -> None:
        """The server did not answer that Sync with a Page: it may be asked again."""
        self._syncing = False

    @property
    def unacknowledged(self) -> bool:
        """The server does not know yet how far this device has come."""
        return self.since > self._acknowledged

    def acknowledge(self) -> Received:
        """The Received to send now. What it says must be on the device's disk already."""
        self._acknowledged = self.since
        return Received(self.since)

    def _take(self, entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
        new: list[Entry] = []
        held: list[Entry] = []
        for entry in entries:
            if entry.seq <= self.since:
                held.append(entry)
            elif self.room:
                self._keep(entry)
                new.append(entry)
            else:
                break
        self.duplicates += len(held)
        return new, held

    def _keep(self, entry: Entry) -> None:
        self.since = entry.seq
        self._head = max(self._head, entry.seq)
        if self._limit:
            self.unread.append(entry)
