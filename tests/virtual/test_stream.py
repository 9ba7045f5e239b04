"""The phone's end of a connection as a Trio stream: what it promises, on the network of `lab`."""

import errno
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from tests.virtual.lab import LATENCY_S, Lab, at, open_lab, virtually

from hwangso_server.limits import READ_BYTES
from hwangso_tools.virtual.stream import RECEIVE_BYTES, VirtualStream
from hwangso_tools.virtual.tcp import WINDOW_BYTES

# Connecting


@virtually
async def test_a_connect_that_nobody_waits_for_is_refused() -> None:
    """One round trip later; not to be mistaken for a machine that is away."""
    async with open_lab() as lab:
        lab.network.close_lanes()
        with pytest.raises(OSError, match="refused") as failed:
            await lab.connect()
        assert failed.value.errno == errno.ECONNREFUSED
        assert trio.current_time() == pytest.approx(2 * LATENCY_S)


# Receiving


@virtually
async def test_reading_as_much_as_there_is() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.read()
        caller.answer(bytes(RECEIVE_BYTES + 3))
        await at(1)
        pieces = [len(await stream.receive_some()) for _ in range(3)]
        assert pieces == [65_536, 3, 0]


@virtually
async def test_reading_in_small_pieces() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.read()
        caller.answer(b"abcdefg")
        pieces = [await stream.receive_some(3) for _ in range(4)]
        assert pieces == [b"abc", b"def", b"g", b""]


@virtually
async def test_after_the_end_there_is_nothing_again_and_again() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.read()
        caller.close()
        assert [await stream.receive_some() for _ in range(3)] == [b"", b"", b""]


# Sending


@virtually
async def test_all_kinds_of_bytes_can_be_sent() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call(b"one, ")
        await stream.send_all(bytearray(b"two, "))
        await stream.send_all(memoryview(b"three"))
        await stream.send_all(b"")
        await stream.wait_send_all_might_not_block()
        await at(1)
        assert caller.read() == b"one, two, three"


@virtually
async def test_a_sender_waits_for_a_reader_that_is_behind() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call(b"h")
        caller.read()
        done_at: list[float] = []

        async def send() -> None:
            await stream.send_all(bytes(WINDOW_BYTES + 10))
            done_at.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(5)
            assert not done_at
            read = len(caller.read() or b"")
            assert read == READ_BYTES
            await trio.sleep(1)
        assert done_at == [pytest.approx(5.15 + 0.05)]  # when the news of room is back
        while data := caller.read():
            read += len(data)
        assert read == WINDOW_BYTES + 10


@virtually
async def test_a_waiting_sender_hears_of_a_reset() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(bytes(2 * WINDOW_BYTES))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(1)
            caller.close()


# Closing


@virtually
async def test_a_stream_that_was_closed_here() -> None:
    async with open_lab() as lab:
        stream, _ = await lab.call()

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        await stream.aclose()
        assert [line for line in lab.lines if "FIN" in line] == []  # it is on its way
        await at(1)
        assert len([line for line in lab.lines if "FIN" in line]) == 1


@virtually
async def test_a_waiting_sender_hears_that_its_stream_was_closed_here() -> None:
    async with open_lab() as lab:
        stream, _ = await lab.call()

        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.send_all(bytes(2 * WINDOW_BYTES))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked()
                await stream.aclose()


# What every function of Trio promises


async def receive(stream: VirtualStream, lab: Lab) -> None:
    """What is there already."""
    caller = await lab.caller()
    caller.read()
    caller.answer(b"abc")
    await at(1)
    with trio.testing.assert_checkpoints():
        assert await stream.receive_some() == b"abc"


async def send(stream: VirtualStream, lab: Lab) -> None:
    with trio.testing.assert_checkpoints():
        await stream.send_all(b"abc")


async def wait_for_room(stream: VirtualStream, lab: Lab) -> None:
    with trio.testing.assert_checkpoints():
        await stream.wait_send_all_might_not_block()


async def close(stream: VirtualStream, lab: Lab) -> None:
    with trio.testing.assert_checkpoints():
        await stream.aclose()


@pytest.mark.parametrize("use", [receive, send, wait_for_room, close])
@virtually
async def test_each_is_a_checkpoint(use: Callable[[VirtualStream, Lab], Awaitable[None]]) -> None:
    """Even where there is nothing to wait for, so that a busy phone starves nobody."""
    async with open_lab() as lab:
        stream = await lab.connect()
        await stream.send_all(b"hello")
        await use(stream, lab)
