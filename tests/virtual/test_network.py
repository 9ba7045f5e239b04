"""The machine's lanes: accept queues as those of Linux with TCP_DEFER_ACCEPT, and a machine whose
server is gone."""

import errno

import pytest
import trio
from tests.virtual.lab import FLAT, LANES, FussyLink, at, open_lab, virtually

from hwangso_protocol.hello import Intent
from hwangso_tools.virtual.ground import VirtualGround
from hwangso_tools.virtual.network import PhoneNetwork

FOREGROUND, BACKGROUND = LANES


@virtually
async def test_a_connection_comes_into_the_queue_with_its_first_bytes() -> None:
    async with open_lab() as lab:
        stream = await lab.connect()
        await at(3)
        assert lab.ground.accept(FOREGROUND) is None
        await stream.send_all(b"hello")
        caller = await lab.caller()
        assert trio.current_time() == pytest.approx(3.05)
        assert caller.read() == b"hello"


@virtually
async def test_or_without_a_word_after_5_s() -> None:
    """Counted from its SYN. Those that have spoken are not looked at again."""
    async with open_lab() as lab:
        silent = await lab.connect()
        spoken, _ = await lab.call()
        caller = await lab.caller()
        assert trio.current_time() == pytest.approx(5.05)
        assert caller.read() is None
        await at(20)
        assert lab.ground.accept(FOREGROUND) is None
        second = await lab.connect()
        assert (await lab.caller()).read() is None
        assert trio.current_time() == pytest.approx(25.05)
        for stream in (silent, spoken, second):
            await stream.aclose()


@virtually
async def test_who_is_silent_does_not_get_into_a_full_queue_nor_into_a_closed_lane() -> None:
    async with open_lab(backlog=1) as lab:
        silent = await lab.connect(FOREGROUND)
        orphan = await lab.connect(BACKGROUND)
        await (await lab.connect(FOREGROUND)).send_all(b"first")
        await at(1)
        background = lab.ground
        lab.network.close_lanes()
        foreground = VirtualGround(lab.network, [FOREGROUND])
        again = await lab.connect(FOREGROUND)
        await (await lab.connect(FOREGROUND)).send_all(b"first")
        await at(10)
        assert background.accept(BACKGROUND) is None
        caller = foreground.accept(FOREGROUND)
        assert caller is not None
        assert caller.read() == b"first"
        assert foreground.accept(FOREGROUND) is None
        await again.send_all(b"not too late")
        await trio.sleep(1)
        assert foreground.accept(FOREGROUND) is not None
        for stream in (silent, orphan):
            await stream.aclose()


@virtually
async def test_what_is_closed_is_forgotten() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        queued = await lab.connect()
        await queued.send_all(b"hello")
        await lab.connect()  # not the server's before it has spoken
        await trio.sleep(1)
        assert lab.network.open_connections == 2
        caller.close()
        assert lab.network.open_connections == 1
        (await lab.caller()).park().abort()
        assert lab.network.open_connections == 0
        await stream.aclose()


@virtually
async def test_or_with_its_fin() -> None:
    async with open_lab() as lab:
        await (await lab.connect()).aclose()
        caller = await lab.caller()
        assert trio.current_time() == pytest.approx(0.15)
        assert caller.is_gone()
        assert caller.read() == b""


@virtually
async def test_how_long_it_waited_in_the_queue() -> None:
    async with open_lab() as lab:
        stream = await lab.connect()
        await stream.send_all(b"hello")
        await at(2.15)
        assert (await lab.caller()).waited_s == pytest.approx(2.0)


@virtually
async def test_lanes_have_queues_of_their_own_first_in_first_out() -> None:
    async with open_lab() as lab:
        for number in range(3):
            for lane in LANES:
                stream = await lab.connect(lane)
                await stream.send_all(f"{lane.tag}{number}".encode())
        await at(1)
        for lane in LANES:
            read = [(await lab.caller(lane)).read() for _ in range(3)]
            assert read == [f"{lane.tag}{number}".encode() for number in range(3)]
            assert lab.ground.accept(lane) is None


@virtually
async def test_a_full_queue_drops_syns_and_first_bytes() -> None:
    """With room for two: the first bytes of a third come in with a retransmission once there is
    room, and so does the SYN of a fourth."""
    async with open_lab(backlog=2) as lab:
        early = await lab.connect()  # by 0.1, while there is room
        for _ in range(2):
            await (await lab.connect()).send_all(b"first")
        await at(0.5)
        await early.send_all(b"third")  # would arrive at 0.55; then 0.75, 1.15, 1.95
        connected_at: list[float] = []

        async def connect() -> None:
            late = await lab.connect()  # SYNs at 0.5, 1.5
            connected_at.append(trio.current_time())
            await late.send_all(b"fourth")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            await at(1.2)
            assert not connected_at
            assert [(await lab.caller()).read() for _ in range(2)] == [b"first", b"first"]
        assert connected_at == [pytest.approx(1.6)]
        assert (await lab.caller()).read() == b"fourth"
        assert trio.current_time() == pytest.approx(1.65)
        assert (await lab.caller()).read() == b"third"
        assert trio.current_time() == pytest.approx(1.95)


@virtually
async def test_other_lanes_have_room_meanwhile() -> None:
    async with open_lab(backlog=1) as lab:
        for lane in LANES:
            await (await lab.connect(lane)).send_all(b"hello")
        await at(1)
        assert (await lab.caller(BACKGROUND)).read() == b"hello"


@virtually
async def test_a_peer_that_hung_up_stays_in_the_queue() -> None:
    """Its hello can be read: only who asks finds that nobody waits for an answer."""
    async with open_lab() as lab:
        stream = await lab.connect()
        await stream.send_all(b"hello")
        await trio.sleep(1)
        await stream.aclose()
        await trio.sleep(1)
        caller = await lab.caller()
        assert caller.is_gone()
        assert caller.read() == b"hello"
        caller.answer(b"too late")
        await trio.sleep(1)
        assert lab.lines[-4:] == [
            "1.150000 #1 -> FIN",
            "2.150000 #1 <- DATA 8 B 746f6f206c617465",
            "2.150000 #1 <- FIN",
            "2.200000 #1 -> RST",
        ]


@virtually
async def test_a_peer_that_gave_up_before_its_hello_got_in_comes_all_the_same() -> None:
    """What a kernel has taken it sends again, though the program has gone: work for nobody."""
    async with open_lab(backlog=1) as lab:
        early = await lab.connect()
        await (await lab.connect()).send_all(b"first")
        await at(0.5)
        await early.send_all(b"second")
        await early.aclose()
        assert (await lab.caller()).read() == b"first"
        caller = await lab.caller()
        assert caller.read() == b"second"
        assert caller.is_gone()


@virtually
async def test_nobody_listens() -> None:
    async with open_lab() as lab:
        lab.ground.close_lanes()
        with pytest.raises(OSError, match="refused") as failed:
            await lab.connect()
        assert failed.value.errno == errno.ECONNREFUSED
        assert trio.current_time() == pytest.approx(0.10)


@virtually
async def test_closing_the_lanes_resets_those_in_the_queue_and_no_others() -> None:
    async with open_lab() as lab:
        accepted, caller = await lab.call()
        caller.read()
        queued = await lab.connect()
        await queued.send_all(b"hello")
        half_open = await lab.connect()
        await trio.sleep(1)
        lab.ground.close_lanes()
        with pytest.raises(trio.BrokenResourceError):
            await queued.receive_some()
        await half_open.send_all(b"hello")
        with pytest.raises(trio.BrokenResourceError):
            await half_open.receive_some()
        caller.answer(b"still served")
        assert await accepted.receive_some() == b"still served"


@virtually
async def test_a_process_that_dies_resets_everybody() -> None:
    async with open_lab() as lab:
        stream, parked, ears = await lab.park()
        queued = await lab.connect()
        await queued.send_all(b"hello")
        await trio.sleep(1)
        lab.network.reset_all()
        for broken in (stream, queued):
            with pytest.raises(trio.BrokenResourceError):
                await broken.receive_some()
        assert not parked.is_open
        assert ears.lost == 0  # it is dead


@virtually
async def test_it_listens_again() -> None:
    async with open_lab() as lab:
        early = await lab.connect()
        lab.network.reset_all()
        lab.network.listen([None])
        await early.send_all(b"to the one before")
        with pytest.raises(trio.BrokenResourceError):
            await early.receive_some()
        await lab.connect(FOREGROUND)
        await lab.connect(BACKGROUND)


@virtually
async def test_a_reset_in_the_handshake_leaves_nothing_in_the_queue() -> None:
    async with open_lab(link=FussyLink(FLAT, lost=())) as lab:
        with trio.move_on_after(0.06):
            await lab.connect()
        await at(20)
        assert lab.ground.accept(FOREGROUND) is None
        assert lab.ground.accept(BACKGROUND) is None


@virtually
async def test_the_network_of_a_phone() -> None:
    async with open_lab() as lab:
        phone = PhoneNetwork(lab.network, lab.link)
        stream = await phone.connect(Intent.BACKGROUND)
        await stream.send_all(b"hello")
        assert (await lab.caller(BACKGROUND)).read() == b"hello"
