"""What a session is pushed, and what happens to one that does not read."""

from tests.server.harness import Phone, Server, running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Kind
from hwangso_protocol.limits import PAGE_MAX_BODY_BYTES, PAGE_MAX_ENTRIES
from hwangso_protocol.messages import ByeReason, Deliver, Entry, More, Pong, Welcome
from hwangso_server.limits import WRITE_BACKLOG_MAX_BYTES


def entry(seq: int, body: str = "hi") -> Entry:
    return Entry(seq, seq.to_bytes(16, "big"), "bob", "alice", body, 1)


async def live_phone(server: Server) -> Phone:
    await server.add_user("alice")
    return await server.enrol("alice")


def delivered(phone: Phone) -> list[list[int]]:
    return [
        [entry.seq for entry in message.entries]
        for message in phone.messages
        if isinstance(message, Deliver)
    ]


async def test_entries_of_one_turn_go_in_one_record(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        for seq in (1, 2, 3):
            phone.session.deliver(entry(seq))
        assert delivered(phone) == []
        server.core.flush_touched()
        assert delivered(phone) == [[1, 2, 3]]
        assert server.count("delivered") == 3


async def test_what_was_sent_before_is_not_pushed(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        phone.session.sent_seq = phone.session.told_head = 5
        for seq in (4, 5, 6, 6):
            phone.session.deliver(entry(seq))
        server.core.flush_touched()
        assert delivered(phone) == [[6]]


async def test_a_device_that_is_behind_is_not_pushed_to(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        phone.session.told_head = 3
        for seq in (1, 4):
            phone.session.deliver(entry(seq))
        server.core.flush_touched()
        assert phone.messages == []


async def test_entries_stay_in_their_place_among_other_messages(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        phone.session.deliver(entry(1))
        phone.session.send(Pong(1))
        phone.session.deliver(entry(2))
        server.core.flush_touched()
        assert [type(message) for message in phone.messages] == [Deliver, Pong, Deliver]


async def test_a_turn_pushes_a_page_at_most(autojump_clock: MockClock) -> None:
    """The rest is the device's to ask for: it reads at its own pace, and is no slow reader."""
    async with running_server() as server:
        phone = await live_phone(server)
        for seq in range(1, PAGE_MAX_ENTRIES + 3):
            phone.session.deliver(entry(seq))
        server.core.flush_touched()
        assert [len(seqs) for seqs in delivered(phone)] == [PAGE_MAX_ENTRIES]
        assert phone.take(More).head == PAGE_MAX_ENTRIES + 1


async def test_a_turn_pushes_a_page_of_bytes_at_most(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        body = "황" * 4_096  # 12,288 bytes: three of them fit
        assert 3 * len(body.encode()) <= PAGE_MAX_BODY_BYTES < 4 * len(body.encode())
        for seq in range(1, 8):
            phone.session.deliver(entry(seq, body))
        server.core.flush_touched()
        assert [len(seqs) for seqs in delivered(phone)] == [3]
        assert phone.take(More).head == 4


async def test_entries_that_wait_are_sent_before_the_bye(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        phone.session.deliver(entry(1))
        phone.session.end(ByeReason.SHUTTING_DOWN)
        assert delivered(phone) == [[1]]
        assert phone.goodbye is ByeReason.SHUTTING_DOWN


async def test_nothing_is_pushed_before_the_proof_or_after_the_end(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        known = await live_phone(server)
        unproven = server.connect(Kind.RESUME, known.identity)
        await server.settle()
        assert isinstance(unproven.welcome, Welcome)
        unproven.session.deliver(entry(1))
        unproven.session.send(Pong(1))
        server.core.flush_touched()
        assert unproven.messages == []
        known.session.end(ByeReason.OTHER)
        known.session.deliver(entry(1))
        known.session.send(Pong(1))
        server.core.flush_touched()
        assert known.messages == []


# Slow readers


async def test_a_slow_reader_is_closed_and_its_messages_wait(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob", "carol")
        alice, carol = await server.enrol("alice"), await server.enrol("carol")
        bob = await server.enrol("bob")
        bob.transport.room = 0
        body = "x" * 4_000
        number = 0
        while bob.transport.receiver is not None:
            number += 1
            await server.send(alice, number, "bob", body)
            await server.send(alice, 10_000 + number, "carol", body)
            assert carol.take(Deliver).entries[0].seq == number
            assert bob.transport.backlog_bytes <= WRITE_BACKLOG_MAX_BYTES + 5_000
        assert number > WRITE_BACKLOG_MAX_BYTES / 5_000
        assert server.count("ended.slow_reader") == 1
        assert bob.session not in server.core.sessions
        bob.transport.make_room()
        assert bob.goodbye is ByeReason.SLOW_READER
        missed = await server.resume(bob.identity)
        assert missed.welcome.head == number


async def test_a_reader_that_keeps_up_is_not_slow(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = await live_phone(server)
        phone.transport.room = 0
        for seq in range(1, 41):
            phone.session.deliver(entry(seq, "x" * 4_000))
            server.core.flush_touched()
            if seq % 10 == 0:
                phone.transport.make_room()
                phone.transport.room = 0
        assert phone.is_live
