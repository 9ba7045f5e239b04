"""What a phone with keys can do wrong inside its session: it gets the documented answer, is
counted, and nobody else notices. Somebody is online the whole time, and still served at the end."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import cbor2
import pytest
from tests.e2e.phones import phone, saved, within, witnessed_server
from tests.e2e.servers import Server
from tests.e2e.strangers import RawClient, live_client, login_with, raw_client, resume_with

from hwangso_client.profile import MemoryProfile, ProfileState
from hwangso_protocol.limits import BODY_MAX_CHARS, MESSAGE_MAX_BYTES
from hwangso_protocol.messages import (
    ByeReason,
    DeviceList,
    Enrol,
    Error,
    ErrorCode,
    ListDevices,
    Login,
    Message,
    Page,
    Ping,
    Pong,
    Received,
    RevokeDevice,
    Send,
    Sent,
    Sync,
    encode,
)
from hwangso_server.store import NewMessage, OnDone
from hwangso_server.store.sqlite import SqliteStore

MESSAGE_ID = bytes(16)


def cbor(**fields: object) -> bytes:
    """A message with these fields, allowed or not."""
    return cbor2.dumps(fields)


BOMBS = {
    "nothing": b"",
    "no map": cbor2.dumps(1),
    "no type": cbor2.dumps({}),
    "type that is no text": cbor2.dumps({"t": 1}),
    "type that is a list": cbor2.dumps({"t": ["ping"]}),
    "bytes behind it": encode(Ping()) + b"\0",
    "cut short": encode(Ping(70_000))[:-1],
    "deep lists": b"\x81" * 60_000 + b"\0",
    "deep maps": b"\xa1\x00" * 30_000 + b"\0",
    "deep in a field": b"\xa2\x61t\x64ping\x61x" + b"\x81" * 60_000 + b"\0",
    "list of 2^64": b"\x9b" + b"\xff" * 8,
    "map of 2^64": b"\xbb" + b"\xff" * 8,
    "bytes of 2^64": b"\x5b" + b"\xff" * 8,
    "text of 2^64": b"\x7b" + b"\xff" * 8,
    "text of 2^32 in a field": b"\xa2\x61t\x64ping\x61x\x7a" + b"\xff" * 4,
    "a list that is longer than its bytes": b"\xa2\x61t\x64ping\x61x\x9a\x0f\xff\xff\xff\0",
    "a key twice": b"\xa2\x61t\x64ping\x61t\x64ping",
    "no UTF-8": b"\xa1\x61t\x64\xff\xff\xff\xff",
    "a lone surrogate": b"\xa1\x61t\x63\xed\xa0\x80",
    "endless map": b"\xbf\x61t\x64ping\xff",
    "endless text": b"\xa1\x61t\x7f\x62pi\x62ng\xff",
    "a bignum": b"\xa2\x61t\x64ping\x61n\xc2\x49" + b"\xff" * 9,
    "a shared reference": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a regular expression": b"\xd8\x23\x68(a+)+b$$",
    "a map as a key": b"\xa1\xa1\x01\x02\x03",
    "a number out of range": cbor(t="ping", n=2**60),
    "a number below 0": cbor(t="sync", since=-1),
    "NaN": cbor(t="ping", n=float("nan")),
    "a field of another type": cbor(t="ping", n="7"),
    "bytes as text": cbor(t="send", id="AAAAAAAAAAAAAAAAAAAAAA==", to="bob", body="hi"),
    "a short id": cbor(t="send", id=bytes(15), to="bob", body="hi"),
    "no recipient": cbor(t="send", id=MESSAGE_ID, body="hi"),
    "a name out of range": cbor(t="send", id=MESSAGE_ID, to="Bob!", body="hi"),
    "no text": cbor(t="send", id=MESSAGE_ID, to="bob", body=""),
    "too long a text": cbor(t="send", id=MESSAGE_ID, to="bob", body="x" * (BODY_MAX_CHARS + 1)),
    "the largest record": cbor(t="ping", n=bytes(MESSAGE_MAX_BYTES - 16)),
}


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    async with witnessed_server(folder) as running:
        yield running


@pytest.fixture
async def alice(server: Server) -> ProfileState:
    """An enrolled phone that is switched off."""
    profile = MemoryProfile()
    async with phone(server, "alice", profile=profile):
        pass
    return saved(profile)


async def is_served(client: RawClient) -> None:
    """The session goes on."""
    await client.send(Ping(7))
    assert (await client.next_message(Pong)).n == 7


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
@within(20)
async def test_cbor_bombs(server: Server, alice: ProfileState, bomb: bytes) -> None:
    async with live_client(server, resume_with(alice)) as client:
        await client.stream.send_all(client.sealed(bomb))
        assert await client.end() is ByeReason.PROTOCOL_ERROR
    assert await server.count("fault.bad_message") == 1


@within(20)
async def test_a_bomb_as_the_first_record(server: Server, alice: ProfileState) -> None:
    """Before the session is online."""
    async with raw_client(server, resume_with(alice)) as client:
        await client.next_event()
        await client.stream.send_all(client.sealed(BOMBS["deep lists"]))
        assert await client.end() is ByeReason.PROTOCOL_ERROR
    assert await server.count("fault.bad_message") == 1
    assert await server.count("session.resume.FG") == 0


@within(20)
async def test_a_message_of_a_newer_client(server: Server, alice: ProfileState) -> None:
    """An unknown type is answered, an unknown field ignored; the session goes on."""
    async with live_client(server, resume_with(alice)) as client:
        await client.stream.send_all(client.sealed(cbor(t="dance", style="waltz")))
        assert await client.next_message(Error) == Error(ErrorCode.UNKNOWN_MESSAGE, detail="dance")
        await client.stream.send_all(client.sealed(cbor(t="ping", n=3, mood=[1, 2])))
        assert (await client.next_message(Pong)).n == 3
        await is_served(client)
    assert await server.count("unknown_message") == 1


OUT_OF_PLACE: dict[str, Message] = {
    "login": Login(0),
    "enrol": Enrol("alice", "password", "phone", bytes(32)),
}


@pytest.mark.parametrize("message", OUT_OF_PLACE.values(), ids=OUT_OF_PLACE.keys())
@within(20)
async def test_a_message_out_of_place(
    server: Server, alice: ProfileState, message: Message
) -> None:
    async with live_client(server, resume_with(alice)) as client:
        await client.send(message)
        assert await client.end() is ByeReason.PROTOCOL_ERROR
    assert await server.count("fault.unexpected_message") == 1


@within(30)
async def test_a_flipped_bit_anywhere_in_a_record(server: Server, alice: ProfileState) -> None:
    """A session each. A length that grew waits for bytes that never come."""
    size = 2 + len(encode(Ping(7))) + 16
    reasons = set()
    for at in range(size):
        async with live_client(server, resume_with(alice)) as client:
            await is_served(client)
            record = bytearray(client.sealed(encode(Ping(7))))
            assert len(record) == size
            record[at] ^= 1 << at % 8
            await client.stream.send_all(record)
            await client.stream.send_eof()
            reasons.add(await client.end())
    assert reasons == {ByeReason.PROTOCOL_ERROR, None}
    assert await server.count("fault.bad_record") >= size - 2


@pytest.mark.parametrize(
    "data",
    [b"\0\0", b"\0\x0f" + bytes(15), b"\0\x10" + bytes(16), b"\xff\xff" + bytes(65_535)],
    ids=["empty", "shorter than a tag", "only a tag", "the longest"],
)
@within(20)
async def test_records_that_were_never_sealed(
    server: Server, alice: ProfileState, data: bytes
) -> None:
    async with live_client(server, resume_with(alice)) as client:
        await client.stream.send_all(data)
        assert await client.end() is ByeReason.PROTOCOL_ERROR
    assert await server.count("fault.bad_record") == 1


@within(20)
async def test_a_record_twice(server: Server, alice: ProfileState) -> None:
    """Replayed inside the session: the counter of the cipher has moved on."""
    async with live_client(server, resume_with(alice)) as client:
        await client.send(Ping(1))
        await client.next_message(Pong)  # online: before, nothing of a faulty segment would count
        record = client.sealed(encode(Send(MESSAGE_ID, "alice", "once")))
        await client.stream.send_all(record + record)
        assert await client.end() is ByeReason.PROTOCOL_ERROR
    await server.until(lambda stats: stats.get("stored") == 1)
    assert await server.count("fault.bad_record") == 1


@within(20)
async def test_somebody_elses_device(server: Server, alice: ProfileState) -> None:
    """Numbers of devices are easy to guess; only one's own can be revoked."""
    async with (
        phone(server, "bob") as bob,
        live_client(server, resume_with(alice)) as client,
    ):
        (victim,) = await bob.list_devices()
        await client.send(RevokeDevice(victim.device))
        assert (await client.next_message(Error)).code is ErrorCode.DEVICE_UNKNOWN
        await client.send(ListDevices())
        (own,) = (await client.next_message(DeviceList)).devices
        assert own.device != victim.device
        await bob.send("bob", "still here")
        assert (await bob.next_message()).body == "still here"


@within(20)
async def test_numbers_that_are_allowed_and_make_no_sense(
    server: Server, alice: ProfileState
) -> None:
    """A place in the inbox far beyond its head, claimed in every message that has one."""
    far = 2**53
    async with live_client(server, login_with(server, alice, since=far)) as client:
        await client.send(Received(far), Sync(far), RevokeDevice(far))
        assert await client.next_message(Page) == Page(0)
        await client.send(Send(MESSAGE_ID, "alice", "hi"))
        await client.next_message(Sent)
        await is_served(client)
    async with live_client(server, login_with(server, alice, since=0)) as client:
        await client.send(Sync(0))
        page = await client.next_message(Page)
        assert [entry.body for entry in page.entries] == ["hi"]


@within(20)
async def test_everything_at_once(
    server: Server, alice: ProfileState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand messages and as many questions in one go: each message is stored or put off, and
    the session goes on. The disk is slow: it begins when the first was put off."""
    append, held = SqliteStore.append, list[Callable[[], None]]()

    def hold(store: SqliteStore, message: NewMessage, on_done: OnDone) -> None:
        held.append(partial(append, store, message, on_done))

    monkeypatch.setattr(SqliteStore, "append", hold)
    ids = {number.to_bytes(16, "big") for number in range(1_000)}
    async with live_client(server, resume_with(alice)) as client:
        for message_id in sorted(ids):
            client.connection.send(Send(message_id, "alice", "x" * 100))
            client.connection.send(Sync(0))
        await client.flush()
        stored: set[bytes] = set()
        put_off: set[bytes] = set()
        while len(stored) + len(put_off) < len(ids):
            message = await client.any_message()
            if isinstance(message, Sent):
                stored.add(message.id)
            elif isinstance(message, Error) and message.id is not None:
                assert message.code is ErrorCode.BUSY
                put_off.add(message.id)
                monkeypatch.setattr(SqliteStore, "append", append)
                while held:
                    held.pop(0)()
        assert stored | put_off == ids
        assert stored
        assert put_off
        await is_served(client)
    assert await server.count("stored") == len(stored)
