"""TCP for real; the radio in virtual time, over streams in memory."""

import socket

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from hwangso_client.address import ServerAddress
from hwangso_client.network import SILENT_STREAMS_MAX, Network, Radio, TcpNetwork
from hwangso_protocol.hello import Intent

FG, BG = Intent.FOREGROUND, Intent.BACKGROUND


class Pipes:
    """A network that gives one end of a pipe and keeps the other."""

    def __init__(self) -> None:
        self.far_ends: list[trio.abc.Stream] = []

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        near, far = trio.testing.memory_stream_pair()
        self.far_ends.append(far)
        return near


class Phone:
    """A radio on pipes, and what it told its phone."""

    def __init__(self) -> None:
        self.pipes = Pipes()
        self.changes: list[bool] = []
        self.radio = Radio(self.pipes, self.changes.append)

    async def connect(self) -> tuple[trio.abc.Stream, trio.abc.Stream]:
        near = await self.radio.connect(FG)
        return near, self.pipes.far_ends[-1]


async def never_happens(stream: trio.abc.Stream) -> None:
    """Whatever is read from the stream, nothing comes for an hour."""
    with trio.move_on_after(3_600) as scope:
        await stream.receive_some()
    assert scope.cancelled_caught


# TCP


async def echo(stream: trio.SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def listen(nursery: trio.Nursery) -> int:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, echo, listeners)
    port = listeners[0].socket.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tcp_goes_to_the_port_of_the_lane(host: str) -> None:
    async with trio.open_nursery() as nursery:
        ports = {FG: await listen(nursery), BG: await listen(nursery)}
        network: Network = TcpNetwork(ServerAddress(host, ports[FG], ports[BG]))
        for lane in (FG, BG):
            async with await network.connect(lane) as stream:
                assert isinstance(stream, trio.SocketStream)
                assert stream.socket.getpeername()[1] == ports[lane]
                assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                await stream.send_all(b"hello")
                assert await stream.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


async def test_tcp_comes_from_the_source_address() -> None:
    async with trio.open_nursery() as nursery:
        port = await listen(nursery)
        network = TcpNetwork(ServerAddress("127.0.0.1", port, port), source="127.0.0.1")
        async with await network.connect(FG) as stream:
            assert isinstance(stream, trio.SocketStream)
            assert stream.socket.getsockname()[0] == "127.0.0.1"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tcp_raises_oserror_where_nobody_listens(host: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(OSError, match=r"\S"):
            await TcpNetwork(ServerAddress(host, port, port)).connect(FG)


async def test_a_reset_reaches_a_tcp_server() -> None:
    reset = trio.Event()

    async def expect_reset(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        reset.set()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, expect_reset, listeners)
        port = listeners[0].socket.getsockname()[1]
        radio = Radio(TcpNetwork(ServerAddress("127.0.0.1", port, port)), lambda lost: None)
        async with await radio.connect(FG) as stream:
            radio.handover()
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        with trio.fail_after(10):
            await reset.wait()
        nursery.cancel_scope.cancel()


# The radio


async def test_a_stream_through_a_radio_is_a_stream() -> None:
    async def make() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        return await Phone().connect()

    await trio.testing.check_two_way_stream(make, None)


async def test_a_silent_cut_is_seen_by_nobody(autojump_clock: MockClock) -> None:
    phone = Phone()
    near, far = await phone.connect()
    phone.radio.cut()
    assert phone.radio.service
    assert phone.changes == [False]
    await near.send_all(b"lost")
    await far.send_all(b"lost too")
    await never_happens(far)
    await never_happens(near)
    await near.aclose()
    await never_happens(far)
    await phone.radio.aclose()
    assert await far.receive_some() == b"", "known only when the phone itself is gone"


async def test_a_silent_cut_loses_what_a_reader_waits_for(autojump_clock: MockClock) -> None:
    phone = Phone()
    near, far = await phone.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(never_happens, near)
        await trio.testing.wait_all_tasks_blocked()
        phone.radio.cut()
        await far.send_all(b"lost")


async def test_connects_hang_in_a_silent_outage_until_it_is_over(
    autojump_clock: MockClock,
) -> None:
    phone = Phone()
    phone.radio.cut()
    with trio.move_on_after(100) as scope:
        await phone.connect()
    assert scope.cancelled_caught
    phone.radio.restore()
    near, far = await phone.connect()
    await near.send_all(b"hello")
    assert await far.receive_some() == b"hello"


async def test_a_cut_while_connecting_swallows_the_connection(autojump_clock: MockClock) -> None:
    phone = Phone()
    phone.radio.latency_s = 1
    with trio.move_on_after(100) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(phone.connect)
            await trio.sleep(1.5)
            phone.radio.cut()
    assert scope.cancelled_caught
    await never_happens(phone.pipes.far_ends[0])


async def test_a_reset_is_seen_by_both(autojump_clock: MockClock) -> None:
    phone = Phone()
    near, far = await phone.connect()
    phone.radio.cut(silently=False)
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(b"x")
    assert (phone.changes, phone.radio.service) == ([True], False)
    with pytest.raises(OSError, match="unreachable"):
        await phone.connect()
    await near.aclose()
    assert await far.receive_some() == b""
    phone.radio.restore()
    assert (phone.changes, phone.radio.service) == ([True, False], True)


async def test_after_a_handover_a_new_connection_works(autojump_clock: MockClock) -> None:
    phone = Phone()
    near, _ = await phone.connect()
    phone.radio.handover()
    assert phone.changes == [True]
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()
    near, far = await phone.connect()
    await far.send_all(b"hello")
    assert await near.receive_some() == b"hello"


async def test_airplane_mode_is_known_to_the_phone_only(autojump_clock: MockClock) -> None:
    phone = Phone()
    near, far = await phone.connect()
    phone.radio.airplane_mode = True
    assert phone.radio.airplane_mode
    assert not phone.radio.service
    assert phone.changes == [True]
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()
    await near.aclose()
    await never_happens(far)
    with pytest.raises(OSError, match="unreachable"):
        await phone.connect()
    phone.radio.airplane_mode = False
    await phone.connect()


async def test_airplane_mode_ends_a_silent_outage_for_the_phone_but_not_for_the_server(
    autojump_clock: MockClock,
) -> None:
    phone = Phone()
    near, far = await phone.connect()
    phone.radio.cut()
    phone.radio.airplane_mode = True
    assert phone.changes == [False, True]
    with pytest.raises(trio.BrokenResourceError):
        await near.receive_some()
    phone.radio.cut(silently=False)
    await near.aclose()
    await never_happens(far)


async def test_streams_broken_silently_are_bounded(autojump_clock: MockClock) -> None:
    phone = Phone()
    for _ in range(SILENT_STREAMS_MAX + 1):
        near, _ = await phone.connect()
        phone.radio.handover(silently=True)
        await near.aclose()
    assert await phone.pipes.far_ends[0].receive_some() == b"", "the oldest is closed"
    await never_happens(phone.pipes.far_ends[1])


async def test_latency_is_paid_in_each_direction(autojump_clock: MockClock) -> None:
    phone = Phone()
    phone.radio.latency_s = 0.25
    start = trio.current_time()
    near, far = await phone.connect()
    assert trio.current_time() - start == 0.5, "one round trip"
    await near.send_all(b"ping")
    assert trio.current_time() - start == 0.75
    await far.send_all(await far.receive_some())
    assert await near.receive_some() == b"ping"
    assert trio.current_time() - start == 1.0
