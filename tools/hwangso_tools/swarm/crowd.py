"""Many devices in one Trio process: enrol them, let them chat, and keep the books.

    async with open_crowd(plan, plan.share(0), network) as crowd:
        await crowd.enrol()
        crowd.present = crowd.bits_of_enrolled()        # all processes' together
        await crowd.chat(seconds)
        await crowd.settle(within_s)
        crowd.ledger.audit(...), crowd.figures

Each device has a task that opens the phone, and a `Member` that observes it.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Final

import trio

from hwangso_client.config import DeviceConfig, LinkState
from hwangso_client.device import Device
from hwangso_client.errors import DeviceStopped, NotReady, OutboxFull
from hwangso_client.events import (
    AttemptEnded,
    DeviceEvent,
    MessageAcknowledged,
    MessageArrived,
    MessageRefused,
    Outcome,
    SessionEnded,
)
from hwangso_client.network import Network
from hwangso_protocol.hello import Intent, Kind
from hwangso_tools.swarm.figures import Figures
from hwangso_tools.swarm.ledger import Ledger, Sent, wanted_bits
from hwangso_tools.swarm.plan import Plan

START_RATE_PER_S: Final = 250.0
"""Phones switched on a second in one process. Ten thousand at once stall their own clock for 0.2 s
(design, section 6); a start costs about 1 ms of this process."""

ENROLLING_MAX: Final = 64
"""Enrolments under way in one process. The server hashes passwords a few at a time and turns away
what queues too long, so more would only make errors."""

STALLED_AFTER_S: Final = 45.0
"""Enrolling is given up when not one more device got in for so long: longer than a device waits for
one answer (30 s) plus its first back-offs."""

SETTLE_STEP_S: Final = 0.05

SENTENCES: Final = ("안녕", "Are you all right?", "흔들렸어?", "We felt it here too.", "괜찮아 😊")


class Member:
    """A device of the crowd, with what is known of it. Observes the device."""

    __slots__ = ("_crowd", "device", "logins", "number", "phone", "ready_at", "user")

    def __init__(self, crowd: "Crowd", user: int, number: int) -> None:
        self._crowd = crowd
        self.user = user
        self.number = number
        """Which of its user's devices it is."""
        self.phone: Device | None = None
        self.logins: list[tuple[Kind, Intent]] = []
        """How it got in since the list was last emptied."""
        self.ready_at: float | None = None
        """When its session began, infinity while it has none, None before the first. What was
        written before this, and arrives, it had missed."""

    @property
    def enrolled(self) -> bool:
        """Whether the server knows it; only then are messages for it."""
        return self.ready_at is not None

    def observe(self, event: DeviceEvent) -> None:
        """Take what the device reports."""
        crowd = self._crowd
        crowd.figures.take(event)
        match event:
            case AttemptEnded(attempt, Outcome.WELCOMED, ended_at):
                self.logins.append((attempt.kind, attempt.intent))
                self.ready_at = ended_at
            case SessionEnded():
                self.ready_at = inf
            case MessageAcknowledged(id=message_id):
                crowd.acknowledged(self, message_id)
            case MessageRefused(id=message_id):
                crowd.refused(message_id)
            case MessageArrived(entry, arrived_at):
                crowd.arrived(self, entry.id, entry.sender, entry.to, entry.body, arrived_at)
            case _:
                pass


class Crowd:
    """See the module's docstring. `present` says which devices messages are for: a number per user,
    bit `n` for its device `n`; set it before `chat`."""

    def __init__(self, plan: Plan, epoch_s: float) -> None:
        self.plan = plan
        self.figures = Figures()
        self.ledger = Ledger()
        self.members: list[Member] = []
        self.present: Mapping[int, int] = {}
        self.expected = 0
        """Copies that the messages acknowledged here should make, in all processes."""
        self.arrivals = 0
        """Copies that arrived here, other than a sender's own."""
        self.refusal: DeviceStopped | None = None
        """Why the server does not want a device, if there is one."""
        self._epoch_s = epoch_s
        self._posted: dict[bytes, Sent] = {}
        self._rng = random.Random(plan.seed)

    # Phases

    async def enrol(self) -> None:
        """Switch all phones on, spread over time, and wait until each is enrolled and in the
        background; gives up when the server refuses one for good, or STALLED_AFTER_S."""
        limit = trio.CapacityLimiter(ENROLLING_MAX)
        with trio.CancelScope() as scope:
            scope.deadline = trio.current_time() + STALLED_AFTER_S
            async with trio.open_nursery() as nursery:
                start = trio.current_time()
                for place, member in enumerate(self.members):
                    intended_at = start + place / START_RATE_PER_S
                    await trio.sleep_until(intended_at)
                    await limit.acquire_on_behalf_of(member)
                    nursery.start_soon(self._enrol, member, limit, scope)

    async def chat(self, seconds: float) -> None:
        """Let the devices write to random other users, at random times, for so long.

        The devices' Poisson processes together are one of their summed rate. A message that this
        process is late for still counts from when it was due.
        """
        rate_per_s = self.plan.message_rate * len(self.members)
        end = trio.current_time() + seconds
        if not rate_per_s:
            await trio.sleep_until(end)
            return
        due = trio.current_time() + self._rng.expovariate(rate_per_s)
        while due < end:
            await trio.sleep_until(due)
            self._write(self._rng.choice(self.members), due)
            due += self._rng.expovariate(rate_per_s)
        await trio.sleep_until(end)

    async def settle(self, within_s: float, done: Callable[[], bool]) -> bool:
        """Wait until all that was written is acknowledged and `done`; False if it took too long."""
        for _ in range(max(1, round(within_s / SETTLE_STEP_S))):
            if not self.unanswered and done():
                return True
            await trio.sleep(SETTLE_STEP_S)
        return False

    # What is known

    @property
    def unanswered(self) -> int:
        """Messages written that the server has neither acknowledged nor refused."""
        return len(self._posted)

    @property
    def ready(self) -> int:
        """Devices that are connected now."""
        return sum(
            member.phone is not None and member.phone.link_state is LinkState.READY
            for member in self.members
        )

    def enrolled(self) -> dict[int, int]:
        """The devices here that are enrolled, as bits by user."""
        bits: dict[int, int] = {}
        for member in self.members:
            if member.enrolled:
                bits[member.user] = bits.get(member.user, 0) | 1 << member.number
        return bits

    def devices_of(self, user: int) -> int:
        """The devices of a user that messages are for, as bits."""
        return self.present.get(user, 0)

    # What members report

    def acknowledged(self, member: Member, message_id: bytes) -> None:
        """A message of this member is on the server's disk."""
        sent = self._posted.pop(message_id, None)
        if sent is not None:
            self.ledger.acknowledge(message_id, sent)
            self.expected += wanted_bits(sent, self.devices_of).bit_count()

    def refused(self, message_id: bytes) -> None:
        """The server will not take it."""
        self._posted.pop(message_id, None)

    def arrived(
        self, member: Member, message_id: bytes, sender: str, to: str, body: str, at: float
    ) -> None:
        """A member got a message."""
        sender_number, to_number = self.plan.user_number(sender), self.plan.user_number(to)
        if sender_number is None or to_number is None:
            self.figures.counts["foreign"] += 1
            return
        due_ns, _, device_and_text = body.partition(" ")
        written_at = int(due_ns) / 1e9 - self._epoch_s
        own = member.user == sender_number and device_and_text.startswith(f"{member.number} ")
        new = self.ledger.arrive(
            message_id, member.user, member.number, sender=sender_number, to=to_number
        )
        if new and not own:
            self.arrivals += 1
            self.figures.counts["received"] += 1
            self.figures.record("delivery", at - written_at)
            if member.ready_at is not None and written_at < member.ready_at:
                self.figures.counts["caught_up"] += 1

    # Inside

    async def _enrol(
        self, member: Member, limit: trio.CapacityLimiter, scope: trio.CancelScope
    ) -> None:
        try:
            phone = await self._in(member)
            await phone.leave_app()
        except DeviceStopped as stopped:
            self.refusal = stopped
            scope.cancel()
        else:
            scope.deadline = trio.current_time() + STALLED_AFTER_S
        finally:
            limit.release_on_behalf_of(member)

    async def _in(self, member: Member) -> Device:
        """Open the app until there is a session: a user who waits tries again."""
        phone = member.phone
        if phone is None:
            raise RuntimeError("the crowd is not open")
        while True:
            try:
                await phone.open_app()
            except NotReady:
                continue
            return phone

    def _write(self, member: Member, due: float) -> None:
        if member.phone is None or not member.enrolled:
            self.figures.counts["not_sent"] += 1
            return
        recipient = self._rng.randrange(self.plan.users - 1)
        recipient += recipient >= member.user
        due_ns = int((due + self._epoch_s) * 1e9)
        body = f"{due_ns} {member.number} {self._rng.choice(SENTENCES)}"
        try:
            message_id = member.phone.post(self.plan.user_name(recipient), body, intended_at=due)
        except OutboxFull:
            self.figures.counts["not_sent"] += 1
            self.figures.error("outbox full")
            return
        self._posted[message_id] = Sent(member.user, member.number, recipient)
        self.figures.counts["sent"] += 1
        self.figures.record("write_lateness", trio.current_time() - due)


@asynccontextmanager
async def open_crowd(
    plan: Plan, devices: Sequence[int], network: Network, *, epoch_s: float
) -> AsyncIterator[Crowd]:
    """The devices with these numbers, switched off; they are closed politely when this is left.

    `epoch_s` added to Trio's time gives a time that all processes share.
    """
    crowd = Crowd(plan, epoch_s)
    rng = random.Random(f"{plan.seed}")
    closing = trio.Event()
    async with trio.open_nursery() as nursery:
        for index in devices:
            member = Member(crowd, index % plan.users, index // plan.users)
            crowd.members.append(member)
            await nursery.start(_live, member, plan, network, rng, closing)
        try:
            yield crowd
        finally:
            closing.set()


async def _live(
    member: Member,
    plan: Plan,
    network: Network,
    rng: random.Random,
    closing: trio.Event,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    config = DeviceConfig(
        server_key=plan.server_key,
        user=plan.user_name(member.user),
        password=plan.password,
        device_name=f"phone {member.number}",
        register=True,
        inbox_limit=0,
    )
    async with Device(config, network, observer=member.observe, rng=rng) as phone:
        member.phone = phone
        task_status.started()
        await closing.wait()
