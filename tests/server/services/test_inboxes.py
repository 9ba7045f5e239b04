"""Messages: stored, acknowledged, pushed in order, synced; what is answered when they are not."""

import pytest
from tests.server.harness import EPOCH_MS, Phone, Server, message_id, running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Kind
from hwangso_protocol.messages import (
    Deliver,
    Entry,
    Error,
    ErrorCode,
    Message,
    More,
    Page,
    Ready,
    Received,
    Send,
    Sent,
    Sync,
)
from hwangso_server.limits import SENDS_IN_FLIGHT_MAX
from hwangso_server.presence import KnownUsers
from hwangso_server.store import (
    AppendResult,
    NewMessage,
    OnDone,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFailed,
)


def seqs(message: Deliver | Page) -> list[int]:
    return [entry.seq for entry in message.entries]


async def two_phones(server: Server) -> tuple[Phone, Phone]:
    await server.add_user("alice", "bob")
    return await server.enrol("alice"), await server.enrol("bob")


# Sending


async def test_a_message_is_acknowledged_and_delivered(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        autojump_clock.jump(5)
        assert (await server.send(alice, 1, "bob", "안녕")).at_ms == EPOCH_MS + 5_000
        expected = Entry(1, message_id(1), "alice", "bob", "안녕", EPOCH_MS + 5_000)
        assert bob.take(Deliver).entries == (expected,)
        assert alice.messages == bob.messages == []
        assert server.count("stored") == server.count("delivered") == 1


async def test_nothing_is_acknowledged_before_it_is_stored(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        taken: list[tuple[NewMessage, OnDone]] = []
        append = server.store.append
        server.patch("append", lambda message, done: taken.append((message, done)))
        alice.text(1, "bob")
        await server.settle()
        assert alice.messages == bob.messages == []
        append(*taken.pop())
        await server.settle()
        assert alice.take(Sent).id == message_id(1)
        assert seqs(bob.take(Deliver)) == [1]


async def test_to_somebody_who_is_away(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        bob.lose()
        await server.send(alice, 1, "bob")
        bob = await server.resume(bob.identity)
        assert [entry.seq for entry in bob.welcome.entries] == [1]


async def test_a_retry_is_acknowledged_and_stored_once(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        await server.send(alice, 1, "bob")
        await server.send(alice, 1, "bob")
        alice = await server.resume(alice.identity)
        alice.text(1, "bob")
        alice.text(1, "bob")  # and twice before the first is stored
        await server.settle()
        assert alice.take(Sent).id == alice.take(Sent).id == message_id(1)
        assert seqs(bob.take(Deliver)) == [1]
        assert bob.messages == alice.messages == []
        assert (server.count("stored"), server.count("duplicate")) == (1, 3)


async def test_the_order_of_one_sender_is_kept(autojump_clock: MockClock) -> None:
    """Also where the recipient's name had to be looked up for the first ones."""
    async with running_server() as server:
        alice, bob = await two_phones(server)
        server.core.known_users = KnownUsers(10)
        with server.held("find_user"):
            for number in range(1, 4):
                alice.text(number, "bob")
            await server.settle()
            server.core.known_users.learn_name("bob", bob.session.user_id)
            alice.text(4, "bob")
            await server.settle()
            assert alice.messages == []
        await server.settle()
        await server.send(bob, 1, "alice")
        alice.text(5, "bob")
        await server.settle()
        received = [e for m in bob.messages if isinstance(m, Deliver) for e in m.entries]
        assert [(e.seq, e.id) for e in received] == [(n, message_id(n)) for n in range(1, 6)]
        assert [alice.take(Sent).id for _ in range(5)] == [message_id(n) for n in range(1, 6)]


async def test_one_lookup_for_many_messages(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice = await server.enrol("alice")
        lookups: list[str] = []
        find_user = server.store.find_user

        async def counted(name: str) -> object:
            lookups.append(name)
            return await find_user(name)

        server.patch("find_user", counted)
        for number in range(10):
            alice.text(number, "bob")
        await server.settle()
        await server.send(alice, 10, "bob")
        assert lookups == ["bob"]


async def test_a_message_to_oneself(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone, tablet = await server.enrol("alice"), await server.enrol("alice")
        await server.send(phone, 1, "alice")
        assert seqs(phone.take(Deliver)) == seqs(tablet.take(Deliver)) == [1]


# Several devices


async def test_every_device_gets_it_and_the_senders_others_too(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        alices, bobs = await server.enrol("alice"), await server.enrol("bob")
        await server.send(alice, 1, "bob")
        for phone in (bob, bobs, alices):
            (entry,) = phone.take(Deliver).entries
            assert (entry.seq, entry.sender, entry.to) == (1, "alice", "bob")


async def test_devices_have_their_own_cursors(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        tablet = await server.enrol("bob")
        await server.send(alice, 1, "bob")
        await server.send(alice, 2, "bob")
        bob.say(Received(2))
        tablet.say(Received(1))
        devices = await server.store.devices(bob.session.user_id)
        assert [device.cursor for device in devices] == [2, 1]


async def test_a_cursor_never_passes_what_was_sent(autojump_clock: MockClock) -> None:
    """A phone that claims more than it was sent would have messages deleted it never saw."""
    async with running_server() as server:
        alice, bob = await two_phones(server)
        bob.lose()
        for number in (1, 2, 3):
            await server.send(alice, number, "bob")
        bob = await server.prove(server.connect(Kind.RESUME, bob.identity, since=0, limit=1))
        bob.say(Received(3))
        (device,) = await server.store.devices(bob.session.user_id)
        assert device.cursor == 1


# Refused


async def test_an_unknown_recipient(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, _ = await two_phones(server)
        alice.text(1, "nobody")
        await server.settle()
        error = alice.take(Error)
        assert (error.code, error.id) == (ErrorCode.UNKNOWN_USER, message_id(1))
        assert server.count("error.unknown_user") == 1
        await server.add_user("nobody")  # the mistake is not remembered
        await server.send(alice, 1, "nobody")


async def test_a_disabled_recipient(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice = await server.enrol("alice")
        await server.store.set_disabled("bob", 1)
        alice.text(1, "bob")
        await server.settle()
        assert alice.take(Error).code is ErrorCode.UNKNOWN_USER


async def test_too_many_unanswered_sends(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        carol_and_more = [Send(message_id(n), "bob", "x") for n in range(SENDS_IN_FLIGHT_MAX + 2)]
        alice.say(*carol_and_more)
        errors = [message for message in alice.messages if isinstance(message, Error)]
        assert [(e.code, e.id) for e in errors] == [
            (ErrorCode.BUSY, message_id(SENDS_IN_FLIGHT_MAX)),
            (ErrorCode.BUSY, message_id(SENDS_IN_FLIGHT_MAX + 1)),
        ]
        await server.settle()
        assert len(bob.take(Deliver).entries) == SENDS_IN_FLIGHT_MAX
        assert alice.session.sends_in_flight == 0
        await server.send(bob, 1, "alice")  # others have their own limit
        alice.messages.clear()
        await server.send(alice, SENDS_IN_FLIGHT_MAX, "bob")


async def test_the_limit_counts_sends_whose_recipient_is_looked_up(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        alice = await server.enrol("alice")
        alice.say(*(Send(message_id(n), f"u{n}", "x") for n in range(SENDS_IN_FLIGHT_MAX + 1)))
        assert alice.take(Error).id == message_id(SENDS_IN_FLIGHT_MAX)
        await server.settle()
        assert len(alice.messages) == SENDS_IN_FLIGHT_MAX
        assert alice.session.sends_in_flight == 0


TROUBLE = [
    (StoreBusy("busy"), ErrorCode.BUSY),
    (StoreFailed("broken"), ErrorCode.UNAVAILABLE),
    (StoreClosed("closing"), ErrorCode.UNAVAILABLE),
]


@pytest.mark.parametrize(("error", "code"), TROUBLE)
async def test_a_store_that_takes_nothing(
    autojump_clock: MockClock, error: StoreError, code: ErrorCode
) -> None:
    async with running_server() as server:
        alice, _ = await two_phones(server)

        def append(_: NewMessage, __: OnDone) -> None:
            raise error

        server.patch("append", append)
        alice.text(1, "bob")
        await server.settle()
        answer = alice.take(Error)
        assert (answer.code, answer.id) == (code, message_id(1))
        assert alice.session.sends_in_flight == 0
        await server.core.inboxes.settled()


@pytest.mark.parametrize(("error", "code"), TROUBLE)
async def test_a_store_that_cannot_look_up_a_name(
    autojump_clock: MockClock, error: StoreError, code: ErrorCode
) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice = await server.enrol("alice")
        server.trouble("find_user", error)
        alice.text(1, "bob")
        alice.text(2, "bob")
        await server.settle()
        assert [alice.take(Error).code, alice.take(Error).code] == [code, code]
        await server.core.inboxes.settled()


async def test_a_store_that_fails_before_the_message_is_on_disk(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        append = server.store.append

        def fail(message: NewMessage, done: OnDone) -> None:
            def failed(_: AppendResult) -> None:
                done(StoreFailed("broken"))

            append(message, failed)

        server.patch("append", fail)
        alice.text(1, "bob")
        await server.settle()
        assert alice.take(Error).code is ErrorCode.UNAVAILABLE
        assert alice.messages == bob.messages == []


async def test_a_sender_that_is_gone_when_its_message_is_stored(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        alice.text(1, "bob")
        alice.lose()
        await server.settle()
        assert seqs(bob.take(Deliver)) == [1]
        await server.core.inboxes.settled()


# Syncing


async def inbox_of_bob(server: Server, messages: int) -> tuple[Phone, Phone]:
    alice, bob = await two_phones(server)
    for number in range(1, messages + 1):
        await server.send(alice, number, "bob")
    bob.messages.clear()
    return alice, bob


async def ask(server: Server, phone: Phone, message: Message) -> Page:
    phone.say(message)
    await server.settle()
    return phone.take(Page)


async def test_pages(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        _, bob = await inbox_of_bob(server, 5)
        page = await ask(server, bob, Sync(1, 2))
        assert (page.head, seqs(page)) == (5, [2, 3])
        page = await ask(server, bob, Sync(3))
        assert (page.head, seqs(page)) == (5, [4, 5])
        page = await ask(server, bob, Sync(5))
        assert (page.head, seqs(page)) == (5, [])


async def test_a_device_in_the_middle_of_pages_is_not_pushed_to(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of_bob(server, 3)
        await ask(server, bob, Sync(0, 2))
        await server.send(alice, 4, "bob")
        assert bob.messages == []
        assert seqs(await ask(server, bob, Sync(2))) == [3, 4]
        await server.send(alice, 5, "bob")
        assert seqs(bob.take(Deliver)) == [5]


async def test_a_message_while_a_page_is_read_leaves_no_gap(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of_bob(server, 2)
        with server.held("page"):
            bob.say(Sync(0))
            await server.settle()
            await server.send(alice, 3, "bob")
        await server.settle()
        got = [seq for m in bob.messages if isinstance(m, Deliver | Page) for seq in seqs(m)]
        assert got == [3, 1, 2]  # pushed, for it was not behind when it asked
        page = bob.take(Page)
        assert page.head == 3
        assert seqs(await ask(server, bob, Sync(2))) == [3]
        bob.messages.clear()
        await server.send(alice, 4, "bob")
        assert seqs(bob.take(Deliver)) == [4]


async def test_what_was_pruned_does_not_hold_a_device_up(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of_bob(server, 3)
        await server.store.prune(1, 100, EPOCH_MS + 1)
        page = await ask(server, bob, Sync(0))
        assert (page.head, seqs(page)) == (3, [3])
        bob.say(Received(3))
        await server.store.flush_cursors()
        await server.store.prune(1, 100, EPOCH_MS + 1)
        page = await ask(server, bob, Sync(0))
        assert (page.head, page.entries) == (3, ())
        await server.send(alice, 4, "bob")
        assert seqs(bob.take(Deliver)) == [4]


# Heads that were forgotten: more users came by than are kept in memory


async def test_a_message_before_the_proof_whose_head_was_forgotten(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of_bob(server, 1)
        bob.lose()
        newer = server.connect(Kind.RESUME, bob.identity, since=1)
        await server.settle()
        await server.send(alice, 2, "bob")
        server.core.known_users = KnownUsers(10)
        newer.say(Ready())
        await server.settle()
        assert newer.take(More).head == 2
        assert seqs(await ask(server, newer, Sync(1))) == [2]


async def test_a_forgotten_head_that_did_not_grow(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, bob = await inbox_of_bob(server, 1)
        newer = server.connect(Kind.RESUME, bob.identity, since=1)
        await server.settle()
        server.core.known_users = KnownUsers(10)
        newer.say(Ready())
        await server.settle()
        assert newer.messages == []
        await server.send(alice, 2, "bob")
        assert seqs(newer.take(Deliver)) == [2]


async def test_a_gap_is_told_with_the_next_message(autojump_clock: MockClock) -> None:
    """The same, with a store too busy to look the head up."""
    async with running_server() as server:
        alice, bob = await inbox_of_bob(server, 1)
        newer = server.connect(Kind.RESUME, bob.identity, since=1)
        await server.settle()
        await server.send(alice, 2, "bob")
        server.core.known_users = KnownUsers(10)
        page = server.store.page
        server.trouble("page", StoreBusy("busy"))
        newer.say(Ready())
        await server.settle()
        server.patch("page", page)
        await server.send(alice, 3, "bob")
        assert newer.take(More).head == 3
        assert newer.messages == []
        assert seqs(await ask(server, newer, Sync(1))) == [2, 3]


async def test_an_empty_page_skips_nothing_that_was_published_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        alice, bob = await two_phones(server)
        with server.held("page") as release:
            bob.say(Sync(0))
            await server.settle()
            await server.send(alice, 1, "bob")
            release.set()
            await server.settle()
        assert seqs(bob.take(Deliver)) == [1]
        assert seqs(bob.take(Page)) == [1]


async def test_a_retry_is_told_the_time_of_the_first(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        alice, _ = await two_phones(server)
        first = await server.send(alice, 1, "bob")
        autojump_clock.jump(5)
        assert (await server.send(alice, 1, "bob")).at_ms == first.at_ms


async def test_a_user_disabled_while_the_name_was_looked_up(autojump_clock: MockClock) -> None:
    """Neither this message is stored nor the name remembered."""
    async with running_server() as server:
        alice, bob = await two_phones(server)
        server.core.known_users.forget_name("bob")
        with server.held("find_user") as release:
            alice.text(1, "bob")
            await server.settle()
            server.core.tickets.disable_user(bob.session.user_id, EPOCH_MS)
            server.core.known_users.forget_name("bob")
            release.set()
            await server.settle()
        assert alice.take(Error).code is ErrorCode.UNKNOWN_USER
        assert server.core.known_users.id_of("bob") is None
        assert server.count("stored") == 0
