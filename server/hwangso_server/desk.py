"""The desk: from a hello to the answer, in the order that costs strangers most and us least.

Ticket (1 us), admission, and only then Diffie-Hellman. A resume of a device that missed nothing is
answered on the spot; a login, or a device with messages waiting, asks the store first, in a task.
Nothing here changes state: a first message can be a replay.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVarTuple

from hwangso_protocol.answer import Defer, Refuse, RefuseReason, make_defer
from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.hello import Hello, Intent, Kind
from hwangso_protocol.limits import PAGE_MAX_BODY_BYTES
from hwangso_protocol.messages import Entry, Error, ErrorCode, Login, Welcome
from hwangso_protocol.states import State
from hwangso_protocol.ticket import ResumeTicket
from hwangso_server.admission import Admit, Arrival, Refusal
from hwangso_server.counts import Count, name_of
from hwangso_server.handshakes import Admitted
from hwangso_server.services.inboxes import wire_entries
from hwangso_server.session import Session
from hwangso_server.store.interface import StoreBusy, StoreClosed, StoreFailed

if TYPE_CHECKING:
    from hwangso_server.core import Core

Args = TypeVarTuple("Args")

_HELLO = {intent: name_of(Count.HELLO, intent.tag) for intent in Intent}
_DEFERRED = {intent: name_of(Count.DEFERRED, intent.tag) for intent in Intent}

STORE_BUSY_RETRY_AFTER_MS = 1_000
"""The store's queue is seconds long at most."""


class Desk:
    """Decides about hellos and answers those admitted."""

    def __init__(self, core: "Core") -> None:
        self._core = core

    def decide(
        self, hello: Hello, lane: Intent | None, now_s: float, waited_s: float
    ) -> Admitted | Defer | Refuse:
        """Decide about a hello that has lain in the kernel for `waited_s`. Who is not admitted gets
        the answer and is closed."""
        core = self._core
        core.counts.bump(_HELLO[hello.intent])
        if core.is_stopping:
            return self._refusal(RefuseReason.SHUTTING_DOWN)
        ticket: ResumeTicket | None = None
        if hello.kind is Kind.RESUME:
            try:
                ticket = core.tickets.open(hello.resume_ticket, core.clock.wall_ms())
            except ProtocolError as error:
                core.count_fault(error)
                return self._refusal(RefuseReason.TICKET_INVALID)
        arrival = Arrival(
            lane,
            hello.intent,
            hello.kind,
            hello.attempt,
            None if ticket is None else ticket.device_id,
            hello.deferral_ticket,
            waited_s,
        )
        decision = core.admission.decide(arrival, now_s)
        if isinstance(decision, Admit):
            return Admitted(hello, ticket, decision.intent, now_s - waited_s)
        if isinstance(decision, Refusal):
            return self._refusal(decision.reason, decision.retry_after_ms)
        core.counts.bump(_DEFERRED[hello.intent])
        psk = None if ticket is None else ticket.psk
        deferral_ticket = decision.deferral_ticket
        return make_defer(hello.raw, decision.wait_ms, decision.reason, deferral_ticket, psk)

    def begin(self, session: Session, ticket: ResumeTicket | None) -> None:
        """The turn of an admitted session has come: go as far as possible without waiting."""
        try:
            first = session.connection.read_first_message(None if ticket is None else ticket.psk)
        except ProtocolError as error:
            self._core.count_fault(error)
            return
        if ticket is not None and first.login is not None:
            self._resume(session, ticket, first.login)
        elif first.device_key is not None and first.login is not None:
            self._in_task(session, self._login, first.device_key, first.login)
        else:
            session.connection.accept(None)

    def welcome(
        self, session: Session, since: int, head: int, entries: tuple[Entry, ...] = ()
    ) -> Welcome:
        """A Welcome with a fresh ticket for an identified session."""
        core = self._core
        issued = core.tickets.issue(
            session.user_id,
            session.user_name,
            session.device_id,
            now_ms=core.clock.wall_ms(),
            rng=core.rng,
            random_bytes=core.random_bytes,
            lifetime_factor=session.terms.ticket_lifetime_factor,
        )
        session.sent_seq = entries[-1].seq if entries else since
        session.told_head = head
        return Welcome(
            user=session.user_name,
            device=session.device_id,
            ticket=issued.sealed,
            psk=issued.psk,
            ticket_lifetime_ms=issued.lifetime_ms,
            since=since,
            head=head,
            policy=session.terms.policy,
            entries=entries,
        )

    def _resume(self, session: Session, ticket: ResumeTicket, login: Login) -> None:
        core = self._core
        if core.tickets.is_revoked(ticket.device_id):
            self._deny(session, ErrorCode.DEVICE_REVOKED)
            return
        if core.tickets.is_disabled(ticket.user_id):
            self._deny(session, ErrorCode.USER_DISABLED)
            return
        session.identify(ticket.user_id, ticket.user_name, ticket.device_id)
        core.learn_user(ticket.user_name, ticket.user_id)
        head = core.known_users.head_of(ticket.user_id)
        if head is not None and (login.since >= head or not session.wants_entries):
            self._answer(session, min(login.since, head), head)
        else:
            self._in_task(session, self._answer_with_page, login)

    async def _login(self, session: Session, device_key: bytes, login: Login) -> None:
        core = self._core
        found = await core.store.device_by_key(device_key)
        if session.connection.state is not State.OPENED:
            return  # gone while we looked
        if found is None:
            self._deny(session, ErrorCode.DEVICE_UNKNOWN)
            return
        device, user = found
        if device.revoked_at_ms is not None:
            self._deny(session, ErrorCode.DEVICE_REVOKED)
        elif user.disabled_at_ms is not None:
            self._deny(session, ErrorCode.USER_DISABLED)
        else:
            session.identify(user.id, user.name, device.id)
            core.learn_user(user.name, user.id)
            await self._answer_with_page(session, login)

    async def _answer_with_page(self, session: Session, login: Login) -> None:
        core = self._core
        head = core.known_users.head_of(session.user_id)
        limit = login.limit if session.wants_entries else 0
        entries: tuple[Entry, ...] = ()
        if head is None or (limit and login.since < head):
            page = await core.store.page(
                session.user_id, login.since, max(limit, 1), PAGE_MAX_BODY_BYTES
            )
            head = core.known_users.learn_head(session.user_id, page.head)
            if limit:
                entries = wire_entries(page.entries)
        self._answer(session, min(login.since, head), head, entries)

    def _answer(
        self, session: Session, since: int, head: int, entries: tuple[Entry, ...] = ()
    ) -> None:
        if session.connection.state is State.OPENED:
            session.connection.accept(self.welcome(session, since, head, entries))
            session.answered()

    def _in_task(
        self,
        session: Session,
        work: Callable[[Session, *Args], Awaitable[None]],
        *args: *Args,
    ) -> None:
        """Run work that asks the store; if the store cannot answer, the hello is refused."""

        async def run() -> None:
            try:
                await work(session, *args)
            except (StoreBusy, StoreFailed, StoreClosed):
                if session.connection.state is State.OPENED:
                    session.connection.turn_away(
                        self._refusal(RefuseReason.UNAVAILABLE, STORE_BUSY_RETRY_AFTER_MS)
                    )
            session.touch()
            self._core.flush_touched()

        if session.intent is Intent.FOREGROUND:
            self._core.spawn_for_person(run)
        else:
            self._core.spawn(run)

    def _refusal(self, reason: RefuseReason, retry_after_ms: int = 0) -> Refuse:
        self._core.counts.add(Count.REFUSED, reason.name.lower())
        return Refuse(reason, retry_after_ms)

    def _deny(self, session: Session, code: ErrorCode) -> None:
        self._core.counts.add(Count.DENIED, code.value)
        session.connection.deny(Error(code))
