"""Who calls at the grounds of real sockets, over loopback TCP, and how they wait for callers."""

import socket
import struct
import sys
from collections.abc import Sequence

import pytest
import trio
from tests.server.places import (
    BACKGROUND,
    FOREGROUND,
    LANES,
    Ground,
    both_grounds,
    place,
    settled,
    until,
    until_readable,
    waits,
)
from tests.server.test_transport import WITHIN_S, receive_all, reset, tcp_pair

from hwangso_protocol.hello import Intent
from hwangso_protocol.limits import HELLO_MAX_BYTES
from hwangso_server.sockets import SAME_WAIT_S, SocketCaller, _Waits

# Callers


@both_grounds
@pytest.mark.parametrize("intents", [LANES, (None,)])
async def test_callers_come_through_their_lanes(
    kind: Ground, intents: Sequence[Intent | None]
) -> None:
    async with place(kind, intents) as at:
        assert tuple(at.ground.lanes) == tuple(intents)
        for intent in intents:
            stream = await at.connect(intent, f"{intent}".encode())
            caller = await at.next_caller(intent)
            assert caller.read() == f"{intent}".encode()
            assert caller.waited_s >= 0
            for lane in (*LANES, None):
                assert at.ground.accept(lane) is None
            caller.close()
            assert await receive_all(stream) == b""
            await stream.aclose()


@both_grounds
async def test_callers_come_in_their_order(kind: Ground) -> None:
    async with place(kind) as at:
        streams = [await at.connect(BACKGROUND, b"%d" % number) for number in range(100)]
        for number, stream in enumerate(streams):
            caller = await at.next_caller(BACKGROUND)
            assert caller.read() == b"%d" % number
            caller.close()
            await stream.aclose()
        assert at.ground.accept(BACKGROUND) is None


@both_grounds
async def test_reading(kind: Ground) -> None:
    """What has come; None while there is nothing; b"" at the end."""
    async with place(kind) as at:
        stream, caller = await at.call()
        assert caller.read() is None
        await stream.send_all(bytes(HELLO_MAX_BYTES))
        received = bytearray()
        with trio.fail_after(WITHIN_S):
            while len(received) < HELLO_MAX_BYTES:
                received += caller.read() or b""
                await trio.lowlevel.checkpoint()
        assert caller.read() is None
        await stream.aclose()
        await until(lambda: caller.read() == b"")
        caller.close()


@both_grounds
async def test_reading_what_was_reset(kind: Ground) -> None:
    async with place(kind) as at:
        stream, caller = await at.call()
        await reset(stream)
        await until_readable(caller)
        assert [caller.read() for _ in range(3)] == [b""] * 3
        caller.close()


@both_grounds
@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_caller_that_hangs_up_is_gone(kind: Ground, abruptly: bool) -> None:
    async with place(kind) as at:
        stream, caller = await at.call()
        assert [caller.is_gone() for _ in range(3)] == [False] * 3
        await (reset(stream) if abruptly else stream.aclose())
        await until_readable(caller)
        assert [caller.is_gone() for _ in range(3)] == [True] * 3
        caller.close()


@both_grounds
async def test_one_that_will_say_no_more_is_gone(kind: Ground) -> None:
    """Half closed: no phone does that."""
    async with place(kind) as at:
        stream, caller = await at.call()
        await stream.send_eof()
        await until(caller.is_gone)
        caller.close()
        await stream.aclose()


@both_grounds
async def test_unread_bytes_are_no_hang_up_and_stay_unread(kind: Ground) -> None:
    async with place(kind) as at:
        stream = await at.connect(FOREGROUND, b"hello")
        caller = await at.next_caller(FOREGROUND)
        assert [caller.is_gone() for _ in range(3)] == [False] * 3
        assert caller.read() == b"hello"
        caller.close()
        await stream.aclose()


@both_grounds
async def test_an_answer_is_heard_to_its_end(kind: Ground) -> None:
    async with place(kind) as at:
        stream, caller = await at.call()
        caller.answer(bytes(range(200)))
        assert await receive_all(stream) == bytes(range(200))
        await stream.aclose()


@both_grounds
@pytest.mark.parametrize("abruptly", [False, True])
async def test_an_answer_to_one_that_is_gone_is_no_error(kind: Ground, abruptly: bool) -> None:
    async with place(kind) as at:
        stream, caller = await at.call()
        await (reset(stream) if abruptly else stream.aclose())
        await until(caller.is_gone)
        caller.answer(b"come back later")


@both_grounds
async def test_a_parked_caller_is_heard_and_answered(kind: Ground) -> None:
    async with place(kind) as at:
        stream, peer = await at.park()
        peer.on_data = lambda data: peer.transport.write(data.upper())
        async with at.serving():
            await stream.send_all(b"question")
            with trio.fail_after(WITHIN_S):
                assert await stream.receive_some() == b"QUESTION"
            await stream.aclose()
            await peer.until(lambda: peer.lost == 1)
            with trio.fail_after(WITHIN_S):
                await at.ground.wait_empty()


async def test_a_caller_that_cannot_be_parked() -> None:
    class Full:
        def take(self, sock: socket.socket) -> None:
            assert not sock.getblocking()  # whatever it was before
            sock.close()

    theirs, ours = await tcp_pair()
    ours.setblocking(True)
    assert SocketCaller(ours, Full(), 0.0).park() is None
    assert await receive_all(theirs) == b""
    await theirs.aclose()


# Waiting


@both_grounds
async def test_it_waits_until_somebody_calls(kind: Ground) -> None:
    async with place(kind) as at:
        assert await waits(at)
        for lane in LANES:
            stream = await at.connect(lane)
            with trio.fail_after(WITHIN_S):
                await at.ground.wait()
            (await at.next_caller(lane)).close()
            assert await settled(at)
            await stream.aclose()


@both_grounds
async def test_it_goes_on_while_somebody_waits(kind: Ground) -> None:
    """A turn has taken one of two; nobody new comes."""
    async with place(kind) as at:
        streams = [await at.connect(BACKGROUND) for _ in range(2)]
        (await at.next_caller(BACKGROUND)).close()
        with trio.fail_after(WITHIN_S):
            await at.ground.wait()
        (await at.next_caller(BACKGROUND)).close()
        for stream in streams:
            await stream.aclose()


@both_grounds
async def test_it_waits_until_a_parked_one_says_something(kind: Ground) -> None:
    """The rest of a hello, perhaps: then there is a handshake for the dispatcher to begin."""
    async with place(kind) as at:
        stream, peer = await at.park()
        assert await settled(at)
        await stream.send_all(b"more")
        with trio.fail_after(WITHIN_S):
            await at.ground.wait()
        at.look_around()
        assert peer.received == b"more"
        assert await settled(at)
        async with at.serving():
            await stream.aclose()
            await peer.until(lambda: peer.lost == 1)
        assert await settled(at)


@both_grounds
async def test_a_person_is_who_comes_through_their_lane(kind: Ground) -> None:
    async with place(kind) as at:
        streams = [await at.connect(BACKGROUND)]
        with trio.fail_after(WITHIN_S):
            await at.ground.wait()
        assert not at.ground.has_person()
        streams.append(await at.connect(FOREGROUND))
        await until(at.ground.has_person)
        (await at.next_caller(FOREGROUND)).close()
        assert at.ground.accept(FOREGROUND) is None
        assert not at.ground.has_person()
        (await at.next_caller(BACKGROUND)).close()
        for stream in streams:
            await stream.aclose()


@both_grounds
async def test_on_one_port_anybody_may_be_a_person(kind: Ground) -> None:
    async with place(kind, (None,)) as at:
        assert not at.ground.has_person()
        stream = await at.connect(None)
        await until(at.ground.has_person)
        (await at.next_caller(None)).close()
        await stream.aclose()


# How long a hello has lain in the kernel

if sys.platform == "linux":

    def idle_ms(stream: trio.SocketStream) -> int:
        """Since the phone has sent its hello: `tcpi_last_data_sent`."""
        info = stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 48)
        milliseconds: int = struct.unpack("44xI", info)[0]
        return milliseconds

    @both_grounds
    async def test_a_hello_that_nobody_accepts_gets_older(kind: Ground) -> None:
        async with place(kind) as at:
            stream = await at.connect(FOREGROUND)
            await until(lambda: idle_ms(stream) >= 40)
            caller = await at.next_caller(FOREGROUND)
            # As coarse as the kernel's tick, 10 ms at most.
            assert 0.03 <= caller.waited_s <= idle_ms(stream) / 1000 + 0.01
            caller.close()
            await stream.aclose()


class AskedSocket(socket.socket):
    """Its hello has lain in the kernel for so long."""

    def __init__(self, milliseconds: int) -> None:
        super().__init__()
        self._info = bytes(52) + milliseconds.to_bytes(4, sys.byteorder)
        self.asked: list[tuple[int, ...]] = []

    def getsockopt(self, *what: int) -> bytes:  # type: ignore[override]  # as the one call does
        self.asked.append(what)
        return self._info


TCP_INFO = 11
"""Linux's, for systems that have none."""


def test_those_accepted_at_once_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 5.0
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(socket, "TCP_INFO", TCP_INFO, raising=False)
    monkeypatch.setattr("hwangso_server.sockets.monotonic", lambda: now_s)
    waits = _Waits()
    with AskedSocket(40) as first, AskedSocket(39) as second, AskedSocket(7) as other:
        assert waits.of(FOREGROUND, first) == 0.04
        now_s += 0.9 * SAME_WAIT_S
        assert waits.of(FOREGROUND, second) == 0.04
        assert waits.of(BACKGROUND, other) == 0.007
        assert first.asked == other.asked == [(socket.IPPROTO_TCP, TCP_INFO, 56)]
        assert second.asked == []
        now_s += 0.2 * SAME_WAIT_S
        assert waits.of(FOREGROUND, second) == 0.039


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with AskedSocket(40) as sock:
        assert _Waits().of(FOREGROUND, sock) == 0.0
        assert sock.asked == []
