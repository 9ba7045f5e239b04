"""The grounds of real sockets where things end: file descriptors, lanes, the server."""

import errno
import socket

import pytest
import trio
from tests.server.places import (
    FOREGROUND,
    LANES,
    Ground,
    both_grounds,
    place,
    settled,
    until,
    waits,
)
from tests.server.scripted import ScriptedProcessor
from tests.server.test_transport import WITHIN_S, receive_all
from trio.testing import MockClock

from hwangso_protocol.hello import Intent
from hwangso_server import lanes as lanes_module
from hwangso_server.lanes import Lane
from hwangso_server.limits import EMFILE_PAUSE_S
from hwangso_server.processor import Work
from hwangso_server.sockets import EpollGround

# No file descriptors left


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """Raised by `accept`, the last first, until there are none."""
    failures: list[OSError] = []
    real_accept = lanes_module.accept

    def accept(lane: Lane) -> socket.socket | None:
        if failures:
            raise failures.pop()
        return real_accept(lane)

    monkeypatch.setattr("hwangso_server.sockets.accept", accept)
    return failures


@both_grounds
@pytest.mark.parametrize("lane", LANES)
async def test_without_descriptors_it_pauses(
    kind: Ground, lane: Intent, mock_clock: MockClock, failures: list[OSError]
) -> None:
    """Those who call wait in the kernel; the server does not turn round and round meanwhile."""
    async with place(kind) as at:
        failures += [OSError(errno.EMFILE, "Too many open files")] * 2
        stream = await at.connect(lane)
        for number in (1, 2):
            await at.run_out_of_descriptors(lane)
            assert at.counts.snapshot() == {"no_descriptors": number}
            assert not at.ground.has_person()
            assert await settled(at)
            mock_clock.jump(EMFILE_PAUSE_S * 0.9)
            assert await settled(at)
            mock_clock.jump(EMFILE_PAUSE_S * 0.2)
        caller = await at.next_caller(lane)
        assert caller.read() == b"hello"
        assert at.counts.snapshot() == {"no_descriptors": 2}
        caller.close()
        assert await settled(at)
        await stream.aclose()


@both_grounds
async def test_parked_ones_are_served_while_it_pauses(
    kind: Ground, mock_clock: MockClock, failures: list[OSError]
) -> None:
    async with place(kind) as at:
        parked, peer = await at.park()
        failures.append(OSError(errno.ENFILE, "Too many open files in system"))
        stream = await at.connect(FOREGROUND)
        await at.run_out_of_descriptors(FOREGROUND)
        await parked.send_all(b"hi")
        async with at.serving():
            await peer.until(lambda: peer.received == b"hi")
        mock_clock.jump(EMFILE_PAUSE_S)
        (await at.next_caller(FOREGROUND)).close()
        for one in (parked, stream):
            await one.aclose()


async def test_a_pause_ends_even_while_parked_ones_keep_it_busy(
    mock_clock: MockClock, failures: list[OSError]
) -> None:
    """Each turn leaves live sessions over, so that the ground never waits."""
    async with place(Ground.EPOLL) as at:
        parked = [await at.park() for _ in range(3)]
        for stream, _ in parked:
            await stream.send_all(bytes(100))
        failures.append(OSError(errno.EMFILE, "Too many open files"))
        caller = await at.connect(FOREGROUND)
        await until(at.ground.has_person)
        busy = ScriptedProcessor({})
        at.ground.serve(busy, until_s=0)
        assert at.ground.accept(FOREGROUND) is None
        mock_clock.jump(EMFILE_PAUSE_S)
        await at.ground.wait()
        at.ground.serve(busy, until_s=0)
        accepted = at.ground.accept(FOREGROUND)
        assert accepted is not None
        accepted.close()
        for stream, _ in parked:
            await stream.aclose()
        await caller.aclose()


# Hang-ups


async def test_hang_ups_that_a_turn_leaves_over_are_work() -> None:
    """The epoll has told them and does not tell them again: the ground goes on by itself."""
    async with place(Ground.EPOLL) as at:
        parked = [await at.park() for _ in range(3)]
        for stream, _ in parked:
            await stream.aclose()
        ground = at.ground
        assert isinstance(ground, EpollGround)

        def has_seen_all() -> bool:
            at.look_around()
            return len(ground.parking._gone) == len(parked)

        await until(has_seen_all)
        processor = ScriptedProcessor({Work.HANG_UP: 1.0})
        for lost in (1, 2, 3):
            assert not await waits(at)
            processor.begin()
            at.ground.clean_up(processor, until_s=0.5)
            assert sum(peer.lost for _, peer in parked) == lost
        assert await waits(at)


# The end


@both_grounds
async def test_closed_lanes_accept_nobody(kind: Ground) -> None:
    """Who waits in the kernel is reset; who is parked is served."""
    async with place(kind) as at:
        parked, peer = await at.park()
        waiting = [await at.connect(lane) for lane in LANES]
        with trio.fail_after(WITHIN_S):
            await at.ground.wait()
        at.look_around()
        at.ground.close_lanes()
        assert tuple(at.ground.lanes) == ()
        assert not at.ground.has_person()
        for lane, stream in zip(LANES, waiting, strict=True):
            assert at.ground.accept(lane) is None
            assert await receive_all(stream) == b""
            with pytest.raises(OSError, match="connect"):
                await at.connect(lane)
            await stream.aclose()
        assert await settled(at)
        await parked.send_all(b"still here")
        async with at.serving():
            await peer.until(lambda: peer.received == b"still here")
        peer.transport.close()
        with trio.fail_after(WITHIN_S):
            await at.ground.wait_empty()
        assert await receive_all(parked) == b""
        await parked.aclose()


@both_grounds
async def test_lanes_closed_during_a_pause(
    kind: Ground, mock_clock: MockClock, failures: list[OSError]
) -> None:
    async with place(kind) as at:
        failures.append(OSError(errno.EMFILE, "Too many open files"))
        stream = await at.connect(FOREGROUND)
        await at.run_out_of_descriptors(FOREGROUND)
        at.ground.close_lanes()
        assert await settled(at)
        mock_clock.jump(2 * EMFILE_PAUSE_S)
        assert await settled(at)
        assert await receive_all(stream) == b""
        await stream.aclose()


@both_grounds
async def test_leaving_closes_all_parked_sockets(kind: Ground) -> None:
    async with place(kind) as at:
        parked = [await at.park() for _ in range(3)]
    for stream, _ in parked:
        assert await receive_all(stream) == b""
        await stream.aclose()


@both_grounds
async def test_a_ground_does_not_close_who_is_not_parked(kind: Ground) -> None:
    """They are the dispatcher's."""
    async with place(kind) as at:
        stream, caller = await at.call()
    caller.answer(b"bye")
    assert await receive_all(stream) == b"bye"
    await stream.aclose()
