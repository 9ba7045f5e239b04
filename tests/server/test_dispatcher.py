"""The order of work, on a ground and a processor with a script: who is served before whom, and how
long a person waits."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import inf

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.scripted import (
    COSTS_S,
    DEFER_S,
    HANDSHAKE_S,
    HANG_UP_S,
    HELLO_S,
    LANES,
    SEGMENT_S,
    SINGLE_PORT,
    Happened,
    Scene,
    ScriptedCaller,
    ScriptedGround,
    dispatching,
)
from trio.testing import MockClock

from hwangso_protocol.answer import DeferReason
from hwangso_protocol.hello import Intent
from hwangso_server.admission import Admit, Deferral
from hwangso_server.dispatcher import Order, Turn
from hwangso_server.limits import (
    ACCEPT_BATCH,
    BACKGROUND_HELLOS,
    BACKGROUND_SHARE,
    BACKGROUND_SLICE_S,
    CLEAN_UP_SLICE_S,
    HELLOS_BETWEEN_LOOKS,
    LIVE_SLICE_S,
)
from hwangso_server.processor import SHARES_OF_A_RESUME, Work

FOREGROUND, BACKGROUND = Intent.FOREGROUND, Intent.BACKGROUND
CROWD = 10_000
ROUNDING_S = 1e-9

PERSON_WAITS_MAX_S = (
    HELLOS_BETWEEN_LOOKS * (HELLO_S + DEFER_S)
    + HANDSHAKE_S
    + CLEAN_UP_SLICE_S
    + HANG_UP_S
    + LIVE_SLICE_S
    + SEGMENT_S
    + HELLO_S
    + ROUNDING_S
)
"""What may come before one person while the background crowd is endless: a few hellos and the
handshake after them, a slice of hang-ups, a slice of messages, and one's own hello."""


# The order


@pytest.mark.parametrize(("live", "foreground", "background", "gone"), [*product((0, 3), repeat=4)])
async def test_live_then_foreground_then_background_then_hang_ups(
    mock_clock: MockClock, live: int, foreground: int, background: int, gone: int
) -> None:
    def script(ground: ScriptedGround) -> None:
        ground.hang_up("gone", number=gone)
        ground.call(BACKGROUND, "crowd", number=background)
        ground.call(FOREGROUND, "person", number=foreground)
        ground.say("live", number=live)

    async with dispatching(script) as scene:
        await scene.until_idle()
        assert scene.order == [
            *["live live"] * live,
            *[f"hello person {n}" for n in range(foreground)],
            *[f"handshake person {n}" for n in range(foreground)],
            *[f"hello crowd {n}" for n in range(background)],
            *[f"handshake crowd {n}" for n in range(background)],
            *["hang-up gone"] * gone,
        ]


async def test_who_is_served_as_background_waits_with_the_background(
    mock_clock: MockClock,
) -> None:
    """A device that claims foreground too often; and one that comes through the wrong lane."""

    def script(ground: ScriptedGround) -> None:
        ground.call(FOREGROUND, "liar")
        ground.call(FOREGROUND, "machine", intent=BACKGROUND)
        ground.call(BACKGROUND, "lost", intent=FOREGROUND)
        ground.call(FOREGROUND, "person")

    async with dispatching(script) as scene:
        doubted = iter([True, False, False, False])
        scene.admission.answer = lambda arrival: Admit(BACKGROUND) if next(doubted) else None
        await scene.until_idle()
        assert scene.order == [
            "hello liar",
            "hello machine",
            "hello person",
            "handshake person",
            "hello lost",
            # The background's turn has begun, and is over after one, for somebody waits.
            "handshake liar",
            "handshake lost",
            "handshake machine",
        ]


async def test_newest_first_at_capacity(mock_clock: MockClock) -> None:
    """Admission says so, for foreground only: who came first has given up most likely."""

    def script(ground: ScriptedGround) -> None:
        ground.call(FOREGROUND, "person", number=4)
        ground.call(BACKGROUND, "crowd", number=3)

    async with dispatching(script) as scene:
        scene.admission.newest_first = True
        await scene.until_idle()
        handshakes = [what for what in scene.order if what.startswith("handshake")]
        assert handshakes == [
            *[f"handshake person {n}" for n in (3, 2, 1, 0)],
            *[f"handshake crowd {n}" for n in (0, 1, 2)],
        ]


async def test_a_deferral_costs_no_handshake_and_no_session(mock_clock: MockClock) -> None:
    deferral = Deferral(1_000, DeferReason.BUSY, b"slot")
    async with dispatching() as scene:
        scene.admission.answer = lambda arrival: deferral
        callers = scene.ground.call(BACKGROUND, "crowd", number=3)
        await scene.until_idle()
        assert scene.order == [f"hello crowd {n}" for n in range(3)]
        assert all(caller.heard and caller.is_closed for caller in callers)
        assert scene.server.count("deferred.BG") == 3
        assert not scene.server.core.sessions


# How long a person waits


async def until_served(scene: Scene, at_s: float) -> float:
    """How long somebody waits who opens the app at that time."""
    (person,) = scene.ground.call(FOREGROUND, "person", at_s=at_s)
    await scene.until_begun(person)
    return person.waited_for_s


@given(
    at_s=st.floats(0, 0.02),
    talking=st.integers(0, 300),
    hanging_up=st.integers(0, 300),
    deferred=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=30)
def test_a_person_never_waits_for_the_crowd(
    at_s: float, talking: int, hanging_up: int, deferred: int
) -> None:
    """Ten thousand wait, and all that goes before one person is one slice of everything. Of the
    crowd nobody, every second or everybody is deferred."""

    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=CROWD)
        ground.say("live", number=talking)
        ground.hang_up("gone", number=hanging_up)

    async def play() -> None:
        async with dispatching(script) as scene:
            numbers = iter(range(CROWD + 1))
            scene.admission.answer = lambda arrival: (
                Deferral(1_000, DeferReason.BUSY, b"slot")
                if arrival.lane is BACKGROUND and next(numbers) % 2 < deferred
                else None
            )
            # Live sessions are served before everybody, so at first there is a wait for them.
            first_s = talking * SEGMENT_S
            assert await until_served(scene, at_s) <= PERSON_WAITS_MAX_S + first_s
            assert await until_served(scene, scene.processor.now_s + at_s) <= PERSON_WAITS_MAX_S

    trio.run(play, clock=MockClock())


async def test_a_person_who_comes_during_a_slice_ends_it(mock_clock: MockClock) -> None:
    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=100)
        ground.call(FOREGROUND, "person", at_s=BACKGROUND_HELLOS * HELLO_S + HANDSHAKE_S / 2)

    async with dispatching(script) as scene:
        await scene.until_idle()
        order = scene.order
        assert order[BACKGROUND_HELLOS : BACKGROUND_HELLOS + 3] == [
            "handshake crowd 0",
            "hello person",
            "handshake person",
        ]


async def test_a_person_who_comes_while_background_is_heard_ends_that(
    mock_clock: MockClock,
) -> None:
    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=100)
        ground.call(FOREGROUND, "person", at_s=5.5 * HELLO_S)

    async with dispatching(script) as scene:
        await scene.until_idle()
        heard = 2 * HELLOS_BETWEEN_LOOKS
        assert scene.order[: heard + 3] == [
            *[f"hello crowd {n}" for n in range(heard)],
            "handshake crowd 0",
            "hello person",
            "handshake person",
        ]


async def test_background_goes_on_for_a_slice_while_nobody_comes(mock_clock: MockClock) -> None:
    """Its answers leave together."""

    def script(ground: ScriptedGround) -> None:
        ground.call(BACKGROUND, "crowd", number=100)

    async with dispatching(script) as scene:
        await scene.until_idle()
        slice_handshakes = round(BACKGROUND_SLICE_S / HANDSHAKE_S)
        assert scene.order[BACKGROUND_HELLOS : 2 * BACKGROUND_HELLOS] == [
            *[f"handshake crowd {n}" for n in range(slice_handshakes)],
            *[f"hello crowd {n}" for n in range(16, 16 + 12)],
        ]


async def test_a_batch_of_people_is_heard_before_any_is_served(mock_clock: MockClock) -> None:
    def script(ground: ScriptedGround) -> None:
        ground.call(FOREGROUND, "person", number=ACCEPT_BATCH + 1)

    async with dispatching(script) as scene:
        await scene.until_idle()
        order = scene.order
        assert order.index("handshake person 0") == ACCEPT_BATCH
        assert order.index(f"hello person {ACCEPT_BATCH}") > ACCEPT_BATCH


async def test_live_sessions_and_people_share_a_turn(mock_clock: MockClock) -> None:
    """Messages come first, and still do not keep people waiting: a slice of them at a time."""

    def script(ground: ScriptedGround) -> None:
        ground.say("live", number=10_000)

    async with dispatching(script) as scene:
        waited_s = await until_served(scene, 0.0)
        assert waited_s <= LIVE_SLICE_S + SEGMENT_S + HELLO_S
        assert await until_served(scene, 0.1) <= LIVE_SLICE_S + SEGMENT_S + HELLO_S


# What the background gets


SLOW_PER_S = 10.0
SLOW_COSTS_S = {work: share / SLOW_PER_S for work, share in SHARES_OF_A_RESUME.items()}


@pytest.mark.parametrize(
    ("costs_s", "turn"),
    [(COSTS_S, Turn()), (SLOW_COSTS_S, Turn.of_modelled(SLOW_PER_S))],
    ids=["real", "modelled"],
)
async def test_background_has_its_share_while_people_fill_every_turn(
    mock_clock: MockClock, costs_s: Mapping[Work, float], turn: Turn
) -> None:
    """Slots that were promised are kept; and people do not pay more for it than was said. Also
    where one handshake takes longer than a whole turn elsewhere."""
    people = 1_000
    async with dispatching(costs_s=costs_s, turn=turn) as scene:
        scene.ground.call(BACKGROUND, "crowd", number=people)
        *_, last_one = scene.ground.call(FOREGROUND, "person", number=people)
        await scene.until_begun(last_one)
        order = scene.order
        last = order.index(f"handshake {last_one.name}")
        handshake_s, hello_s = costs_s[Work.ENROL], costs_s[Work.HELLO]
        hellos = sum(what.startswith("hello crowd") for what in order[:last])
        handshakes = sum(what.startswith("handshake crowd") for what in order[:last])
        owed_s = BACKGROUND_SHARE * people * (hello_s + handshake_s)
        assert abs(handshakes * handshake_s - owed_s) <= handshake_s
        assert HELLOS_BETWEEN_LOOKS <= hellos <= owed_s / hello_s + HELLOS_BETWEEN_LOOKS


async def test_background_does_not_pay_for_what_nobody_else_wanted(mock_clock: MockClock) -> None:
    """It has had a second for itself; its share while people come is the same as ever."""
    async with dispatching() as scene:
        scene.ground.call(BACKGROUND, "crowd", number=1_000)
        people = scene.ground.call(FOREGROUND, "person", number=200, at_s=0.3)
        await scene.until_begun(people[-1])
        order = scene.order
        first, last = (order.index(f"handshake {people[n].name}") for n in (0, -1))
        handshakes = sum(what.startswith("handshake crowd") for what in order[first:last])
        assert handshakes >= BACKGROUND_SHARE * 200 * HANDSHAKE_S // (
            HELLOS_BETWEEN_LOOKS * HELLO_S + HANDSHAKE_S
        )


async def test_background_gets_all_that_people_leave_over(mock_clock: MockClock) -> None:
    """Work-conserving: the dispatcher never waits while anybody does."""

    def script(ground: ScriptedGround) -> None:
        ground.call(FOREGROUND, "person", number=50, every_s=0.002)
        ground.call(BACKGROUND, "crowd", number=200)

    async with dispatching(script) as scene:
        await scene.until_idle()
        assert scene.ground.waits == 2
        assert scene.processor.now_s == pytest.approx(250 * (HELLO_S + HANDSHAKE_S))


# Whatever comes, in whatever order


@dataclass(frozen=True)
class Call:
    """One caller of a random script."""

    lane: Intent
    intent: Intent
    at_s: float
    stays_s: float


AT_S = st.integers(0, 100).map(lambda number: number * 0.1e-3)
CALLS = st.lists(
    st.builds(
        Call,
        lane=st.sampled_from(LANES),
        intent=st.sampled_from(LANES),
        at_s=AT_S,
        stays_s=st.sampled_from([inf, inf, 0.0, 0.001, 0.005]),
    ),
    max_size=40,
)


@given(calls=CALLS, live=st.lists(AT_S, max_size=40), gone=st.lists(AT_S, max_size=40))
@settings(max_examples=60)
def test_any_arrivals(calls: list[Call], live: list[float], gone: list[float]) -> None:
    """Each is served exactly once or, gone, dropped; those of one kind in their order; and what a
    person waits for is other people, and a bounded part of the rest."""

    async def play() -> None:
        async with dispatching() as scene:
            callers = []
            for number, call in enumerate(calls):
                at_s = call.at_s
                (caller,) = scene.ground.call(call.lane, f"{number}", intent=call.intent, at_s=at_s)
                caller.gone_at_s = at_s + call.stays_s
                callers.append(caller)
            for at_s in live:
                scene.ground.say("live", at_s=at_s)
            for at_s in gone:
                scene.ground.hang_up("gone", at_s=at_s)
            await scene.until_idle()
            assert_all_were_served(scene, calls, callers)
            log = scene.ground.log
            assert [one.what for one in log].count("live") == len(live)
            assert [one.what for one in log].count("hang-up") == len(gone)
            for call, caller in zip(calls, callers, strict=True):
                if call.intent is FOREGROUND and call.lane is FOREGROUND:
                    assert_waits_for_people_only(log, caller, is_background(calls))

    trio.run(play, clock=MockClock())


def is_background(calls: list[Call]) -> Callable[[str], bool]:
    return lambda name: calls[int(name)].intent is BACKGROUND


def assert_all_were_served(scene: Scene, calls: list[Call], callers: list[ScriptedCaller]) -> None:
    log = scene.ground.log
    for intent in LANES:
        names = {f"{n}" for n, call in enumerate(calls) if call.intent is intent}
        heard = [one.name for one in log if one.what == "hello" and one.name in names]
        looked_at = [one.name for one in log if one.what == "look" and one.name in names]
        begun = [one.name for one in log if one.what == "handshake" and one.name in names]
        assert sorted(heard) == sorted(names)
        assert looked_at == heard
        there = [
            one.name
            for one in log
            if one.what == "look"
            and one.name in names
            and one.at_s < callers[int(one.name)].gone_at_s
        ]
        assert begun == there
        assert scene.server.count(f"gone.{intent.tag}") == len(heard) - len(begun)
    assert all(caller.is_closed for caller in callers)
    assert scene.admission.admitted == len(calls)
    assert len(scene.admission.waits) + len(scene.admission.gone) == len(calls)


def assert_waits_for_people_only(
    log: list[Happened], caller: ScriptedCaller, is_background: Callable[[str], bool]
) -> None:
    """Of background: what had begun when the person came, and a share of what people took."""
    ended_s = next(one.at_s for one in log if one.name == caller.name and one.what == "look")
    meanwhile = [one for one in log if caller.at_s <= one.at_s < ended_s]
    handshakes = Counter(is_background(one.name) for one in meanwhile if one.what == "handshake")
    share = BACKGROUND_SHARE * handshakes[False]
    assert handshakes[True] <= 1 + share + 1
    hellos = sum(one.what == "hello" and is_background(one.name) for one in meanwhile)
    assert hellos <= HELLOS_BETWEEN_LOOKS * (2 + share)


# The negative control


@pytest.mark.parametrize(("order", "waits"), [(Order.INTENT, False), (Order.ARRIVAL, True)])
async def test_in_the_order_of_arrival_a_person_waits_for_the_crowd(
    mock_clock: MockClock, order: Order, waits: bool
) -> None:
    crowd = 300

    def script(ground: ScriptedGround) -> None:
        ground.call(None, "crowd", number=crowd)

    async with dispatching(script, lanes=SINGLE_PORT, order=order, peer_check=False) as scene:
        (person,) = scene.ground.call(None, "person", intent=FOREGROUND)
        await scene.until_idle()
        all_of_it_s = crowd * (HELLO_S + HANDSHAKE_S)
        assert (person.waited_for_s >= all_of_it_s) == waits
        # On one port even so there is the kernel's queue: the hellos before it must be heard.
        assert person.waited_for_s >= crowd * HELLO_S
        assert waits or person.waited_for_s < all_of_it_s / 4


async def test_in_the_order_of_arrival_each_is_served_as_it_comes(mock_clock: MockClock) -> None:
    def script(ground: ScriptedGround) -> None:
        ground.call(None, "crowd", number=2)
        ground.call(None, "person", intent=FOREGROUND)
        ground.say("live")
        ground.hang_up("gone")

    async with dispatching(script, lanes=SINGLE_PORT, order=Order.ARRIVAL) as scene:
        await scene.until_idle()
        assert scene.order == [
            "live live",
            *["hello crowd 0", "handshake crowd 0", "hello crowd 1", "handshake crowd 1"],
            *["hello person", "handshake person"],
            "hang-up gone",
        ]
