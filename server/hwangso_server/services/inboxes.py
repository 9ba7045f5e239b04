"""Messages: store them, acknowledge them, push them to devices that are online, sync the rest."""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from hwangso_protocol.limits import PAGE_MAX_BODY_BYTES
from hwangso_protocol.messages import (
    Entry,
    ErrorCode,
    Message,
    Page,
    Received,
    Send,
    Sent,
    Sync,
)
from hwangso_server.counts import Count
from hwangso_server.limits import SENDS_IN_FLIGHT_MAX
from hwangso_server.session import Session
from hwangso_server.store.interface import (
    Appended,
    AppendResult,
    NewMessage,
    StoreBusy,
    StoreClosed,
    StoreFailed,
    UnknownUser,
)
from hwangso_server.store.interface import Entry as StoredEntry

if TYPE_CHECKING:
    from hwangso_server.core import Core


def wire_entries(entries: Iterable[StoredEntry]) -> tuple[Entry, ...]:
    """Stored entries as they go over the wire."""
    return tuple(
        Entry(entry.seq, entry.message_id, entry.sender, entry.recipient, entry.body, entry.at_ms)
        for entry in entries
    )


class Inboxes:
    """The message service."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._in_flight = 0
        self._settled = trio.Event()
        # Sends whose recipient's name is being looked up, in order of arrival.
        self._waiting_for_name: dict[str, list[tuple[Session, Send]]] = {}

    def send(self, session: Session, message: Send) -> None:
        """Store a message; the answer follows when it is on disk, or has failed."""
        if self._core.is_stopping:
            session.fail(ErrorCode.UNAVAILABLE, "the server is stopping", message.id)
            return
        if session.sends_in_flight >= SENDS_IN_FLIGHT_MAX:
            session.fail(ErrorCode.BUSY, "too many unanswered messages", message.id)
            return
        self._begin(session)
        recipient_id = self._core.known_users.id_of(message.to)
        waiting = self._waiting_for_name.get(message.to)
        if waiting is not None:
            waiting.append((session, message))
        elif recipient_id is not None:
            self._append(session, message, recipient_id)
        else:
            self._waiting_for_name[message.to] = [(session, message)]
            self._core.spawn(self._look_up, message.to)

    def received(self, session: Session, message: Received) -> None:
        """The device holds everything up to there: the store need not keep it for this device."""
        self._core.store.advance_cursor(session.device_id, min(message.seq, session.sent_seq))

    def sync(self, session: Session, message: Sync) -> None:
        """Send a page of the inbox."""
        session.start_request(partial(self._page, message))

    def online(self, session: Session) -> None:
        """A session has just come online: tell it if its inbox grew since its Welcome."""
        head = self._core.known_users.head_of(session.user_id)
        if head is None:  # forgotten since: many users came by
            self._core.spawn(self._look_for_more, session)
        else:
            session.tell_head(head)

    async def settled(self) -> None:
        """Wait until every message that was taken is answered."""
        while self._in_flight:
            self._settled = trio.Event()
            await self._settled.wait()

    def _begin(self, session: Session) -> None:
        session.sends_in_flight += 1
        self._core.people_waiting += 1
        self._in_flight += 1

    def _end(self, session: Session) -> None:
        session.sends_in_flight -= 1
        self._core.people_waiting -= 1
        self._in_flight -= 1
        if not self._in_flight:
            self._settled.set()

    async def _look_up(self, name: str) -> None:
        core = self._core
        recipient_id: int | None = None
        trouble: ErrorCode | None = None
        try:
            user = await core.store.find_user(name)
        except StoreBusy:
            trouble = ErrorCode.BUSY
        except (StoreFailed, StoreClosed):
            trouble = ErrorCode.UNAVAILABLE
        else:
            if user is None or user.disabled_at_ms is not None or core.tickets.is_disabled(user.id):
                trouble = ErrorCode.UNKNOWN_USER
            else:
                recipient_id = user.id
                core.learn_user(name, user.id)
        for session, message in self._waiting_for_name.pop(name):
            if recipient_id is not None:
                self._append(session, message, recipient_id)
            elif trouble is not None:
                self._failed(session, message.id, trouble)
        core.flush_touched()

    async def _look_for_more(self, session: Session) -> None:
        core = self._core
        # Without an answer the next entry shows the gap: see `Session.deliver`.
        with suppress(StoreBusy, StoreFailed, StoreClosed):
            page = await core.store.page(session.user_id, session.told_head, 1, 1)
            session.tell_head(core.known_users.learn_head(session.user_id, page.head))
        core.flush_touched()

    def _append(self, session: Session, message: Send, recipient_id: int) -> None:
        new = NewMessage(
            sender_id=session.user_id,
            sender_device_id=session.device_id,
            recipient_id=recipient_id,
            message_id=message.id,
            body=message.body,
            at_ms=self._core.clock.wall_ms(),
        )
        try:
            self._core.store.append(new, partial(self._stored, session, message))
        except StoreBusy:
            self._failed(session, message.id, ErrorCode.BUSY)
        except (StoreFailed, StoreClosed):
            self._failed(session, message.id, ErrorCode.UNAVAILABLE)

    def _stored(self, session: Session, message: Send, result: AppendResult) -> None:
        if not isinstance(result, Appended):
            unknown = isinstance(result, UnknownUser)
            self._failed(
                session,
                message.id,
                ErrorCode.UNKNOWN_USER if unknown else ErrorCode.UNAVAILABLE,
            )
            return
        core = self._core
        new = result.message
        self._end(session)
        session.send(Sent(message.id, result.at_ms))
        if result.duplicate:
            core.counts.add(Count.DUPLICATE)
            return
        core.counts.add(Count.STORED)
        self._publish(
            new.recipient_id,
            Entry(
                result.seq, new.message_id, session.user_name, message.to, new.body, result.at_ms
            ),
        )
        if result.own_seq is not None:
            self._publish(
                new.sender_id,
                Entry(
                    result.own_seq,
                    new.message_id,
                    session.user_name,
                    message.to,
                    new.body,
                    result.at_ms,
                ),
            )

    def _publish(self, user_id: int, entry: Entry) -> None:
        """An entry is on disk: push it to the user's devices that are online and not behind."""
        self._core.known_users.learn_head(user_id, entry.seq)
        for session in self._core.presence.of_user(user_id):
            session.deliver(entry)

    def _failed(self, session: Session, message_id: bytes, code: ErrorCode) -> None:
        self._end(session)
        session.fail(code, message_id=message_id)

    async def _page(self, sync: Sync, session: Session) -> Message:
        core = self._core
        while True:
            page = await core.store.page(
                session.user_id, sync.since, sync.limit, PAGE_MAX_BODY_BYTES
            )
            entries = wire_entries(page.entries)
            head = core.known_users.learn_head(session.user_id, page.head)
            if entries or head == page.head:
                break  # else: empty when it was read, but an entry was published since
        # An empty page means that there is nothing left after `since`, even where seqs were pruned.
        session.sent_seq = entries[-1].seq if entries else head
        session.told_head = head
        return Page(head, entries)
