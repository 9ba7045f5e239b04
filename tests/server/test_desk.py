"""From a hello to its answer: tickets, admission, who is known, what was missed, trouble."""

import pytest
from tests.server.fakes import FIRST_TICKET_KEY, ScriptedAdmission, static_key
from tests.server.harness import Phone, Server, running_server
from trio.testing import MockClock

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.events import Answered, Deferred, Refused
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.limits import UNAUTHENTICATED_DEFER_MAX_S
from hwangso_protocol.messages import Deliver, ErrorCode, More, Page, Ready, Sync
from hwangso_protocol.ticket import TicketKey, TicketRing
from hwangso_server.admission import Admit, Deferral, Refusal
from hwangso_server.desk import STORE_BUSY_RETRY_AFTER_MS
from hwangso_server.limits import KNOWN_USERS_MAX
from hwangso_server.presence import KnownUsers
from hwangso_server.store import StoreBusy, StoreClosed, StoreError, StoreFailed
from hwangso_server.store.interface import DiskFull


async def refusal(server: Server, phone: Phone) -> Refused:
    await server.settle()
    assert isinstance(phone.answer, Refused)
    assert not phone.transport.is_open
    assert phone.session not in server.core.sessions
    return phone.answer


async def denial(server: Server, phone: Phone) -> ErrorCode:
    await server.settle()
    assert isinstance(phone.answer, Answered)
    assert not phone.transport.is_open
    assert phone.session not in server.core.sessions
    return phone.denial.code


# Tickets


async def test_a_ticket_serves_more_than_once_until_it_expires(autojump_clock: MockClock) -> None:
    async with running_server(ticket_lifetime_s=1_000) as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        ticket, psk = identity.ticket, identity.psk
        for _ in range(2):
            identity.ticket, identity.psk = ticket, psk
            await server.resume(identity)
        identity.ticket, identity.psk = ticket, psk
        autojump_clock.jump(1_101)
        assert (
            await refusal(server, server.connect(Kind.RESUME, identity))
        ).reason is RefuseReason.TICKET_INVALID
        assert server.count("fault.ticket_invalid") == 1
        assert server.count("refused.ticket_invalid") == 1


async def test_each_welcome_has_another_ticket(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        tickets = [phone.identity.ticket]
        for _ in range(3):
            await server.resume(phone.identity)
            tickets.append(phone.identity.ticket)
        await server.login(phone.identity)
        tickets.append(phone.identity.ticket)
        assert len(set(tickets)) == 5
        assert len({ticket[5:17] for ticket in tickets}) == 5  # nor a nonce in common


async def test_another_servers_ticket(autojump_clock: MockClock) -> None:
    async with running_server() as other:
        await other.add_user("alice")
        other.keys.ticket_ring = TicketRing([TicketKey(1, bytes(32))])
        identity = (await other.enrol("alice")).identity
    async with running_server() as server:
        await server.add_user("alice")
        phone = server.connect(Kind.RESUME, identity)
        assert (await refusal(server, phone)).reason is RefuseReason.TICKET_INVALID


async def test_a_rotated_ticket_key(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        old = FIRST_TICKET_KEY
        new = TicketKey(2, bytes(32))
        server.keys.ticket_ring = TicketRing([new, old])
        await server.resume(identity)
        server.keys.ticket_ring = TicketRing([new])
        await server.resume(identity)  # its ticket was sealed with the new key


@pytest.mark.parametrize("bit", [0, 7, 8, 39, 40, 135, 136, 500, 1_039])
async def test_a_flipped_bit_in_a_ticket(autojump_clock: MockClock, bit: int) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        altered = bytearray(identity.ticket)
        altered[bit // 8] ^= 1 << bit % 8
        identity.ticket = bytes(altered)
        phone = server.connect(Kind.RESUME, identity)
        assert (await refusal(server, phone)).reason is RefuseReason.TICKET_INVALID


async def test_a_ticket_without_its_psk(autojump_clock: MockClock) -> None:
    """Somebody who saw the ticket on its way, in the clear hello."""
    async with running_server() as server:
        await server.add_user("alice")
        victim = await server.enrol("alice")
        victim.identity.psk = bytes(32)
        thief = server.connect(Kind.RESUME, victim.identity)
        assert (await refusal(server, thief)).reason is RefuseReason.HANDSHAKE_FAILED
        assert server.count("fault.handshake_failed") == 1
        assert victim.is_live


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_flipped_bit_anywhere_in_a_hello_lets_nobody_in(
    autojump_clock: MockClock, kind: Kind
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        victim = await server.enrol("alice")
        seen = server.connect(kind, victim.identity)
        seen.lose()
        hello = seen.hello
        denied = 0
        for at in range(0, len(hello), 3):
            altered = bytearray(hello)
            altered[at] ^= 1 << at % 8
            phone = server.replay(bytes(altered), victim.identity)
            await server.settle()
            denied += not phone.transport.is_open
            phone.lose()
        # What stays open waits for bytes that a flipped length promises.
        assert denied >= len(range(0, len(hello), 3)) - 2
        assert victim.is_live


async def test_a_client_with_the_wrong_server_key(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        server.keys.static = static_key(0xBAD)  # what the phones believe from now on
        for kind in (Kind.LOGIN, Kind.ENROL):
            wrong = server.connect(kind, phone.identity)
            assert (await refusal(server, wrong)).reason is RefuseReason.HANDSHAKE_FAILED


# Revoked, disabled, unknown


async def test_a_device_nobody_enrolled(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = server.connect(Kind.LOGIN, server.new_identity("alice"))
        assert await denial(server, phone) is ErrorCode.DEVICE_UNKNOWN
        assert server.count("denied.device_unknown") == 1


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_revoked_device(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone, other = await server.enrol("alice"), await server.enrol("alice")
        await server.store.revoke_device(phone.identity.device, 1)
        server.core.devices.revoked(phone.session.user_id, phone.identity.device)
        late = server.connect(kind, phone.identity)
        assert await denial(server, late) is ErrorCode.DEVICE_REVOKED
        await server.prove(server.connect(kind, other.identity))


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_disabled_user(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        user = await server.store.set_disabled("alice", 1)
        server.core.tickets.disable_user(user.id, server.core.clock.wall_ms())
        late = server.connect(kind, phone.identity)
        assert await denial(server, late) is ErrorCode.USER_DISABLED
        await server.store.set_disabled("alice", None)
        server.core.tickets.enable_user(user.id)
        await server.prove(server.connect(kind, phone.identity))


# What was missed


async def inbox_of(server: Server, messages: int) -> tuple[Phone, Phone]:
    """Alice, and bob with so many messages, all of which he has."""
    await server.add_user("alice", "bob")
    alice, bob = await server.enrol("alice"), await server.enrol("bob")
    for number in range(1, messages + 1):
        await server.send(alice, number, "bob")
    bob.identity.since = messages
    return alice, bob


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_nothing_missed(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 2)
        with server.held("page"):  # a head that is known asks the store for no page
            bob = await server.prove(server.connect(kind, bob.identity))
        assert (bob.welcome.since, bob.welcome.head, bob.welcome.entries) == (2, 2, ())
        await server.send(alice, 3, "bob")
        assert [entry.seq for entry in bob.take(Deliver).entries] == [3]


async def test_nothing_missed_is_answered_on_the_spot(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        _, bob = await inbox_of(server, 2)
        phone = server.connect(Kind.RESUME, bob.identity)
        assert phone.welcome.head == 2  # no settling: no task


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_an_unknown_head_is_looked_up(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 2)
        server.core.known_users = KnownUsers(KNOWN_USERS_MAX)
        bob = await server.prove(server.connect(kind, bob.identity))
        assert (bob.welcome.since, bob.welcome.head, bob.welcome.entries) == (2, 2, ())
        await server.send(alice, 3, "bob")
        assert [entry.seq for entry in bob.take(Deliver).entries] == [3]


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
@pytest.mark.parametrize("head_is_known", [True, False])
async def test_what_was_missed_is_in_the_welcome(
    autojump_clock: MockClock, kind: Kind, head_is_known: bool
) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 5)
        if not head_is_known:
            server.core.known_users = KnownUsers(KNOWN_USERS_MAX)
        bob = await server.prove(server.connect(kind, bob.identity, since=2))
        assert (bob.welcome.since, bob.welcome.head) == (2, 5)
        assert [entry.seq for entry in bob.welcome.entries] == [3, 4, 5]
        await server.send(alice, 6, "bob")
        assert [entry.seq for entry in bob.take(Deliver).entries] == [6]


async def test_a_device_that_got_a_part_asks_for_the_rest(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 5)
        bob = await server.prove(server.connect(Kind.RESUME, bob.identity, since=0, limit=2))
        assert [entry.seq for entry in bob.welcome.entries] == [1, 2]
        await server.send(alice, 6, "bob")
        assert bob.messages == []  # it is behind
        for since, expected in ((2, [3, 4, 5, 6]), (6, [])):
            bob.say(Sync(since))
            await server.settle()
            assert [entry.seq for entry in bob.take(Page).entries] == expected
        await server.send(alice, 7, "bob")
        assert [entry.seq for entry in bob.take(Deliver).entries] == [7]


async def test_a_welcome_without_entries_when_none_were_wanted(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 3)
        bob = await server.prove(server.connect(Kind.RESUME, bob.identity, since=1, limit=0))
        assert (bob.welcome.since, bob.welcome.head, bob.welcome.entries) == (1, 3, ())
        await server.send(alice, 4, "bob")
        assert bob.messages == []


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_device_ahead_of_a_server_that_lost_history(
    autojump_clock: MockClock, kind: Kind
) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 2)
        bob = await server.prove(server.connect(kind, bob.identity, since=90))
        assert (bob.welcome.since, bob.welcome.head) == (2, 2)
        await server.send(alice, 3, "bob")
        assert [entry.seq for entry in bob.take(Deliver).entries] == [3]


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_message_between_answer_and_first_record(
    autojump_clock: MockClock, kind: Kind
) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 1)
        bob.lose()
        newer = server.connect(kind, bob.identity)
        await server.settle()
        await server.send(alice, 2, "bob")
        assert newer.messages == []
        newer.say(Ready())
        assert newer.take(More).head == 2
        await server.send(alice, 3, "bob")
        assert newer.messages == []  # behind until it has asked
        newer.say(Sync(1))
        await server.settle()
        assert [entry.seq for entry in newer.take(Page).entries] == [2, 3]


async def test_a_message_while_the_page_was_read(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of(server, 2)
        bob.lose()
        with server.held("page"):
            newer = server.connect(Kind.RESUME, bob.identity, since=0)
            await server.settle()
            await server.send(alice, 3, "bob")
        newer = await server.prove(newer)
        assert [entry.seq for entry in newer.welcome.entries] == [1, 2]
        assert newer.welcome.head == 3


# A store in trouble

TROUBLE = [
    StoreBusy("busy"),
    StoreFailed("broken"),
    DiskFull("no room"),
    StoreClosed("closing"),
]


@pytest.mark.parametrize("error", TROUBLE)
@pytest.mark.parametrize(
    ("kind", "method"),
    [(Kind.LOGIN, "device_by_key"), (Kind.LOGIN, "page"), (Kind.RESUME, "page")],
)
async def test_a_hello_that_the_store_cannot_answer(
    autojump_clock: MockClock, kind: Kind, method: str, error: StoreError
) -> None:
    async with running_server() as server:
        _, bob = await inbox_of(server, 1)
        server.trouble(method, error)
        phone = server.connect(kind, bob.identity, since=0)
        refused = await refusal(server, phone)
        assert refused.reason is RefuseReason.UNAVAILABLE
        assert refused.retry_after_s == STORE_BUSY_RETRY_AFTER_MS / 1000
        assert server.count("refused.unavailable") == 1
        assert bob.is_live


@pytest.mark.parametrize("method", ["device_by_key", "page"])
@pytest.mark.parametrize("error", [None, StoreBusy("busy")])
async def test_gone_before_the_store_has_answered(
    autojump_clock: MockClock, method: str, error: StoreError | None
) -> None:
    async with running_server() as server:
        _, bob = await inbox_of(server, 1)
        if error is not None:
            server.trouble(method, error)
        phone = server.connect(Kind.LOGIN, bob.identity, since=0)
        if error is not None:
            phone.lose()
        else:
            phone.lose()
            with server.held(method):
                other = server.connect(Kind.LOGIN, bob.identity, since=0)
                await server.settle()
                other.lose()
        await server.settle()
        assert list(server.core.sessions) == [p.session for p in server.phones if p.is_live]


@pytest.mark.parametrize("who", ["unknown", "revoked", "disabled"])
async def test_gone_before_a_denial(autojump_clock: MockClock, who: str) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        if who == "unknown":
            identity = server.new_identity("alice")
        elif who == "revoked":
            await server.store.revoke_device(identity.device, 1)
        else:
            await server.store.set_disabled("alice", 1)
        with server.held("device_by_key"):
            phone = server.connect(Kind.LOGIN, identity)
            await server.settle()
            phone.lose()
        await server.settle()
        assert phone.session not in server.core.sessions
        assert [name for name in server.core.counts.snapshot() if name.startswith("denied")] == []


async def test_bytes_before_the_answer_are_a_fault(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        _, bob = await inbox_of(server, 1)
        with server.held("device_by_key"):
            phone = server.connect(Kind.LOGIN, bob.identity)
            phone.feed(b"!")
            assert not phone.transport.is_open
        await server.settle()
        assert server.count("fault.bad_hello") == 1
        assert isinstance(phone.answer, Refused)
        assert phone.answer.reason is RefuseReason.BAD_HELLO


# Admission


async def test_what_admission_is_told(autojump_clock: MockClock) -> None:
    admission = ScriptedAdmission(Admit(Intent.FOREGROUND))
    async with running_server(admission=admission) as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        server.connect(
            Kind.RESUME,
            identity,
            intent=Intent.BACKGROUND,
            lane=Intent.FOREGROUND,
            number=3,
            deferral_ticket=b"slot",
        )
        server.connect(Kind.LOGIN, identity, lane=Intent.BACKGROUND)
        enrol, resume, login = admission.arrivals
        assert (enrol.kind, enrol.device_id) == (Kind.ENROL, None)
        assert resume.kind is Kind.RESUME
        assert resume.device_id == identity.device
        assert (resume.lane, resume.intent) == (Intent.FOREGROUND, Intent.BACKGROUND)
        assert (resume.attempt, resume.deferral_ticket) == (3, b"slot")
        assert (login.kind, login.device_id, login.lane) == (Kind.LOGIN, None, Intent.BACKGROUND)
        assert (login.attempt, login.deferral_ticket) == (1, b"")


def no_more_randomness(server: Server) -> None:
    """From now on a server that begins a Diffie-Hellman fails: each takes a new key."""

    def random_bytes(size: int) -> bytes:
        raise AssertionError(f"{size} random bytes for a hello that was not admitted")

    server.core.random_bytes = random_bytes


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_deferral(
    autojump_clock: MockClock, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = ScriptedAdmission(
        Admit(Intent.FOREGROUND), Deferral(90_000, DeferReason.EMERGENCY, b"slot")
    )
    async with running_server(admission=admission) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        no_more_randomness(server)
        monkeypatch.setattr(
            "hwangso_protocol.server.ServerConnection.read_first_message",
            lambda *_: pytest.fail("no Diffie-Hellman for a deferral"),
        )
        phone = server.connect(kind, known.identity, intent=Intent.BACKGROUND)
        authentic = kind is Kind.RESUME
        assert phone.answer == Deferred(
            90.0 if authentic else UNAUTHENTICATED_DEFER_MAX_S,
            DeferReason.EMERGENCY,
            b"slot",
            authentic,
        )
        assert not phone.transport.is_open
        assert server.count("deferred.BG") == 1
        assert admission.told == ["session_started"]  # the first, and nothing of the deferred one
        assert known.is_live


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_refusal(autojump_clock: MockClock, kind: Kind) -> None:
    admission = ScriptedAdmission(Admit(Intent.FOREGROUND), Refusal(RefuseReason.FULL, 5_000))
    async with running_server(admission=admission) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        no_more_randomness(server)
        phone = server.connect(kind, known.identity)
        assert await refusal(server, phone) == Refused(RefuseReason.FULL, 5.0)
        assert server.count("refused.full") == 1
        assert admission.told == ["session_started"]


async def test_a_bad_ticket_never_comes_to_admission(autojump_clock: MockClock) -> None:
    admission = ScriptedAdmission(Admit(Intent.FOREGROUND))
    async with running_server(admission=admission) as server:
        identity = server.new_identity("alice")
        identity.ticket, identity.psk = bytes(130), bytes(32)
        await refusal(server, server.connect(Kind.RESUME, identity))
        assert admission.arrivals == []
        assert admission.told == []


async def test_admission_hears_of_each_end_once(autojump_clock: MockClock) -> None:
    admission = ScriptedAdmission(Admit(Intent.FOREGROUND))
    async with running_server(admission=admission) as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        assert admission.told == ["session_started"]
        admission.told.clear()
        phone.lose()
        assert admission.told == ["session_ended"]
        admission.told.clear()
        server.connect(Kind.LOGIN, phone.identity).lose()
        assert admission.told == ["handshake_failed"]
        await server.settle()
        assert admission.told == ["handshake_failed"]
