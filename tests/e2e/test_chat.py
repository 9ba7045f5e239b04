"""Phones chat through a real server: the good days."""

from pathlib import Path

from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import Server, inbox_on_disk, running_server

from hwangso_client.profile import FileProfile, MemoryProfile
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.limits import PAGE_MAX_ENTRIES


@within(20)
async def test_two_phones_in_both_directions(server: Server) -> None:
    async with phone(server, "alice") as alice, phone(server, "bob") as bob:
        await alice.send("bob", "안녕")
        hello = await bob.next_message()
        assert (hello.sender, hello.to, hello.body, hello.seq) == ("alice", "bob", "안녕", 1)

        await bob.send("alice", "hi")
        assert (await alice.next_message()).body == "hi"


@within(20)
async def test_a_note_to_oneself(server: Server) -> None:
    async with phone(server, "alice") as alice:
        await alice.send("alice", "milk")
        assert (await alice.next_message()).body == "milk"


@within(20)
async def test_offline_then_sync_in_the_answer_to_a_resume(server: Server) -> None:
    profile, diary = MemoryProfile(), Diary()
    async with phone(server, "bob") as bob:
        async with phone(server, "alice", profile=profile):
            pass
        for number in range(3):
            await bob.send("alice", f"{number}")
        async with phone(server, "alice", profile=profile, observer=diary) as alice:
            assert [entry.body for entry in alice.inbox] == ["0", "1", "2"]
        assert diary.logins == [(Kind.RESUME, Intent.FOREGROUND)]


@within(30)
async def test_more_than_a_page_waits(server: Server) -> None:
    """The first page comes with the answer, the rest by Sync, while new messages arrive."""
    profile = MemoryProfile()
    total = 2 * PAGE_MAX_ENTRIES + 44
    async with phone(server, "bob") as bob:
        async with phone(server, "alice", profile=profile):
            pass
        for number in range(total - 1):
            bob.post("alice", f"{number}")
            if number % 100 == 99:
                await bob.wait_sent()
        await bob.wait_sent()
        async with phone(server, "alice", profile=profile) as alice:
            bob.post("alice", f"{total - 1}")
            bodies = [(await alice.next_message()).body for _ in range(total)]
            assert bodies == [f"{number}" for number in range(total)]
            assert alice.duplicates == 0


@within(20)
async def test_long_texts_page_by_their_bytes(server: Server) -> None:
    """Ten texts of 12 kB each do not fit into one record."""
    profile = MemoryProfile()
    texts = [f"{number}" + "가" * 4_000 for number in range(10)]
    async with phone(server, "bob") as bob:
        async with phone(server, "alice", profile=profile):
            pass
        for text in texts:
            await bob.send("alice", text)
        async with phone(server, "alice", profile=profile) as alice:
            assert [(await alice.next_message()).body for _ in texts] == texts


@within(20)
async def test_several_devices_of_a_user(server: Server) -> None:
    """Each has its own place in the inbox; what one sends is there for all of them."""
    tablet_profile = MemoryProfile()
    async with phone(server, "bob") as bob, phone(server, "alice") as alice:
        async with phone(server, "alice", name="tablet", profile=tablet_profile) as tablet:
            await bob.send("alice", "to both")
            assert (await alice.next_message()).body == "to both"
            assert (await tablet.next_message()).body == "to both"
        await alice.send("bob", "from the phone")
        await bob.send("alice", "to the phone first")
        assert (await alice.next_message()).body == "from the phone"
        assert (await alice.next_message()).body == "to the phone first"
        async with phone(server, "alice", name="tablet", profile=tablet_profile) as tablet:
            own, other = await tablet.next_message(), await tablet.next_message()
            assert (own.sender, own.to, own.body) == ("alice", "bob", "from the phone")
            assert other.body == "to the phone first"
        assert len(alice.inbox) == 0


@within(20)
async def test_history_is_not_for_a_new_device(server: Server) -> None:
    async with phone(server, "alice") as alice:
        await alice.send("alice", "before")
        async with phone(server, "alice", name="tablet") as tablet:
            await alice.send("alice", "after")
            assert (await tablet.next_message()).body == "after"


@within(20)
async def test_a_phone_that_was_restarted_goes_on_from_its_profile(
    server: Server, tmp_path: Path
) -> None:
    """Key, ticket, place in the inbox and unsent mail survive the phone's process."""
    file = tmp_path / "alice"
    async with phone(server, "bob") as bob:
        async with phone(server, "alice", profile=FileProfile(file)) as alice:
            await bob.send("alice", "one")
            assert (await alice.next_message()).body == "one"
            alice.radio.airplane_mode = True
            alice.post("bob", "written in the air")
        await bob.send("alice", "two")
        async with phone(server, "alice", profile=FileProfile(file)) as alice:
            assert (await alice.next_message()).body == "two"
            assert (await bob.next_message()).body == "written in the air"
            assert len(await alice.list_devices()) == 1


@within(20)
async def test_an_acknowledged_message_is_on_disk(server: Server) -> None:
    async with phone(server, "bob"), phone(server, "alice") as alice:
        message_id = await alice.send("bob", "keep this")
    await server.stop()
    (entry,) = await inbox_on_disk(server.data, "bob")
    assert (entry.message_id, entry.body) == (message_id, "keep this")


@within(20)
async def test_both_lanes_on_one_port(folder: Path) -> None:
    diary = Diary()
    async with running_server(folder, port=0) as server:
        assert server.address.foreground_port == server.address.background_port
        async with phone(server, "alice", observer=diary) as alice:
            await alice.leave_app()
            alice.radio.handover()
            await diary.until(lambda: len(diary.logins) == 2)
            await alice.send("alice", "hi")
            assert (await alice.next_message()).body == "hi"
    assert [intent for _, intent in diary.logins] == [Intent.FOREGROUND, Intent.BACKGROUND]
