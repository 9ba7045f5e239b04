"""Frames: bounded, of one version, whole or not at all."""

import msgspec
import pytest
import trio
from trio.testing import memory_stream_one_way_pair

from hwangso_tools.channel import (
    FRAME_MAX_BYTES,
    HEADER_BYTES,
    VERSION,
    ChannelError,
    FrameReader,
    FrameWriter,
    length_of,
    pack,
)


class Note(msgspec.Struct, frozen=True, tag_field="t", tag="note"):
    text: str


def reader(stream: trio.abc.ReceiveStream) -> FrameReader[Note]:
    return FrameReader[Note](stream, msgspec.msgpack.Decoder(Note).decode)


def test_the_layout() -> None:
    payload = msgspec.msgpack.encode({"t": "note", "text": "hi"})
    assert pack(Note("hi")) == bytes([1, 0, 0, len(payload)]) + payload
    assert length_of(pack(Note("hi"))[:HEADER_BYTES]) == len(payload)


async def test_frames_come_in_pieces() -> None:
    send, receive = memory_stream_one_way_pair()
    notes = reader(receive)

    async def trickle() -> None:
        for byte in pack(Note("hi")) + pack(Note("again")):
            await send.send_all(bytes([byte]))
        await send.send_all(pack(Note("half"))[:-1])
        await send.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        assert await notes.receive() == Note("hi")
        assert await notes.receive() == Note("again")
        assert await notes.receive() is None  # half a frame is none


async def test_messages_of_several_tasks_do_not_mix() -> None:
    send, receive = memory_stream_one_way_pair()
    writer, notes = FrameWriter[Note](send), reader(receive)
    sent = [Note(letter * 100_000) for letter in "abcdef"]
    async with trio.open_nursery() as nursery:
        for note in sent:
            nursery.start_soon(writer.send, note)
        got = [await notes.receive() for _ in sent]
    assert sorted(note.text for note in got if note is not None) == [note.text for note in sent]


async def test_another_version_is_told_by_its_name() -> None:
    send, receive = memory_stream_one_way_pair()
    await send.send_all(bytes([VERSION + 1]) + pack(Note("hi"))[1:])
    with pytest.raises(ChannelError, match=r"^version 2 .* speaks 1: run both from one installat"):
        await reader(receive).receive()


@pytest.mark.parametrize(
    "payload", [b"\xc1", b"\x80", msgspec.msgpack.encode({"t": "nop"}), msgspec.msgpack.encode(7)]
)
async def test_what_is_no_message(payload: bytes) -> None:
    send, receive = memory_stream_one_way_pair()
    await send.send_all(bytes([VERSION, 0, 0, len(payload)]) + payload)
    with pytest.raises(ChannelError):
        await reader(receive).receive()


async def test_the_largest_message() -> None:
    overhead = len(msgspec.msgpack.encode(Note("x" * 70_000))) - 70_000
    frame = pack(Note("x" * (FRAME_MAX_BYTES - overhead)))
    assert len(frame) == HEADER_BYTES + FRAME_MAX_BYTES
    send, _ = memory_stream_one_way_pair()
    with pytest.raises(ChannelError, match=r"^a message of 16,777,216 bytes; 16,777,215 are the"):
        await FrameWriter[Note](send).send(Note("x" * (FRAME_MAX_BYTES - overhead + 1)))


async def test_who_has_gone_is_the_end() -> None:
    send, receive = memory_stream_one_way_pair()
    await receive.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await FrameWriter[Note](send).send(Note("hi"))
