"""Everything of the server that is neither a socket nor start-up: what sessions share.

The same core runs behind real sockets (`run`) and in virtual time: clock, randomness and store are
given to it. It owns the tasks that sessions need for work that must wait.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVarTuple

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import ByeReason
from hwangso_protocol.server import ServerConnection
from hwangso_server.admission import Admission, Stage
from hwangso_server.admission.treatment import TREATMENTS
from hwangso_server.config import Config
from hwangso_server.counts import Count, Counts
from hwangso_server.deadlines import TICK_S, Deadlines
from hwangso_server.desk import Desk
from hwangso_server.environment import Environment
from hwangso_server.handshakes import Handshake
from hwangso_server.limits import (
    ADMISSION_TICK_S,
    HOUSEKEEPING_INTERVAL_S,
    INVITATION_PAUSE_S,
    INVITATIONS_PER_S,
    INVITATIONS_SHARE,
    PRUNE_BUDGET_S,
    PRUNE_STEP,
    PRUNE_STEPS_MAX,
    READ_BATCH,
    STALLED_S,
    STRANGERS_MAX,
)
from hwangso_server.passwords import Passwords
from hwangso_server.presence import KnownUsers, Presence
from hwangso_server.services.devices import Devices
from hwangso_server.services.enrolment import Enrolment
from hwangso_server.services.inboxes import Inboxes
from hwangso_server.session import Session
from hwangso_server.store.interface import Store, StoreBusy
from hwangso_server.strangers import Strangers
from hwangso_server.terms import Terms
from hwangso_server.tickets import TicketKeys, Tickets
from hwangso_server.transport import Transport

Args = TypeVarTuple("Args")


class ServerKeys(TicketKeys, Protocol):
    """The keys a server runs with; `keys.Keys` holds those of a data folder."""

    @property
    def static(self) -> X25519PrivateKey:
        """Its static key, whose public half the clients have pinned."""


class Core:
    """The shared parts, under the names that sessions and services use.

    Run `run` in a nursery before the first connection; it does the housekeeping. `nursery` is
    where waiting work runs.
    """

    def __init__(
        self,
        config: Config,
        *,
        nursery: trio.Nursery,
        store: Store,
        keys: ServerKeys,
        passwords: Passwords,
        admission: Admission,
        environment: Environment,
    ) -> None:
        self.config = config
        self.store = store
        self.static_key = keys.static
        self.passwords = passwords
        self.admission = admission
        self.clock = environment.clock
        self.rng = environment.rng
        self.random_bytes = environment.random_bytes
        self._terms = {stage: Terms.of(config, TREATMENTS[stage]) for stage in Stage}
        self.tickets = Tickets(keys, config.ticket_lifetime_s * 1000)
        self.counts = Counts()
        self.deadlines: Deadlines[Session] = Deadlines()
        self.presence: Presence[Session] = Presence()
        self.known_users = KnownUsers()
        self.sessions: dict[Session, None] = {}
        """All connections, live or not yet; a dict as an ordered set."""
        self.strangers: Strangers[Session] = Strangers()
        """Those of them that have proved nothing."""
        self.touched: list[Session] = []
        """Sessions to flush at the end of this turn."""
        self.is_stopping = False
        self.submit: Callable[[Handshake], None] = self._begin_at_once
        """Where admitted hellos go: the dispatcher's queues, if there is one."""
        self.desk = Desk(self)
        self.inboxes = Inboxes(self)
        self.devices = Devices(self)
        self.enrolment = Enrolment(self)
        self._nursery = nursery
        self._sessions_begun = 0
        self.people_waiting = 0
        """Requests of live sessions and foreground handshakes that are at the store."""

    def greet(self, transport: Transport, lane: Intent | None) -> Session:
        """A connection came in: the session that receives what it sends."""
        self.counts.add(Count.ACCEPTED, lane.tag if lane is not None else "single")
        return self.receive(transport, lane, ServerConnection(self.static_key, self.random_bytes))

    def receive(
        self, transport: Transport, lane: Intent | None, connection: ServerConnection
    ) -> Session:
        """A session for a connection that the door has counted, and may have read from."""
        self._sessions_begun += 1
        session = Session(self, transport, lane, connection, self._sessions_begun)
        self.sessions[session] = None
        self.strangers.add(session)
        if len(self.strangers) > STRANGERS_MAX:
            self._drop(self.strangers.oldest())
        return session

    def drop_oldest_unheard(self) -> bool:
        """Make room for one by closing the oldest connection that has not said a whole hello; False
        if there is none."""
        return self._drop(self.strangers.oldest_unheard())

    @property
    def terms(self) -> Terms:
        """What the stage of now gives to whoever comes in."""
        return self._terms[self.admission.stage]

    def count_fault(self, error: ProtocolError) -> None:
        """A peer broke the protocol."""
        self.counts.add(Count.FAULT, error.fault.value)

    def learn_user(self, name: str, user_id: int) -> None:
        """Remember whose name this is, unless the user was disabled while we looked."""
        if not self.tickets.is_disabled(user_id):
            self.known_users.learn_name(name, user_id)

    def online(self, session: Session) -> None:
        """A session proved its keys: it takes over from an older one of the same device."""
        if self.tickets.is_revoked(session.device_id) or self.tickets.is_disabled(session.user_id):
            session.end(ByeReason.REVOKED)  # since its hello was answered
            return
        rival = self.presence.of_device(session.user_id, session.device_id)
        if rival is not None and rival.number > session.number:
            session.end(ByeReason.REPLACED)  # its proof was read after that of the one after it
            return
        older = self.presence.enter(session)
        if older is not None:
            older.end(ByeReason.REPLACED)
        self.inboxes.online(session)

    def spawn(self, work: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Run work that must wait, and that no person waits for."""
        self._nursery.start_soon(work, *args)

    def spawn_for_person(self, work: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Run work that must wait, and that a person waits for."""
        self.people_waiting += 1
        self._nursery.start_soon(self._run_for_person, work, *args)

    @property
    def is_waited_for(self) -> bool:
        """Whether a person waits for the store, or for the next step of a task. Whoever keeps this
        thread busy for background should then let others run often."""
        return self.people_waiting > 0

    def flush_touched(self) -> None:
        """Send what this turn's sessions have to say, each in one go."""
        touched, self.touched = self.touched, []
        for session in touched:
            session.flush()

    async def run(self) -> None:
        """Keep time: deadlines, admission's windows, cursors, pruning. Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_deadlines)
            nursery.start_soon(self._watch_admission)
            nursery.start_soon(self._keep_house)

    async def say_goodbye(self) -> None:
        """Take no new work, let what is on its way to the disk be acknowledged, then say Bye to
        everybody, READ_BATCH sessions a turn. The caller bounds the wait."""
        self.is_stopping = True
        await self.inboxes.settled()
        for number, session in enumerate(list(self.sessions), start=1):
            session.end(ByeReason.SHUTTING_DOWN)
            if number % READ_BATCH == 0:
                await trio.lowlevel.checkpoint()

    async def load_revocations(self) -> None:
        """Learn what was revoked while unexpired tickets were about. Before the first hello."""
        now_ms = self.clock.wall_ms()
        revocations = await self.store.revoked_since(now_ms - self.tickets.longest_lifetime_ms)
        for device_id in revocations.device_ids:
            self.tickets.revoke_device(device_id, now_ms)
        for user_id in revocations.user_ids:
            self.tickets.disable_user(user_id, now_ms)

    def _drop(self, session: Session | None) -> bool:
        if session is not None:
            session.drop()
        return session is not None

    async def _watch_deadlines(self) -> None:
        while True:
            asleep_s = self.clock.now_s()
            await trio.sleep(TICK_S)
            if self.clock.now_s() - asleep_s > TICK_S + STALLED_S:
                continue  # what the peers said meanwhile lies in the kernel: it is heard first
            while True:
                now_s = self.clock.now_s()
                due = self.deadlines.take_due(now_s, READ_BATCH)
                for session in due:
                    session.deadline_passed(now_s)
                self.flush_touched()
                if len(due) < READ_BATCH:
                    break
                await trio.lowlevel.checkpoint()

    async def _watch_admission(self) -> None:
        admission = self.admission
        synced = True
        while True:
            await trio.sleep(max(admission.next_deadline_s - self.clock.now_s(), ADMISSION_TICK_S))
            admission.tick(self.clock.now_s())
            synced, before = admission.treatment.background_sync, synced
            if synced and not before:
                self.spawn(self._invite_to_sync)

    async def _invite_to_sync(self) -> None:
        """Background devices that were only told how many messages they missed may have them now,
        few at a time, for what they ask goes before the logins of people. Another emergency ends
        it; the rest is invited after that."""
        behind = deque(session for session in self.presence if session.is_behind_by_terms)
        while behind and self.admission.treatment.background_sync:
            per_s = min(self.admission.background_per_s * INVITATIONS_SHARE, INVITATIONS_PER_S)
            count = max(1, int(per_s * INVITATION_PAUSE_S))
            for _ in range(min(count, len(behind))):
                behind.popleft().invite_to_sync()
            self.flush_touched()
            await trio.sleep(count / per_s)

    async def _run_for_person(
        self, work: Callable[[*Args], Awaitable[object]], *args: *Args
    ) -> None:
        try:
            await work(*args)
        finally:
            self.people_waiting -= 1

    def _begin_at_once(self, handshake: Handshake) -> None:
        self.admission.handshake_started(handshake.admitted.intent, 0.0, self.clock.now_s())
        handshake.begin()

    async def _keep_house(self) -> None:
        while True:
            await trio.sleep(HOUSEKEEPING_INTERVAL_S)
            with suppress(StoreBusy):  # there is another turn in a second
                await self.store.flush_cursors()
                await self._prune()
            self.tickets.forget_expired(self.clock.wall_ms())

    async def _prune(self) -> None:
        received_before_ms = self.clock.wall_ms() - self.config.retry_window_s * 1000
        until_s = self.clock.now_s() + PRUNE_BUDGET_S
        for _ in range(PRUNE_STEPS_MAX):
            pruned = await self.store.prune(
                self.config.inbox_retained, PRUNE_STEP, received_before_ms
            )
            if pruned.round_complete or self.clock.now_s() >= until_s:
                return
