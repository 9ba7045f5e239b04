"""Virtual TCP, seen from its two ends: order, retransmission, closing, resets. The window, and
the stream above all this, are in `test_stream`.

The link takes LATENCY_S (50 ms) one way unless a test says otherwise. A connection's packets arrive
in this order: 1 the SYN, 2 its answer, 3 the hello.
"""

import errno

import pytest
import trio
import trio.testing
from tests.virtual.lab import FLAT, FussyLink, at, open_lab, virtually

from hwangso_tools.virtual.link import LinkProfile


@virtually
async def test_there_and_back_takes_two_latencies() -> None:
    async with open_lab() as lab:
        stream = await lab.connect()
        assert trio.current_time() == pytest.approx(0.10)
        await stream.send_all(b"hello")
        caller = await lab.caller()
        assert trio.current_time() == pytest.approx(0.15)
        assert caller.read() == b"hello"
        assert caller.read() is None
        caller.answer(b"go away")
        assert await stream.receive_some() == b"go away"
        assert trio.current_time() == pytest.approx(0.20)
        assert await stream.receive_some() == b""
        assert lab.lines == [
            "0.050000 #1 -> SYN",
            "0.100000 #1 <- SYN_ACK",
            "0.150000 #1 -> DATA 5 B 68656c6c6f",
            "0.200000 #1 <- DATA 7 B 676f2061776179",
            "0.200000 #1 <- FIN",
        ]


@virtually
async def test_bytes_stay_in_order_whatever_the_jitter() -> None:
    rough = LinkProfile(0.01, jitter_s=0.2, loss=0.2)
    async with open_lab(profile=rough) as lab:
        stream, caller = await lab.call(b"0 ")
        sent = "0 "
        for number in range(1, 60):
            await stream.send_all(f"{number} ".encode())
            sent += f"{number} "
            await trio.sleep(0.02)
        await trio.sleep(60)
        assert caller.read() == sent.encode()


# Loss and outage


@virtually
async def test_a_lost_packet_is_sent_again_after_200_ms_then_400() -> None:
    async with open_lab(link=FussyLink(FLAT, lost={4, 5})) as lab:
        stream, caller = await lab.call()
        assert trio.current_time() == pytest.approx(0.15)
        caller.read()
        await stream.send_all(b"more")  # should arrive at 0.20
        await at(0.799)
        assert caller.read() is None
        await at(0.801)
        assert caller.read() == b"more"


@virtually
async def test_what_was_sent_behind_a_lost_packet_waits_for_it() -> None:
    async with open_lab(link=FussyLink(FLAT, lost={4})) as lab:
        stream, caller = await lab.call()
        caller.read()
        await stream.send_all(b"one ")
        await trio.sleep(0.1)
        await stream.send_all(b"two")
        await at(0.399)
        assert caller.read() is None
        await at(0.401)
        assert caller.read() == b"one two"


@virtually
async def test_after_a_success_the_timeouts_begin_anew() -> None:
    async with open_lab(link=FussyLink(FLAT, lost={4, 5, 7})) as lab:
        stream, caller = await lab.call()
        await stream.send_all(b" one")
        await trio.sleep(2)
        await stream.send_all(b" two")  # at 2.15: should arrive at 2.20
        await at(2.401)
        assert caller.read() == b"hello one two"


@virtually
async def test_a_lost_syn_is_sent_again_after_1_s_then_2() -> None:
    async with open_lab(link=FussyLink(FLAT, lost={1, 2})) as lab:
        await lab.connect()
        assert trio.current_time() == pytest.approx(3.10)


@virtually
async def test_a_lost_answer_to_the_syn_too() -> None:
    async with open_lab(link=FussyLink(FLAT, lost={2})) as lab:
        await lab.connect()
        assert trio.current_time() == pytest.approx(1.10)


@virtually
async def test_an_outage_is_over_with_the_next_retransmission() -> None:
    """Those of a packet that should arrive at 0.20 come at 0.40, 0.80, 1.60."""
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.read()
        lab.link.cut()
        await stream.send_all(b"more")
        await at(0.9)
        lab.link.restore()
        await at(1.599)
        assert caller.read() is None
        assert not caller.is_gone()
        await at(1.601)
        assert caller.read() == b"more"


@virtually
async def test_in_an_outage_nobody_is_told() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        lab.link.cut()
        await stream.aclose()
        await at(3_600)
        assert not caller.is_gone()


@virtually
async def test_nothing_to_send_and_an_outage_leaves_no_trace() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.read()
        lab.link.cut()
        await at(3_600)
        lab.link.restore()
        await stream.send_all(b"still here")
        await at(3_600.06)
        assert caller.read() == b"still here"


@virtually
async def test_after_15_retransmissions_the_sender_gives_up() -> None:
    """After 924.6 s, as Linux documents for tcp_retries2. The other side knows nothing of it."""
    async with open_lab() as lab:
        stream, caller = await lab.call()
        lab.link.cut()
        await stream.send_all(b"more")
        with pytest.raises(trio.BrokenResourceError, match="timed out"):
            await stream.receive_some()
        assert trio.current_time() == pytest.approx(0.20 + 924.6)
        with pytest.raises(trio.BrokenResourceError, match="timed out"):
            await stream.send_all(b"again")
        lab.link.restore()
        await at(2_000)
        assert not caller.is_gone()
        assert lab.lines[-1] == "924.800000 #1 -> DATA GIVEN_UP 4 B 6d6f7265"


@virtually
async def test_a_connect_without_an_answer_fails_after_127_s() -> None:
    async with open_lab() as lab:
        lab.link.cut()
        with pytest.raises(OSError, match="timed out") as failed:
            await lab.connect()
        assert failed.value.errno == errno.ETIMEDOUT
        assert trio.current_time() == pytest.approx(0.05 + 127)
        assert [line.split()[0] for line in lab.lines[:7]] == [
            "0.050000", "1.050000", "3.050000", "7.050000", "15.050000", "31.050000", "63.050000",
        ]  # fmt: skip


@virtually
async def test_a_connect_that_was_given_up_is_not_tried_again() -> None:
    async with open_lab() as lab:
        lab.link.cut()
        with trio.move_on_after(0.5):
            await lab.connect()
        lab.link.restore()
        await at(100)
        assert lab.lines == ["0.050000 #1 -> SYN LOST"]


# Closing


@virtually
async def test_closing_says_fin_behind_the_last_bytes() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        await stream.send_all(b", and goodbye")
        await stream.aclose()
        assert not caller.is_gone()
        await at(0.21)
        assert caller.is_gone()
        assert caller.read() == b"hello, and goodbye"
        assert caller.read() == b""


@virtually
async def test_closing_with_something_unread_is_a_reset() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.close()  # it never read the hello
        with pytest.raises(trio.BrokenResourceError, match="reset by peer"):
            await stream.receive_some()
        assert lab.lines[-1] == "0.200000 #1 <- RST"


@virtually
async def test_what_came_before_a_reset_can_still_be_read() -> None:
    """As on Linux: tried on a loopback socket."""
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.answer(b"last words")  # and a reset, for the hello was not read
        await at(0.21)
        assert await stream.receive_some() == b"last words"
        with pytest.raises(trio.BrokenResourceError, match="reset by peer"):
            await stream.receive_some()


@virtually
async def test_who_sends_to_a_closed_end_is_reset() -> None:
    async with open_lab() as lab:
        stream, caller = await lab.call()
        caller.read()
        caller.close()
        await stream.send_all(b"are you there?")  # before the FIN has arrived
        assert await stream.receive_some() == b""
        await at(0.26)
        with pytest.raises(trio.BrokenResourceError, match="reset by peer"):
            await stream.send_all(b"hello?")


@virtually
async def test_who_is_reset_sends_nothing_again_and_no_fin() -> None:
    async with open_lab(link=FussyLink(FLAT, lost={4})) as lab:
        stream, caller = await lab.call()
        await stream.send_all(b"lost")  # is due again at 0.4
        caller.close()  # a reset, for it has not read the hello: arrives at 0.2
        await at(0.3)
        await stream.aclose()
        await at(10)
        assert lab.lines[3:] == ["0.200000 #1 -> DATA LOST 4 B 6c6f7374", "0.200000 #1 <- RST"]


@virtually
async def test_a_phone_that_gave_up_connecting_resets_what_comes_late() -> None:
    async with open_lab() as lab:
        with trio.move_on_after(0.07):
            await lab.connect()
        await at(10)
        assert lab.lines == [
            "0.050000 #1 -> SYN",
            "0.100000 #1 <- SYN_ACK",
            "0.150000 #1 -> RST",
        ]
        assert lab.ground.accept(lab.ground.lanes[0]) is None
