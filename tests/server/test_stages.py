"""What a stage changes for the sessions that begin in it: core, desk and session together."""

import pytest
import trio
from tests.server.fakes import ScriptedAdmission
from tests.server.harness import Phone, Server, running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ByeReason, Deliver, More, Page, Sync
from hwangso_server.admission import Admit, Stage
from hwangso_server.deadlines import TICK_S
from hwangso_server.handshakes import Handshake
from hwangso_server.limits import ADMISSION_TICK_S, KNOWN_USERS_MAX
from hwangso_server.presence import KnownUsers

KEEPALIVE_S = 60
KEEPALIVES_S = {Stage.NORMAL: 60, Stage.BUSY: 120, Stage.EMERGENCY: 240, Stage.SHIELD: 240}
QUIET_STAGES = [Stage.EMERGENCY, Stage.SHIELD]
"""In which background devices are told only how much they missed."""


def admitting() -> ScriptedAdmission:
    return ScriptedAdmission(Admit(Intent.FOREGROUND))


async def closed_after(phone: Phone) -> float:
    """How long until the server closes the connection."""
    started_s = trio.current_time()
    await phone.transport.ended.wait()
    return trio.current_time() - started_s


# Keepalive and idle timeout


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("kind", Kind)
async def test_each_session_is_told_the_keepalive_of_its_stage(
    autojump_clock: MockClock, stage: Stage, kind: Kind
) -> None:
    """And is dead after 2.5 of them in silence."""
    admission = admitting()
    async with running_server(admission=admission, keepalive_s=KEEPALIVE_S) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        admission.stage = stage
        phone = await server.prove(server.connect(kind, known.identity))
        keepalive_s = KEEPALIVES_S[stage]
        assert phone.welcome.policy.keepalive_ms == keepalive_s * 1000
        idle_s = 2.5 * keepalive_s
        assert idle_s <= await closed_after(phone) <= idle_s + 2 * TICK_S
        assert phone.goodbye is ByeReason.IDLE


@pytest.mark.parametrize(
    ("given", "later"),
    [(Stage.NORMAL, Stage.EMERGENCY), (Stage.EMERGENCY, Stage.NORMAL), (Stage.BUSY, Stage.SHIELD)],
)
async def test_a_session_keeps_its_terms_when_the_stage_changes(
    autojump_clock: MockClock, given: Stage, later: Stage
) -> None:
    """It has told its device: a timeout by the new stage would close live sessions, or keep dead
    ones."""
    admission = admitting()
    admission.stage = given
    async with running_server(admission=admission, keepalive_s=KEEPALIVE_S) as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        admission.stage = later
        idle_s = 2.5 * KEEPALIVES_S[given]
        assert idle_s <= await closed_after(phone) <= idle_s + 2 * TICK_S


async def test_the_terms_are_those_of_the_handshake_not_of_the_proof(
    autojump_clock: MockClock,
) -> None:
    """The Welcome has said them; the device proves its keys a round trip later."""
    admission = admitting()
    async with running_server(admission=admission, keepalive_s=KEEPALIVE_S) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        admission.stage = Stage.EMERGENCY
        phone = server.connect(Kind.RESUME, known.identity)
        await server.settle()
        admission.stage = Stage.NORMAL
        await server.prove(phone)
        assert phone.welcome.policy.keepalive_ms == 240_000
        assert await closed_after(phone) >= 600


async def test_a_device_is_told_the_terms_that_its_session_has(autojump_clock: MockClock) -> None:
    """Also when the stage changes while the store is asked."""
    admission = admitting()
    async with running_server(admission=admission, keepalive_s=KEEPALIVE_S) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        with server.held("device_by_key"):
            phone = server.connect(Kind.LOGIN, known.identity)
            await server.settle()
            admission.stage = Stage.EMERGENCY
        await server.prove(phone)
        assert phone.welcome.policy == phone.session.terms.policy
        assert phone.welcome.policy.keepalive_ms == 60_000


async def test_a_hello_that_waited_gets_the_terms_of_its_turn(autojump_clock: MockClock) -> None:
    """Not those of its arrival: they are what the server can stand now."""
    admission = admitting()
    async with running_server(admission=admission, keepalive_s=KEEPALIVE_S) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        waiting: list[Handshake] = []
        server.core.submit = waiting.append
        phone = server.connect(Kind.RESUME, known.identity)
        admission.stage = Stage.BUSY
        (handshake,) = waiting
        handshake.begin()
        server.core.flush_touched()
        await server.prove(phone)
        assert phone.welcome.policy.keepalive_ms == 120_000


# Tickets


@pytest.mark.parametrize(
    ("stage", "factor"),
    [(Stage.NORMAL, 1), (Stage.BUSY, 1), (Stage.EMERGENCY, 2), (Stage.SHIELD, 2)],
)
async def test_tickets_of_an_emergency_outlive_it(
    autojump_clock: MockClock, stage: Stage, factor: int
) -> None:
    admission = admitting()
    async with running_server(admission=admission, ticket_lifetime_s=1_000) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        admission.stage = stage
        phone = await server.resume(known.identity)
        lifetime_ms = phone.welcome.ticket_lifetime_ms
        assert 900_000 * factor <= lifetime_ms <= 1_100_000 * factor
        autojump_clock.jump(lifetime_ms / 1000 - 1)
        await server.resume(known.identity)


# Messages that were missed


async def missed(server: Server, messages: int) -> tuple[Phone, Phone]:
    """Alice, and bob, whose device is away and has none of so many messages."""
    await server.add_user("alice", "bob")
    alice, bob = await server.enrol("alice"), await server.enrol("bob")
    bob.lose()
    for number in range(1, messages + 1):
        await server.send(alice, number, "bob")
    return alice, bob


@pytest.mark.parametrize("stage", QUIET_STAGES)
@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_background_device_is_told_how_much_it_missed(
    autojump_clock: MockClock, stage: Stage, kind: Kind
) -> None:
    """The store is asked for no page. The device asks when it is opened."""
    admission = admitting()
    async with running_server(admission=admission) as server:
        alice, bob = await missed(server, 3)
        admission.stage = stage
        with server.held("page"):
            phone = await server.prove(server.connect(kind, bob.identity, intent=Intent.BACKGROUND))
            assert (phone.welcome.since, phone.welcome.head) == (0, 3)
            assert phone.welcome.entries == ()
            assert not phone.welcome.policy.background_sync
            await server.send(alice, 4, "bob")
            assert phone.messages == []
        phone.say(Sync(0))
        await server.settle()
        assert [entry.seq for entry in phone.take(Page).entries] == [1, 2, 3, 4]
        await server.send(alice, 5, "bob")
        assert [entry.seq for entry in phone.take(Deliver).entries] == [5]


async def test_after_the_emergency_the_next_message_lets_it_ask(autojump_clock: MockClock) -> None:
    """It is online, and must not miss messages until somebody opens the app."""
    admission = admitting()
    async with running_server(admission=admission) as server:
        alice, bob = await missed(server, 3)
        admission.stage = Stage.EMERGENCY
        phone = await server.prove(
            server.connect(Kind.RESUME, bob.identity, intent=Intent.BACKGROUND)
        )
        admission.stage = Stage.BUSY
        for number in (4, 5):
            await server.send(alice, number, "bob")
            assert phone.take(More).head == number
        phone.say(Sync(0))
        await server.settle()
        assert [entry.seq for entry in phone.take(Page).entries] == [1, 2, 3, 4, 5]
        await server.send(alice, 6, "bob")
        assert [entry.seq for entry in phone.take(Deliver).entries] == [6]


async def test_after_the_emergency_background_devices_are_invited_to_sync(
    autojump_clock: MockClock,
) -> None:
    admission = admitting()
    admission.next_deadline_s = 0.0
    async with running_server(admission=admission) as server:
        _, bob = await missed(server, 3)
        admission.stage = Stage.EMERGENCY
        phone = await server.prove(
            server.connect(Kind.RESUME, bob.identity, intent=Intent.BACKGROUND)
        )
        await trio.sleep(1)
        assert phone.messages == []
        admission.stage = Stage.BUSY
        await trio.sleep(1)
        assert phone.take(More).head == 3
        phone.say(Sync(0))
        await server.settle()
        assert [entry.seq for entry in phone.take(Page).entries] == [1, 2, 3]


async def test_they_are_invited_as_fast_as_the_server_has_room_for(
    autojump_clock: MockClock,
) -> None:
    """And no longer than until the next emergency."""
    admission = admitting()
    admission.next_deadline_s = 0.0
    admission.background_per_s = 2.0
    async with running_server(admission=admission) as server:
        _, bob = await missed(server, 3)
        identities = [bob.identity, *[(await server.enrol("bob")).identity for _ in range(5)]]
        admission.stage = Stage.EMERGENCY
        phones = []
        for identity in identities:
            identity.since = 0
            hello = server.connect(Kind.RESUME, identity, intent=Intent.BACKGROUND)
            phones.append(await server.prove(hello))
        await trio.sleep(1)

        def invited() -> int:
            return sum(any(isinstance(m, More) for m in phone.messages) for phone in phones)

        admission.stage = Stage.BUSY
        await trio.sleep(ADMISSION_TICK_S + 0.5)
        assert invited() == 1
        await trio.sleep(2)
        assert invited() == 3
        admission.stage = Stage.EMERGENCY
        await trio.sleep(60)
        assert invited() == 3
        admission.stage = Stage.BUSY
        await trio.sleep(60)
        assert invited() == 6


async def test_who_missed_nothing_gets_messages_in_an_emergency_too(
    autojump_clock: MockClock,
) -> None:
    """Only what piled up is held back."""
    admission = admitting()
    async with running_server(admission=admission) as server:
        alice, bob = await missed(server, 3)
        admission.stage = Stage.EMERGENCY
        bob.identity.since = 3
        phone = await server.prove(
            server.connect(Kind.RESUME, bob.identity, intent=Intent.BACKGROUND)
        )
        await server.send(alice, 4, "bob")
        assert [entry.seq for entry in phone.take(Deliver).entries] == [4]


@pytest.mark.parametrize("stage", QUIET_STAGES)
async def test_it_is_told_on_the_spot(autojump_clock: MockClock, stage: Stage) -> None:
    """A resume whose head is known needs no task."""
    admission = admitting()
    async with running_server(admission=admission) as server:
        _, bob = await missed(server, 3)
        admission.stage = stage
        phone = server.connect(Kind.RESUME, bob.identity, intent=Intent.BACKGROUND)
        assert phone.welcome.head == 3  # no settling


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_head_that_is_not_known_is_looked_up(autojump_clock: MockClock, kind: Kind) -> None:
    """After a restart. As little as possible is read."""
    admission = admitting()
    async with running_server(admission=admission) as server:
        _, bob = await missed(server, 3)
        server.core.known_users = KnownUsers(KNOWN_USERS_MAX)
        admission.stage = Stage.EMERGENCY
        limits = []
        page = server.store.page

        async def watched(user_id: int, since: int, limit: int, max_body_bytes: int) -> object:
            limits.append(limit)
            return await page(user_id, since, limit, max_body_bytes)

        server.patch("page", watched)
        phone = await server.prove(server.connect(kind, bob.identity, intent=Intent.BACKGROUND))
        assert (phone.welcome.head, phone.welcome.entries) == (3, ())
        assert limits == [1]


@pytest.mark.parametrize(
    ("stage", "intent"),
    [
        *[(stage, Intent.FOREGROUND) for stage in Stage],
        *[(stage, Intent.BACKGROUND) for stage in (Stage.NORMAL, Stage.BUSY)],
    ],
)
@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_others_get_what_they_missed(
    autojump_clock: MockClock, stage: Stage, intent: Intent, kind: Kind
) -> None:
    admission = admitting()
    async with running_server(admission=admission) as server:
        _, bob = await missed(server, 3)
        admission.stage = stage
        phone = await server.prove(server.connect(kind, bob.identity, intent=intent))
        assert [entry.seq for entry in phone.welcome.entries] == [1, 2, 3]


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_device_that_missed_nothing(autojump_clock: MockClock, kind: Kind) -> None:
    """Nor is one behind that knows more than the server, which has lost history."""
    admission = admitting()
    async with running_server(admission=admission) as server:
        alice, bob = await missed(server, 2)
        admission.stage = Stage.EMERGENCY
        for since in (2, 90):
            phone = await server.prove(
                server.connect(kind, bob.identity, intent=Intent.BACKGROUND, since=since)
            )
            assert (phone.welcome.since, phone.welcome.head) == (2, 2)
        await server.send(alice, 3, "bob")
        assert [entry.seq for entry in phone.take(Deliver).entries] == [3]
