"""What the dispatcher has under it. Every piece of work takes a millisecond here."""

import pytest
import trio
import trio.testing
from tests.virtual.lab import LANES, Ears, at, open_lab, virtually

from hwangso_server.limits import READ_BATCH, READ_BYTES
from hwangso_server.processor import Work
from hwangso_tools.virtual.ground import VirtualGround
from hwangso_tools.virtual.tcp import WINDOW_BYTES

FOREGROUND, BACKGROUND = LANES


@virtually
async def test_waiting_for_a_caller() -> None:
    async with open_lab() as lab:
        stream = await lab.connect(BACKGROUND)
        await stream.send_all(b"hello")
        assert lab.ground.lanes == LANES
        assert lab.ground.accept(BACKGROUND) is None
        await lab.ground.wait()
        assert trio.current_time() == pytest.approx(0.15)
        assert not lab.ground.has_person()
        await lab.ground.wait()  # still there
        assert lab.ground.accept(FOREGROUND) is None
        assert lab.ground.accept(BACKGROUND) is not None
        with trio.move_on_after(9) as scope:
            await lab.ground.wait()
        assert scope.cancelled_caught


@virtually
async def test_a_person_is_somebody_in_the_foreground_lane_or_the_only_one() -> None:
    async with open_lab() as lab:
        await (await lab.connect(FOREGROUND)).send_all(b"hello")
        await at(1)
        assert lab.ground.has_person()
        await lab.caller()
        assert not lab.ground.has_person()
        lab.network.reset_all()
        ground = VirtualGround(lab.network, [None])
        assert ground.lanes == (None,)
        await (await lab.connect(BACKGROUND)).send_all(b"hello")
        await trio.sleep(1)
        assert ground.has_person()


@virtually
async def test_a_session_is_fed_and_charged_for() -> None:
    async with open_lab() as lab:
        stream, _, ears = await lab.park()
        assert not lab.serve()
        await stream.send_all(b"one")
        await lab.ground.wait()
        assert lab.serve()
        assert ears.heard == b"one"
        assert lab.processor.spent_s() == pytest.approx(0.001)
        assert lab.processor.busy_s[Work.SEGMENT] == pytest.approx(0.001)
        assert not lab.serve()


@virtually
async def test_what_came_while_nobody_watched_is_seen_when_somebody_listens() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        await stream.aclose()
        await trio.sleep(1)
        parked, ears = caller.park(), Ears()
        assert not lab.serve()
        parked.attach(ears)
        await lab.ground.wait()
        lab.clean_up()
        assert (ears.heard, ears.lost) == (b"hello", 1)


@virtually
async def test_one_read_a_turn() -> None:
    async with open_lab() as lab:
        stream, _, ears = await lab.park()
        await stream.send_all(bytes(2 * READ_BYTES + 1))
        await lab.ground.wait()
        heard = []
        for _ in range(3):
            assert lab.serve()
            heard.append(len(ears.heard))
        assert heard == [READ_BYTES, 2 * READ_BYTES, 2 * READ_BYTES + 1]
        assert not lab.serve()


@virtually
async def test_a_slice_ends_with_its_time_and_the_rest_comes_first_in_the_next() -> None:
    async with open_lab() as lab:
        parties = [await lab.park() for _ in range(5)]
        for stream, _, _ in parties:
            await stream.send_all(b"x")
        await trio.sleep(1)

        def served() -> list[bool]:
            return [ears.heard == b"x" for _, _, ears in parties]

        lab.serve(until_s=0.002)
        assert served() == [True, True, False, False, False]
        await parties[0][0].send_all(b"y")
        await trio.sleep(1)
        lab.serve(until_s=0.003)
        assert [ears.heard for _, _, ears in parties] == [b"x"] * 5


@virtually
async def test_a_slice_serves_a_batch_at_most() -> None:
    async with open_lab(backlog=1_000) as lab:
        parties = [await lab.park() for _ in range(READ_BATCH + 3)]
        for stream, _, _ in parties:
            await stream.send_all(b"x")
        await trio.sleep(1)
        assert lab.serve()
        assert sum(ears.heard == b"x" for _, _, ears in parties) == READ_BATCH
        assert lab.serve()
        assert all(ears.heard == b"x" for _, _, ears in parties)


@virtually
async def test_hang_ups_are_left_to_cleaning_up_with_what_they_had_to_say() -> None:
    async with open_lab() as lab:
        stream, parked, ears = await lab.park()
        await stream.send_all(b"bye")
        await stream.aclose()
        await lab.ground.wait()
        while lab.serve():
            pass
        assert (ears.heard, ears.lost) == (b"", 0)
        await lab.ground.wait()
        lab.clean_up()
        assert (ears.heard, ears.lost) == (b"bye", 1)
        assert not parked.is_open
        assert lab.processor.busy_s[Work.HANG_UP] == pytest.approx(0.002)
        with trio.move_on_after(9) as scope:
            await lab.ground.wait()
        assert scope.cancelled_caught


@virtually
async def test_cleaning_up_ends_with_its_time() -> None:
    async with open_lab() as lab:
        parties = [await lab.park() for _ in range(5)]
        for stream, _, _ in parties:
            await stream.aclose()
        await trio.sleep(1)
        lab.clean_up(until_s=0.002)
        assert sum(ears.lost for _, _, ears in parties) == 2
        await lab.ground.wait()  # those left over are work
        lab.clean_up()
        assert [ears.lost for _, _, ears in parties] == [1] * 5


@virtually
async def test_who_closes_hears_no_more() -> None:
    async with open_lab() as lab:
        stream, parked, ears = await lab.park()
        await stream.send_all(b"too late")
        await trio.sleep(1)
        parked.write(b"bye")
        parked.close()
        assert not parked.is_open
        lab.serve()
        lab.clean_up()
        assert (ears.heard, ears.lost) == (b"", 0)
        assert await stream.receive_some() == b"bye"


@virtually
async def test_a_backlog_is_sent_when_there_is_room_also_behind_a_close() -> None:
    async with open_lab() as lab:
        stream, parked, _ = await lab.park()
        size = WINDOW_BYTES + 1_000
        parked.write(bytes(size))
        assert parked.backlog_bytes == 1_000
        parked.close()
        assert parked.is_open
        await trio.sleep(1)
        assert parked.backlog_bytes == 1_000
        read = 0
        while data := await stream.receive_some():
            read += len(data)
        assert read == size
        assert (parked.is_open, parked.backlog_bytes) == (False, 0)


@virtually
async def test_aborting_drops_the_backlog() -> None:
    async with open_lab() as lab:
        _, parked, _ = await lab.park()
        parked.write(bytes(2 * WINDOW_BYTES))
        parked.abort()
        assert not parked.is_open
        assert parked.backlog_bytes == 0
        parked.write(b"nobody")
        parked.abort()


@virtually
async def test_writing_to_a_broken_connection_tells_the_receiver() -> None:
    """Within the call, as with a real socket."""
    async with open_lab() as lab:
        stream, parked, ears = await lab.park()
        parked.write(b"unread")
        await trio.sleep(1)
        await stream.aclose()  # with something unread: a reset
        await trio.sleep(1)
        parked.write(b"hello?")
        assert ears.lost == 1
        lab.clean_up()
        assert ears.lost == 1


@virtually
async def test_an_answer_leaves_when_its_work_is_done() -> None:
    async with open_lab() as lab:
        lab.network.leaves_at_s = lab.processor.now_s
        stream, caller = await lab.call()
        caller.read()
        lab.processor.charge(Work.DEFER)
        lab.processor.charge(Work.DEFER)
        caller.answer(b"later")
        assert await stream.receive_some() == b"later"
        assert trio.current_time() == pytest.approx(0.15 + 0.002 + 0.05)


@virtually
async def test_the_kernel_answers_however_busy_the_server_is() -> None:
    async with open_lab() as lab:
        lab.network.leaves_at_s = lab.processor.now_s
        for _ in range(10_000):
            lab.processor.charge(Work.LOGIN)
        await lab.connect()
        assert trio.current_time() == pytest.approx(0.10)


@virtually
async def test_closed_lanes() -> None:
    async with open_lab() as lab:
        lab.ground.close_lanes()
        assert lab.ground.lanes == ()
        assert not lab.ground.has_person()
