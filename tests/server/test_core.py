"""What sessions share: takeover, late revocations, housekeeping, start, saying goodbye."""

import pytest
import trio
from tests.server.harness import Phone, Server, message_id, running_server
from trio.testing import MockClock, assert_checkpoints, assert_no_checkpoints

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.events import Refused
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Deliver,
    Error,
    ErrorCode,
    Ping,
    Pong,
    Ready,
    Received,
    RevokeDevice,
    Send,
    Sent,
    Sync,
)
from hwangso_server import core as core_module
from hwangso_server.core import Core
from hwangso_server.deadlines import TICK_S
from hwangso_server.environment import seeded_environment
from hwangso_server.limits import HOUSEKEEPING_INTERVAL_S, READ_BATCH
from hwangso_server.store import StoreBusy, StoreFailed

# Takeover


async def test_a_revoked_device_that_never_went_online_can_do_nothing(
    autojump_clock: MockClock,
) -> None:
    """All in one segment, with a Bye behind, so that the session is over before it is proved."""
    async with running_server() as server:
        await server.add_user("alice", "bob")
        good, bob = await server.enrol("alice"), await server.enrol("bob")
        thief = await server.enrol("alice")
        thief.lose()
        again = server.connect(Kind.RESUME, thief.identity)
        await server.settle()
        server.core.devices.revoked(thief.session.user_id, thief.session.device_id)
        again.say(
            Send(message_id(1), "bob", "I am revoked"), RevokeDevice(good.identity.device), Bye()
        )
        await server.settle()
        assert bob.messages == []
        assert good.is_live
        assert server.count("stored") == 0


async def test_a_late_proof_does_not_displace_the_session_that_came_after(
    autojump_clock: MockClock,
) -> None:
    """A phone that is cut right after its Ready comes back at once; the old connection's last
    bytes may be read after those of the new one."""
    async with running_server() as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        early = server.connect(Kind.RESUME, identity)
        await server.settle()
        late = server.connect(Kind.RESUME, identity)
        await server.settle()
        late.say(Ready())
        early.say(Ready())
        await server.settle()
        assert late.is_live
        assert early.goodbye is ByeReason.REPLACED
        assert len(server.core.presence) == 1


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_proved_session_takes_over(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        older = await server.enrol("alice")
        newer = await server.prove(server.connect(kind, older.identity))
        assert older.goodbye is ByeReason.REPLACED
        assert not older.transport.is_open
        assert server.count("ended.replaced") == 1
        assert list(server.core.presence) == [newer.session]
        assert list(server.core.sessions) == [newer.session]


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_an_answered_hello_takes_nothing_over(autojump_clock: MockClock, kind: Kind) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        older = await server.enrol("alice")
        newer = server.connect(kind, older.identity)
        await server.settle()
        assert newer.welcome.device == older.identity.device
        assert not newer.session.online
        older.say(Ping(1))
        assert older.take(Pong).n == 1
        assert older.is_live


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_replayed_hello_changes_nothing(autojump_clock: MockClock, kind: Kind) -> None:
    """The hello of a session that is now online, sent again by somebody who saw it."""
    async with running_server() as server:
        await server.add_user("alice", "bob")
        identity = (await server.enrol("alice")).identity
        victim = await server.prove(server.connect(kind, identity))
        bob = await server.enrol("bob")
        thief = server.replay(victim.hello, identity)
        await server.settle()
        before = (victim.session.sent_seq, victim.session.told_head)
        # Keys are what the thief lacks: nothing they say proves anything.
        thief.feed(b"\x00\x20" + bytes(32))
        await server.settle()
        assert not thief.transport.is_open
        assert server.count("fault.bad_record") == 1
        assert victim.is_live
        assert (victim.session.sent_seq, victim.session.told_head) == before
        assert list(server.core.presence.of_user(victim.session.user_id)) == [victim.session]
        await server.send(bob, 1, "alice")
        assert victim.take(Deliver).entries[0].seq == 1


async def test_a_replayed_session_proves_nothing_either(autojump_clock: MockClock) -> None:
    """All that the phone sent, replayed: the server's fresh key makes it noise."""
    async with running_server() as server:
        await server.add_user("alice")
        identity = (await server.enrol("alice")).identity
        victim = server.connect(Kind.RESUME, identity)
        await server.settle()
        victim.connection.send(Ready())
        first_record = victim.connection.data_to_send()
        victim.feed(first_record)
        assert victim.is_live
        thief = server.replay(victim.hello, identity)
        await server.settle()
        thief.feed(first_record)
        assert not thief.transport.is_open
        assert victim.is_live
        assert server.count("session.resume.FG") == 1


async def test_sends_of_a_session_that_was_taken_over_are_stored(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        older, bob = await server.enrol("alice"), await server.enrol("bob")
        newer = server.connect(Kind.RESUME, older.identity)
        older.text(1, "bob")
        newer.say(Ready())
        newer.text(1, "bob")
        await server.settle()
        assert newer.take(Sent).id == message_id(1)
        assert [e.seq for e in bob.take(Deliver).entries] == [1]
        assert bob.messages == []


async def test_two_devices_of_a_user_are_both_online(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone, tablet = await server.enrol("alice"), await server.enrol("alice")
        assert phone.is_live
        assert tablet.is_live
        assert len(server.core.presence) == 2


# Revoked while the hello was answered


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_device_revoked_before_its_proof_does_not_get_in(
    autojump_clock: MockClock, kind: Kind
) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        identity = (await server.enrol("alice")).identity
        bob = await server.enrol("bob")
        newer = server.connect(kind, identity)
        await server.settle()
        await server.store.revoke_device(identity.device, 1)
        server.core.devices.revoked(1, identity.device)
        newer.text(1, "bob")
        await server.settle()
        assert newer.goodbye is ByeReason.REVOKED
        assert bob.messages == []
        assert list(server.core.presence) == [bob.session]
        assert server.count("ended.revoked") == 2


async def test_a_user_disabled_during_an_enrolment_does_not_get_in(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        with server.held("page"):
            phone = server.connect(Kind.ENROL, server.new_identity("alice"))
            await server.settle()
            user = await server.store.set_disabled("alice", 1)
            server.core.tickets.disable_user(user.id, server.core.clock.wall_ms())
        await server.settle()
        assert phone.goodbye is ByeReason.REVOKED
        assert not server.core.sessions


# Housekeeping


async def test_what_everybody_has_received_is_pruned(autojump_clock: MockClock) -> None:
    async with running_server(retry_window_s=5) as server:
        await server.add_user("alice", "bob")
        alice, bob = await server.enrol("alice"), await server.enrol("bob")
        await server.send(alice, 1, "bob")
        await trio.sleep(5 + 3 * HOUSEKEEPING_INTERVAL_S)
        assert server.store.counters().pruned == 0
        bob.say(Received(1))
        await trio.sleep(3 * HOUSEKEEPING_INTERVAL_S)
        assert server.store.counters().pruned == 1


async def test_a_send_tried_again_is_known_although_all_have_received_it(
    autojump_clock: MockClock,
) -> None:
    async with running_server(retry_window_s=60) as server:
        await server.add_user("alice", "bob")
        alice, bob = await server.enrol("alice"), await server.enrol("bob")
        await server.send(alice, 1, "bob")
        bob.take(Deliver)
        bob.say(Received(1))
        await trio.sleep(30)
        await server.send(alice, 1, "bob")
        assert bob.messages == []
        assert server.count("duplicate") == 1


async def test_pruning_keeps_up_with_storing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_module, "PRUNE_STEP", 2)
    async with running_server(retry_window_s=1) as server:
        await server.add_user("alice", "bob")
        alice, bob = await server.enrol("alice"), await server.enrol("bob")
        for number in range(20):
            await server.send(alice, number, "bob")
        bob.say(Received(20))
        await trio.sleep(1 + 2 * HOUSEKEEPING_INTERVAL_S)
        assert server.store.counters().pruned == 20


async def test_the_oldest_stranger_makes_room(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of hellos that prove nothing does not keep out who answers in time."""
    monkeypatch.setattr(core_module, "STRANGERS_MAX", 3)
    async with running_server() as server:
        await server.add_user("alice")
        alice = await server.enrol("alice")
        flood = [server.replay(alice.hello, alice.identity) for _ in range(4)]
        assert [phone.transport.is_open for phone in flood] == [False, True, True, True]
        assert server.count("dropped") == 1
        again = await server.resume(alice.identity)
        assert again.is_live
        assert len(server.core.strangers) == 2
        assert not any(session in server.core.strangers for session in server.core.presence)


@pytest.mark.parametrize("method", ["flush_cursors", "prune"])
async def test_a_busy_store_is_no_reason_to_stop(autojump_clock: MockClock, method: str) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        server.trouble(method, StoreBusy("busy"))
        await trio.sleep(3 * HOUSEKEEPING_INTERVAL_S)
        assert (await server.enrol("alice")).is_live


async def test_a_failed_store_ends_the_core(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(StoreFailed, flatten_subgroups=True):
        async with running_server() as server:
            server.store.fail(StoreFailed("the disk is gone"))
            await trio.sleep_forever()


async def test_revocations_are_forgotten_with_the_last_ticket(autojump_clock: MockClock) -> None:
    async with running_server(ticket_lifetime_s=10) as server:
        tickets = server.core.tickets
        tickets.revoke_device(7, server.core.clock.wall_ms())
        longest_s = 10 * 2 * 1.1  # issued in an emergency, and by chance for longer than others
        await trio.sleep(longest_s - 0.1)
        assert tickets.is_revoked(7)
        await trio.sleep(0.1 + 2 * HOUSEKEEPING_INTERVAL_S)
        assert not tickets.is_revoked(7)


async def test_deadlines_of_many_sessions_pass_in_turns(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        identity = server.new_identity("x")
        for _ in range(2 * READ_BATCH + 1):
            server.replay(b"", identity)
        await trio.sleep(6)
        assert not server.core.sessions
        assert server.count("hello_timeout") == 2 * READ_BATCH + 1


async def test_after_a_stall_peers_are_heard_before_they_are_judged(mock_clock: MockClock) -> None:
    """The process was stopped for longer than a proof may take, which lies in the kernel."""
    async with running_server() as server:
        await server.add_user("alice")
        alice = await server.enrol("alice")
        alice.lose()
        phone = server.connect(Kind.RESUME, alice.identity)
        await server.settle()
        mock_clock.jump(20)
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.core.sessions) == 1
        mock_clock.jump(TICK_S)
        await trio.testing.wait_all_tasks_blocked()
        assert not server.core.sessions
        assert not phone.transport.is_open


# Start


async def test_revocations_are_loaded_at_start(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        identity = (await server.enrol("alice")).identity
        await server.store.revoke_device(identity.device, server.core.clock.wall_ms())
        await server.store.set_disabled("bob", server.core.clock.wall_ms())
        async with trio.open_nursery() as nursery:
            restarted = Core(
                server.core.config,
                nursery=nursery,
                store=server.store,
                keys=server.keys,
                passwords=server.core.passwords,
                admission=server.admission,
                environment=seeded_environment(3, server.core.clock.wall_ms()),
            )
            assert not restarted.tickets.is_revoked(identity.device)
            await restarted.load_revocations()
            assert restarted.tickets.is_revoked(identity.device)
            assert restarted.tickets.is_disabled(2)
            assert not restarted.tickets.is_disabled(1)


async def test_connections_are_counted_by_lane(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        transport = server.replay(b"", server.new_identity("x")).transport
        server.core.greet(transport, Intent.BACKGROUND)
        server.core.greet(transport, None)
        assert server.core.counts.snapshot() == {
            "accepted.BG": 1,
            "accepted.FG": 1,
            "accepted.single": 1,
        }


# Goodbye


async def test_goodbye(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phones = [await server.enrol("alice") for _ in range(3)]
        silent = server.replay(b"", phones[0].identity)
        unproven = server.connect(Kind.RESUME, phones[0].identity)
        await server.core.say_goodbye()
        for phone in (*phones, unproven):
            assert phone.goodbye is ByeReason.SHUTTING_DOWN
        for phone in (*phones, unproven, silent):
            assert not phone.transport.is_open
        assert server.count("ended.shutting_down") == 3
        assert not server.core.sessions
        assert not server.core.presence


async def test_sends_on_their_way_are_acknowledged_before_goodbye(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob", "carol")
        alice, bob = await server.enrol("alice"), await server.enrol("bob")
        alice.text(1, "bob")
        with server.held("find_user") as release:  # this one has not even reached the store
            alice.text(2, "carol")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.core.say_goodbye)
                await server.settle()
                assert alice.is_live
                alice.text(3, "bob")
                refused = alice.take(Error)
                assert (refused.code, refused.id) == (
                    ErrorCode.UNAVAILABLE,
                    message_id(3),
                )
                release.set()
        assert [alice.take(Sent).id[-1], alice.take(Sent).id[-1]] == [1, 2]
        assert alice.goodbye is bob.goodbye is ByeReason.SHUTTING_DOWN


async def refused_by(server: Server, phone: Phone) -> RefuseReason:
    await server.settle()
    assert isinstance(phone.answer, Refused)
    return phone.answer.reason


async def test_hellos_during_the_goodbye_are_refused(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        await server.core.say_goodbye()
        for kind in Kind:
            late = server.connect(kind, phone.identity)
            assert await refused_by(server, late) is RefuseReason.SHUTTING_DOWN
            assert not late.transport.is_open
        assert server.count("refused.shutting_down") == 3


async def test_goodbye_gives_others_their_turn(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        identity = server.new_identity("x")
        for _ in range(READ_BATCH - 1):
            server.replay(b"", identity)
        with assert_no_checkpoints():
            await server.core.say_goodbye()
        for _ in range(READ_BATCH):
            server.replay(b"", identity)
        with assert_checkpoints():
            await server.core.say_goodbye()
        assert not server.core.sessions


async def test_a_request_that_is_answered_after_the_end(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        with server.held("page"):
            phone.say(Sync(0))
            await server.core.say_goodbye()
        await server.settle()
        assert phone.messages == []
        assert phone.goodbye is ByeReason.SHUTTING_DOWN


async def test_a_phone_that_says_bye_first(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        phone.say(Bye())
        await server.core.say_goodbye()
        assert phone.goodbye is None
        assert server.count("ended.closed") == 1
