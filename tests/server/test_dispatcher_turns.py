"""The dispatcher's turns: how long, what is told about them, who is dropped, and how it ends."""

import pytest
from tests.server.scripted import (
    DEFER_S,
    HANDSHAKE_S,
    HANG_UP_S,
    HELLO_S,
    LANES,
    SEGMENT_S,
    SINGLE_PORT,
    ScriptedGround,
    dispatching,
    hello_of,
)
from trio.testing import MockClock

from hwangso_protocol.answer import DeferReason, Refuse, RefuseReason, parse_answer
from hwangso_protocol.hello import Intent
from hwangso_server.admission import Deferral
from hwangso_server.dispatcher import Order, Turn
from hwangso_server.limits import (
    ACCEPT_BATCH,
    CLEAN_UP_SLICE_S,
    HELLOS_BETWEEN_LOOKS,
    LIVE_SLICE_S,
    TURN_BUDGET_S,
)
from hwangso_server.processor import SHARES_OF_A_RESUME, Work

FOREGROUND, BACKGROUND = Intent.FOREGROUND, Intent.BACKGROUND


# Turns


@pytest.mark.parametrize("order", Order)
async def test_a_turn_with_nothing_to_do_is_one_round(mock_clock: MockClock, order: Order) -> None:
    """And then it waits; for three false alarms it looks three times."""
    async with dispatching(order=order) as scene:
        await scene.until_idle()
        assert (scene.ground.waits, scene.ground.rounds) == (1, 0)
        for number in range(1, 4):
            scene.ground.false_alarm()
            await scene.until_idle()
            assert (scene.ground.waits, scene.ground.rounds) == (1 + number, number)


async def test_a_turn_with_something_to_do_is_one_round_more(mock_clock: MockClock) -> None:
    async with dispatching() as scene:
        scene.ground.call(FOREGROUND, "person")
        await scene.until_idle()
        assert (scene.ground.waits, scene.ground.rounds) == (2, 2)


async def test_a_turn_ends_with_its_time(mock_clock: MockClock) -> None:
    """So that other tasks have theirs. The longest is over just before a whole round of the most
    of everything begins."""

    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=1_000)
        ground.call(FOREGROUND, "person", number=200)
        ground.say("live", number=1_000)
        ground.hang_up("gone", number=1_000)

    async with dispatching(script) as scene:
        await scene.until_idle()
        people_s = ACCEPT_BATCH * HELLO_S + HANDSHAKE_S
        background_s = HELLOS_BETWEEN_LOOKS * HELLO_S + HANDSHAKE_S
        clean_up_s = CLEAN_UP_SLICE_S + HANG_UP_S
        round_s = LIVE_SLICE_S + SEGMENT_S + people_s + background_s
        assert max(scene.processor.turns_s) <= TURN_BUDGET_S + round_s + clean_up_s
        assert sum(turn_s > TURN_BUDGET_S for turn_s in scene.processor.turns_s) > 100


async def test_a_modelled_turn_is_as_long_as_its_work(mock_clock: MockClock) -> None:
    """Its time passes at the end, and who comes meanwhile is not seen before: one handshake of the
    background a turn, and live sessions have room for more than one message."""
    costs_s = {work: share / 10.0 for work, share in SHARES_OF_A_RESUME.items()}

    def script(ground: ScriptedGround) -> None:
        ground.say("live", number=60)
        ground.call(BACKGROUND, "crowd", number=50)

    turn = Turn.of_modelled(10.0)
    async with dispatching(script, costs_s=costs_s, turn=turn) as scene:
        await scene.until_idle()
        first = scene.order[: scene.order.index("handshake crowd 1")]
        assert first.count("live live") == 2 * 4
        assert first.index("handshake crowd 0") == 4 + HELLOS_BETWEEN_LOOKS
        handshake_s, hello_s = costs_s[Work.ENROL], costs_s[Work.HELLO]
        longest_s = 4 * costs_s[Work.SEGMENT] + HELLOS_BETWEEN_LOOKS * hello_s + handshake_s
        assert max(scene.processor.turns_s) <= longest_s + 1e-9


@pytest.mark.parametrize("resumes_per_s", [10.0, 2_000.0])
async def test_in_a_modelled_turn_background_has_a_handshake_a_round(
    mock_clock: MockClock, resumes_per_s: float
) -> None:
    costs_s = {work: share / resumes_per_s for work, share in SHARES_OF_A_RESUME.items()}
    turn = Turn.of_modelled(resumes_per_s)
    async with dispatching(costs_s=costs_s, turn=turn) as scene:
        scene.ground.call(BACKGROUND, "crowd", number=50)
        await scene.until_idle()
        assert scene.ground.rounds >= 50


async def test_the_load_adds_up(mock_clock: MockClock) -> None:
    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=40)
        ground.call(FOREGROUND, "person", number=20, every_s=0.003)
        ground.say("live", number=30)
        ground.hang_up("gone", number=50)
        ground.call(FOREGROUND, "late", at_s=1.0)
        (gone,) = ground.call(BACKGROUND, "gone")
        gone.gone_at_s = 0.0

    async with dispatching(script) as scene:
        deferrals = iter([True] * 10 + [False] * 60)
        scene.admission.answer = lambda arrival: (
            Deferral(1_000, DeferReason.BUSY, b"") if next(deferrals) else None
        )
        await scene.until_idle()
        loads = scene.admission.loads
        deferred = scene.server.count("deferred.BG")
        deferred_people = scene.server.count("deferred.FG")
        assert deferred + deferred_people == 10
        assert sum(load.live_s for load in loads) == pytest.approx(30 * SEGMENT_S)
        assert sum(load.door_s for load in loads) == pytest.approx(62 * HELLO_S + 10 * DEFER_S)
        assert sum(load.foreground_s for load in loads) == pytest.approx(
            (21 - deferred_people) * HANDSHAKE_S
        )
        assert sum(load.background_s for load in loads) == pytest.approx(
            (40 - deferred) * HANDSHAKE_S + HANG_UP_S
        )
        busy_s = sum(
            load.live_s + load.door_s + load.foreground_s + load.background_s for load in loads
        )
        idle_s = sum(load.idle_s for load in loads)
        assert idle_s > 0.9
        assert busy_s + idle_s + 50 * HANG_UP_S == pytest.approx(scene.processor.now_s)


async def test_admission_is_told_how_long_each_has_waited(mock_clock: MockClock) -> None:
    """Since its hello reached the kernel."""

    def script(ground: ScriptedGround) -> None:
        ground.call(FOREGROUND, "person", number=2)
        ground.call(BACKGROUND, "crowd")

    async with dispatching(script) as scene:
        await scene.until_idle()
        assert [who for who, _ in scene.admission.waits] == [FOREGROUND, FOREGROUND, BACKGROUND]
        # By the time of its decision, which is when its hello has been read.
        assert [waited_s for _, waited_s in scene.admission.waits] == [
            pytest.approx(HELLO_S),
            pytest.approx(HELLO_S + HANDSHAKE_S),
            pytest.approx(2 * HELLO_S + 2 * HANDSHAKE_S),
        ]
        arrivals_s = [arrival.waited_s for arrival in scene.admission.arrivals]
        assert arrivals_s == [
            0.0,
            pytest.approx(HELLO_S),
            pytest.approx(2 * HELLO_S + 2 * HANDSHAKE_S),
        ]


# Who has hung up


@pytest.mark.parametrize("intent", LANES)
async def test_who_hung_up_while_they_waited_gets_no_handshake(
    mock_clock: MockClock, intent: Intent
) -> None:
    async with dispatching() as scene:
        first, gone, last = scene.ground.call(intent, "phone", number=3)
        gone.gone_at_s = 3 * HELLO_S
        await scene.until_idle()
        assert [caller.begun_s is None for caller in (first, gone, last)] == [False, True, False]
        assert gone.is_closed
        assert gone.heard == b""
        assert scene.server.count(f"gone.{intent.tag}") == 1
        assert scene.admission.gone == [intent]
        assert len(scene.admission.waits) == 2
        assert scene.processor.now_s == pytest.approx(3 * HELLO_S + 2 * HANDSHAKE_S + HANG_UP_S)


async def test_each_is_looked_at_just_before_its_handshake(mock_clock: MockClock) -> None:
    async with dispatching() as scene:
        scene.ground.call(FOREGROUND, "person", number=3)
        await scene.until_idle()
        served = [(one.what, one.name) for one in scene.ground.log if one.what != "hello"]
        assert served == [(what, f"person {n}") for n in range(3) for what in ("look", "handshake")]


async def test_without_the_peer_check_the_server_works_for_the_dead(
    mock_clock: MockClock,
) -> None:
    async with dispatching(peer_check=False) as scene:
        (gone,) = scene.ground.call(BACKGROUND, "crowd")
        gone.gone_at_s = 0.0
        await scene.until_idle()
        assert gone.begun_s is not None
        assert scene.server.count("gone.BG") == 0
        assert scene.admission.gone == []
        assert "look" not in [one.what for one in scene.ground.log]


# Hellos that came in pieces


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("lanes", [LANES, SINGLE_PORT])
async def test_a_hello_in_pieces_needs_no_other_caller(
    mock_clock: MockClock, order: Order, lanes: tuple[Intent | None, ...]
) -> None:
    """It is parked, and its session takes the rest; its handshake is begun in its turn."""
    async with dispatching(lanes=lanes, order=order) as scene:
        hello = hello_of(BACKGROUND)
        (slow,) = scene.ground.call(lanes[-1], "slow", first=hello[:40])
        await scene.until_idle()
        assert slow.transport is not None
        assert not slow.transport.sent
        slow_transport = slow.transport
        scene.ground.say("slow", act=lambda: slow_transport.feed(hello[40:]))
        await scene.until_idle()
        ((served_as, waited_s),) = scene.admission.waits
        assert served_as is BACKGROUND
        assert waited_s == pytest.approx(SEGMENT_S)
        assert slow_transport.sent  # the answer
        waits = scene.ground.waits
        scene.ground.false_alarm()
        await scene.until_idle()
        assert scene.ground.waits == waits + 1


async def test_who_hung_up_after_a_hello_in_pieces(mock_clock: MockClock) -> None:
    async with dispatching() as scene:
        hello = hello_of(FOREGROUND)
        (slow,) = scene.ground.call(FOREGROUND, "slow", first=b"")
        slow.first = hello[:40]
        await scene.until_idle()
        transport = slow.transport
        assert transport is not None

        def finish_and_hang_up() -> None:
            transport.feed(hello[40:])
            transport.lose()

        scene.ground.say("slow", act=finish_and_hang_up)
        await scene.until_idle()
        assert scene.admission.waits == []
        assert scene.admission.gone == [FOREGROUND]
        assert scene.admission.told == []
        assert scene.server.count("gone.FG") == 1


# The end


def refusal(heard: bytes) -> RefuseReason | None:
    parsed = parse_answer(heard)
    if parsed is None:
        return None
    answer, _ = parsed
    assert isinstance(answer, Refuse)
    return answer.reason


async def test_closing_refuses_those_who_wait(mock_clock: MockClock) -> None:
    """And accepts nobody any more; live sessions are served as long as they are there."""
    async with dispatching() as scene:
        people = scene.ground.call(FOREGROUND, "person", number=10 * ACCEPT_BATCH)
        await scene.until_begun(people[0])
        scene.dispatcher.close()
        begun = [caller for caller in people if caller.begun_s is not None]
        refused = [caller for caller in people if caller.heard]
        assert begun
        assert refused
        assert [refusal(caller.heard) for caller in refused] == [RefuseReason.SHUTTING_DOWN] * len(
            refused
        )
        heard = len(begun) + len(refused)
        assert heard % ACCEPT_BATCH == 0  # so many in a round; how many rounds there were is chance
        assert heard < len(people)
        assert scene.admission.gone == [FOREGROUND] * len(refused)
        assert scene.server.count("refused.shutting_down") == len(refused)
        scene.ground.say("live")
        await scene.until_idle()
        assert scene.order[-1] == "live live"
        unheard = [caller for caller in people if caller not in begun and caller not in refused]
        assert not any(caller.is_closed for caller in unheard)
        assert len(scene.admission.waits) == len(begun)


async def test_closing_refuses_who_waits_after_a_hello_in_pieces(mock_clock: MockClock) -> None:
    async with dispatching() as scene:
        hello = hello_of(FOREGROUND)
        (slow,) = scene.ground.call(FOREGROUND, "slow", first=hello[:40])
        await scene.until_idle()
        transport = slow.transport
        assert transport is not None
        transport.feed(hello[40:])  # behind the dispatcher's back: it is waiting
        scene.dispatcher.close()
        scene.server.core.flush_touched()
        assert refusal(bytes(transport.sent)) is RefuseReason.SHUTTING_DOWN
        assert not transport.is_open
        assert scene.admission.gone == [FOREGROUND]
        assert scene.admission.told == []


async def test_a_dispatcher_that_is_cancelled_closes_those_who_wait(
    mock_clock: MockClock,
) -> None:
    """Without a word: it is no graceful end. Nobody else has them, and they hold sockets."""
    async with dispatching() as scene:
        people = scene.ground.call(FOREGROUND, "person", number=ACCEPT_BATCH)
        await scene.until_begun(people[0])
        assert not all(caller.is_closed for caller in people)
    assert all(caller.is_closed for caller in people)
    assert not any(caller.heard for caller in people)


# People who wait for the store


async def test_background_gives_way_to_a_person_at_the_store(mock_clock: MockClock) -> None:
    """A few hellos and one handshake a turn, and then the core is left to the store's threads."""

    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=3 * HELLOS_BETWEEN_LOOKS)

    async with dispatching(script) as scene:
        scene.server.core.people_waiting = 1
        await scene.until_idle()
        heard = HELLOS_BETWEEN_LOOKS
        assert scene.order[: 2 * (heard + 1)] == [
            *[f"hello crowd {n}" for n in range(heard)],
            "handshake crowd 0",
            *[f"hello crowd {n}" for n in range(heard, 2 * heard)],
            "handshake crowd 1",
        ]
        assert scene.processor.gave_way == 3 * heard  # after each handshake


async def test_otherwise_nobody_needs_to_give_way(mock_clock: MockClock) -> None:
    async with dispatching() as scene:
        scene.ground.call(BACKGROUND, "crowd", number=20)
        await scene.until_idle()
        assert scene.processor.gave_way == 0
        scene.server.core.people_waiting = 1
        scene.ground.call(FOREGROUND, "person", number=20)
        await scene.until_idle()
        assert scene.processor.gave_way == 0


async def test_hang_ups_are_cleaned_up_even_if_somebody_always_waits_for_the_store(
    mock_clock: MockClock,
) -> None:
    """On a busy server some message is always on its way to the disk."""

    def script(ground: ScriptedGround) -> None:
        ground.hang_up("gone", number=100)

    async with dispatching(script) as scene:
        scene.server.core.people_waiting = 1
        await scene.until_idle()
        assert scene.order == ["hang-up gone"] * 100
        # Little at a time, for somebody does wait.
        assert max(scene.processor.turns_s) <= 2 * HANG_UP_S


async def test_hellos_of_people_do_not_starve_their_handshakes(mock_clock: MockClock) -> None:
    """More than a turn can hear, for as long as one looks: half of the time is for answers."""
    async with dispatching() as scene:
        people = scene.ground.call(FOREGROUND, "person", number=20 * ACCEPT_BATCH)
        await scene.until_begun(people[10 * ACCEPT_BATCH])
        order = scene.order
        hellos = sum(what.startswith("hello") for what in order)
        handshakes = sum(what.startswith("handshake") for what in order)
        assert handshakes * HANDSHAKE_S >= hellos * HELLO_S - TURN_BUDGET_S
