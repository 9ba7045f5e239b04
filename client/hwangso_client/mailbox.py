"""What a session carries for the phone: outbox and inbox, and the messages between them and the
server. Pure: messages in, messages and events out.
"""

from collections.abc import Callable, Iterable
from math import inf

from hwangso_client.backoff import Backoff
from hwangso_client.events import (
    DuplicateArrived,
    MessageAcknowledged,
    MessageArrived,
    MessageRefused,
    Observer,
)
from hwangso_client.inbox import Inbox
from hwangso_client.outbox import RETRY_BASE_S, RETRY_CAP_S, Outbox
from hwangso_protocol.messages import (
    Deliver,
    Entry,
    Error,
    Message,
    More,
    Page,
    Sent,
    Welcome,
)

RECEIVED_DELAY_S = 1.0
"""From the first entry that the server does not know we hold to telling it: one Received and one
save of the profile for all that comes within a second. After a crash of the phone within that
second, these entries come again."""


class Mailbox:
    """Inbox and outbox during sessions. `backoff` is for Syncs that the server puts off.

    `changed` tells that the profile is out of date; whoever saves it sets it back.
    """

    __slots__ = (
        "_backoff",
        "_observer",
        "_received_at",
        "_sync_at",
        "changed",
        "inbox",
        "may_sync",
        "outbox",
    )

    def __init__(self, inbox: Inbox, outbox: Outbox, backoff: Backoff, observer: Observer) -> None:
        self.inbox = inbox
        self.outbox = outbox
        self.changed = False
        self.may_sync = True
        """Whether a Sync may be sent: not while another request waits for its answer, for the
        server takes one at a time, and its errors do not say which they are about."""
        self._backoff = backoff
        self._observer = observer
        self._received_at = inf
        self._sync_at = -inf

    @property
    def deadline(self) -> float:
        """When `due` will have something."""
        deadline = self._received_at
        outbox_at = self.outbox.deadline
        if outbox_at is not None:
            deadline = min(deadline, outbox_at)
        return min(deadline, self._sync_at) if self._wants_sync else deadline

    @property
    def waiting(self) -> bool:
        """A request waits for its answer."""
        return self.outbox.in_flight > 0 or self.inbox.syncing

    def begin(
        self, now: float, welcome: Welcome, *, enrolled: bool, on_screen: bool = False
    ) -> None:
        """A session begins, with these first entries. `on_screen`: somebody looks at the app, and
        then the server's policy for the background does not count."""
        held = not (welcome.policy.background_sync or on_screen)
        self._sync_at = -inf
        self._arrived(now, *self.inbox.begin(welcome, enrolled=enrolled, held=held))
        if self.inbox.unacknowledged:
            self._received_at = now

    def lost(self) -> None:
        """The session is over."""
        self.inbox.lost()
        self.outbox.lost()
        self.may_sync = True
        self._received_at = inf

    def read(self, now: float, message: Message) -> bool:
        """Take a message from the server; False if it is none of ours."""
        match message:
            case Sent():
                pending = self.outbox.acknowledged(message.id)
                if pending is not None:
                    self.changed = True
                    self._observer(
                        MessageAcknowledged(message.id, pending.intended_at, now, pending.tries)
                    )
            case Error() if message.id is not None:
                if self.outbox.refused(message.id, message.code, now) is not None:
                    self.changed = True
                    self._observer(MessageRefused(message.id, message.code, message.detail, now))
            case Error() if self.inbox.syncing:
                self.inbox.sync_failed()
                self._sync_at = now + self._backoff.next_s(RETRY_BASE_S, RETRY_CAP_S)
            case Page():
                self._backoff.reset()
                self._arrived(now, *self.inbox.page(message))
            case Deliver():
                self._arrived(now, *self.inbox.delivered(message.entries))
            case More():
                self.inbox.more(message.head)
            case _:
                return False
        return True

    def due(self, now: float, save: Callable[[], None]) -> list[Message]:
        """The messages to send now. `save` makes durable what they promise, before they go out:
        the ids of messages in flight, and what was received."""
        messages: list[Message] = []
        if now >= self._received_at:
            self._received_at = inf
            messages.append(self.inbox.acknowledge())
        if self._wants_sync and now >= self._sync_at:
            messages.append(self.inbox.sync())
        messages += self.outbox.due(now)
        if messages and self.changed:
            save()
        return messages

    @property
    def _wants_sync(self) -> bool:
        return self.may_sync and self.inbox.wants_sync

    def _arrived(self, now: float, new: Iterable[Entry], held: Iterable[Entry]) -> None:
        for entry in new:
            self.changed = True
            self._observer(MessageArrived(entry, now))
        for entry in held:
            self._observer(DuplicateArrived(entry, now))
        if self.inbox.unacknowledged and self._received_at == inf:
            self._received_at = now + RECEIVED_DELAY_S
