"""Scenarios played with phones that do as they are told."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from tests.tools.storm.fakeworld import ANSWER_S, FakePlace, FakeWorld
from tests.tools.storm.reports import BG, FG
from trio.testing import MockClock

from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.place import Terms, WorkDone
from hwangso_tools.storm.play import RELIEF_RESTART_S, Play
from hwangso_tools.storm.recording import Recording
from hwangso_tools.storm.scenario import (
    About,
    Action,
    Alert,
    Background,
    Event,
    Foreground,
    Operator,
    Outage,
    Population,
    Restart,
    Scenario,
    Slowdown,
)

NOBODY = Foreground(opens_per_hour=0)
SETTLE_S = 10 / (0.8 * 0.15)
"""For 10 devices with 0.15 resumes a second, at 0.8 of that; the same for more."""
ZERO_S = SETTLE_S + 600
A_MS = 0.002
"""The agenda is kept in milliseconds."""


def scenario(
    *events: Event,
    devices: int = 10,
    seconds: float = 600.0,
    foreground: Foreground = NOBODY,
    background: Background | None = None,
    liars: float = 0.0,
) -> Scenario:
    return Scenario(
        About("x", "x", "x", seconds, calm_seconds=600.0),
        population=Population(devices, background or Background(), foreground, liars),
        event=events,
    )


async def played(
    told: Scenario,
    *,
    control: bool = True,
    meanwhile: Callable[[FakeWorld], Awaitable[None]] | None = None,
) -> tuple[Recording, FakeWorld]:
    play, place = Play(Terms(told, control, seed=1)), FakePlace()
    async with place.open(play.terms, play.take) as world:
        if meanwhile is not None:
            world.nursery.start_soon(meanwhile, world)
        recording = await play.run(world)
    return recording, world


async def test_a_calm_day(autojump_clock: MockClock) -> None:
    recording, world = await played(scenario(devices=100, seconds=3_600.0))
    begun = [at for at, done in world.diary if done.startswith("wake")]
    assert sum(at < SETTLE_S for at in begun) == 69  # the others are asleep
    # A connection lasts 900 s, a sleep 360 s: 79 wakes each 1,000 s.
    connects = recording.series.connects
    assert sum(connects[BG][600:]) == 302
    assert sum(connects[FG]) == 0
    assert world.count("kill") == pytest.approx(world.count("wake"), abs=100)
    assert 60 < recording.series.sessions[600] < 85
    assert recording.max_background_wait_s == pytest.approx(0.1)


async def test_phones_that_are_not_idle_do_not_sleep(autojump_clock: MockClock) -> None:
    always = Foreground(opens_per_hour=120, stay_s=60, messages_per_open=0)
    recording, world = await played(scenario(foreground=always, seconds=3_600.0))
    assert world.count("open") > 300
    assert world.count("kill") == 0
    assert all(opened.ready for opened in recording.opens)


async def test_what_a_phone_and_its_person_do_by_turns(autojump_clock: MockClock) -> None:
    """A phone sleeps when nobody has used it for so long, and wakes by itself only then."""
    idle_s = 60.0
    rest = Background(idle_s=idle_s, idle_spread=0, sleep_s=60)
    people = Foreground(opens_per_hour=10, stay_s=90)
    _, world = await played(scenario(foreground=people, background=rest, seconds=3_600.0))
    slept = 0
    for number in range(10):
        is_asleep, is_open, has_slept, used_at = True, False, False, 0.0
        for at, done in world.diary:
            what, _, whose = done.rpartition(" ")
            if whose != str(number) or what.startswith("post"):
                continue
            if what == "open":
                is_asleep, is_open = False, True
            elif what == "leave":
                is_open, used_at = False, at
            elif what == "wake":
                assert is_asleep, (number, at)
                is_asleep, used_at = False, at + ANSWER_S
            else:
                assert what == "kill"
                assert not is_asleep, (number, at)
                assert not is_open, (number, at)
                if has_slept:  # the first connection has been idle for some time already
                    assert at - used_at == pytest.approx(idle_s, abs=A_MS)
                is_asleep, has_slept, slept = True, True, slept + 1
    assert slept > 50


async def test_what_people_do(autojump_clock: MockClock) -> None:
    people = Foreground(opens_per_hour=6, stay_s=30, messages_per_open=1)
    recording, world = await played(scenario(foreground=people))
    opened, left = world.count("open"), world.count("leave")
    assert (opened, left) == (19, 18)  # one is looking still
    assert recording.messages == world.count("post to u") == 23
    assert not any(done.startswith("post to u3 3") for _, done in world.diary)
    assert len(recording.opens) + len(recording.calm_opens_s) == opened
    assert {round(opened.waited_s, 6) for opened in recording.opens} <= {0.0, 0.1}


async def test_liars_claim_that_somebody_waits(autojump_clock: MockClock) -> None:
    """Whenever they connect; nobody ever opens their app, so nobody is written down as served."""
    recording, world = await played(scenario(devices=20, seconds=3_600.0, liars=1.0))
    assert world.count("open") > 20
    assert world.count("wake") == world.count("leave") == world.count("post") == 0
    connects = recording.series.connects
    assert sum(connects[FG]) > 0
    assert sum(connects[BG]) == 0
    assert (recording.opens, list(recording.calm_opens_s)) == ([], [])
    # Like honest ones they sleep when their connection has been idle for long.
    assert world.count("open") - 20 <= world.count("kill") <= world.count("open")


async def test_honest_phones_among_liars(autojump_clock: MockClock) -> None:
    people = Foreground(opens_per_hour=12, stay_s=30)
    told = scenario(devices=40, foreground=people, seconds=3_600.0, liars=0.25)
    lying = Play(Terms(told, control=True, seed=1)).liars
    recording, world = await played(told)
    assert len(lying) == 10

    def who(what: str) -> set[int]:
        return {int(done.split()[-1]) for _, done in world.diary if done.startswith(what + " ")}

    honest = set(range(40)) - lying
    assert who("leave") == honest
    assert who("wake") <= honest
    assert who("open") == honest | lying
    of_people = sum(len(world.times(f"open {number}")) for number in honest)
    assert len(recording.opens) + len(recording.calm_opens_s) == of_people


@pytest.mark.parametrize(("liars", "again"), [(1.0, 10), (0.0, 0)])
async def test_a_liar_that_loses_its_session_lies_again_at_once(
    autojump_clock: MockClock, liars: float, again: int
) -> None:
    """An honest phone comes back by itself, in the background."""
    awake = Background(idle_s=86_400, sleep_s=0.001)

    async def lose_all(world: FakeWorld) -> None:
        await trio.sleep(ZERO_S + 100)
        for phone in world.devices:
            phone.disconnect()

    told = scenario(background=awake, liars=liars)
    _, world = await played(told, meanwhile=lose_all)
    told_to = [(at, done[:4]) for at, done in world.diary if at >= ZERO_S + 100]
    assert [what for _, what in told_to] == ["open"] * again
    assert all(at == pytest.approx(ZERO_S + 100, abs=A_MS) for at, _ in told_to)


async def test_an_alert_wakes_nobody_whose_app_is_open(autojump_clock: MockClock) -> None:
    people = Foreground(opens_per_hour=60, stay_s=600, messages_per_open=0)
    rest = Background(idle_s=1, idle_spread=0, sleep_s=86_400)
    told = scenario(Alert(at_s=100, spread_s=0), foreground=people, background=rest)
    _, world = await played(told)
    last = {
        done.split()[1]: done.split()[0] for at, done in world.diary if at < ZERO_S + 100 - A_MS
    }
    woken = {done.split()[1] for at, done in world.diary if done[:4] == "wake" and at > ZERO_S}
    looked_at = {number for number, what in last.items() if what == "open"}
    assert len(looked_at) > 5
    assert not woken & looked_at


async def test_an_alert_wakes_those_that_sleep(autojump_clock: MockClock) -> None:
    calm = Background(idle_s=86_400, idle_spread=0, sleep_s=86_400)
    recording, world = await played(scenario(Alert(at_s=100, spread_s=2), background=calm))
    early = {done for at, done in world.diary if done.startswith("wake") and at < ZERO_S}
    late = {done for at, done in world.diary if ZERO_S + 100 <= at <= ZERO_S + 102}
    assert early | late == {f"wake {number}" for number in range(10)}
    assert len(early) + len(late) == 10
    assert late
    assert recording.series.sessions[-1] == 10


async def test_an_outage_and_its_end(autojump_clock: MockClock) -> None:
    outage = Outage(at_s=50, share=0.5, duration_s=100, silently=True)
    people = Foreground(opens_per_hour=60, stay_s=10)
    recording, world = await played(scenario(outage, foreground=people))
    cut = [done for at, done in world.diary if done.startswith("cut")]
    assert len(cut) == 5
    assert world.times(cut[0]) == [pytest.approx(ZERO_S + 50, abs=A_MS)]
    assert all(done.endswith("silently") for done in cut)
    back = [done for at, done in world.diary if done.startswith("restore")]
    assert sorted(done.split()[1] for done in back) == sorted(done.split()[1] for done in cut)
    assert world.times(back[0]) == [pytest.approx(ZERO_S + 150, abs=A_MS)]
    assert recording.opens_without_service > 0
    failed = {round(opened.at_s) for opened in recording.opens if not opened.ready}
    assert failed <= {150}  # a person who waits is one of the server's again with the service


async def test_two_outages_end_with_the_last(autojump_clock: MockClock) -> None:
    both = (
        Outage(at_s=50, share=1.0, duration_s=100),
        Outage(at_s=100, share=1.0, duration_s=100),
    )
    _, world = await played(scenario(*both))
    assert world.times("restore 0") == [pytest.approx(ZERO_S + 200, abs=A_MS)]


async def test_slowdowns_multiply(autojump_clock: MockClock) -> None:
    slow = (
        Slowdown(at_s=10, factor=2, duration_s=100),
        Slowdown(at_s=50, factor=3, duration_s=10),
    )
    _, world = await played(scenario(*slow))
    done = [(round(at - ZERO_S), what) for at, what in world.diary if what.startswith("slow")]
    assert done == [
        (10, "slow down 2"),
        (50, "slow down 6"),
        (60, "slow down 2"),
        (110, "slow down 1"),
    ]


async def test_a_restart(autojump_clock: MockClock) -> None:
    _, world = await played(scenario(Restart(at_s=10, down_s=7)))
    assert world.times("restart 7") == [pytest.approx(ZERO_S + 10, abs=A_MS)]


async def test_the_operator_steps_in_where_the_control_is_off(autojump_clock: MockClock) -> None:
    relief = Operator(at_s=100, action=Action.RELIEVE, duration_s=50)
    people = Foreground(opens_per_hour=60, stay_s=12)
    recording, world = await played(scenario(relief, foreground=people), control=False)
    assert world.times(f"restart {RELIEF_RESTART_S:g}") == [pytest.approx(ZERO_S + 100, abs=A_MS)]
    assert len([at for at, done in world.diary if done.startswith("cut")]) == 10
    let_in = sorted(at - ZERO_S for at, done in world.diary if done.startswith("restore"))
    assert let_in == pytest.approx([105, 110, 115, 120, 125, 130, 135, 140, 145, 150], abs=A_MS)
    # Whoever is turned away has failed: it is no outage of the carrier's.
    assert recording.opens_without_service == 0
    assert any(not opened.ready for opened in recording.opens)

    _, world = await played(scenario(relief), control=True)
    assert world.count("cut") == world.count("restart") == 0


async def test_the_stage_and_the_work_of_the_server(autojump_clock: MockClock) -> None:
    async def server(world: FakeWorld) -> None:
        world.work = WorkDone(0.0, 0.0, 0.5)
        await trio.sleep(ZERO_S + 100)
        world.stage = Stage.EMERGENCY
        world.work = WorkDone(30.0, 10.0, 0.5)
        await trio.sleep(200)
        world.stage = Stage.NORMAL

    people = Foreground(opens_per_hour=600, stay_s=5)
    recording, _ = await played(scenario(foreground=people), meanwhile=server)
    assert [(round(change.at_s), change.stage) for change in recording.stages] == [
        (101, Stage.EMERGENCY),
        (300, Stage.NORMAL),
    ]
    assert sum(recording.series.busy_s) == 30.0
    assert sum(recording.series.useful_s) >= 10.0


async def test_the_same_people_whatever_the_server_does(autojump_clock: MockClock) -> None:
    async def die(world: FakeWorld) -> None:
        await trio.sleep(ZERO_S)
        world.is_dead = True

    people = Foreground(opens_per_hour=20, stay_s=20)
    told = scenario(Outage(at_s=1, share=1.0, duration_s=5), foreground=people)
    _, alive = await played(told)
    recording, dead = await played(told, control=False, meanwhile=die)
    for what in ("open", "leave", "post"):
        in_one = [(at, done) for at, done in alive.diary if done.startswith(what)]
        in_other = [(at, done) for at, done in dead.diary if done.startswith(what)]
        assert [at for at, _ in in_one] == pytest.approx([at for at, _ in in_other], abs=A_MS)
    assert not any(opened.ready for opened in recording.opens if opened.at_s > 10)


async def test_how_far_it_is(autojump_clock: MockClock) -> None:
    play, place = Play(Terms(scenario(), control=True, seed=1)), FakePlace()
    assert play.moment().at_s == float("-inf")
    async with place.open(play.terms, play.take) as world, trio.open_nursery() as nursery:
        nursery.start_soon(play.run, world)
        await trio.sleep(ZERO_S + 60)
        moment = play.moment()
        nursery.cancel_scope.cancel()
    assert moment.at_s == pytest.approx(60)
    assert (moment.calm_s, moment.end_s, moment.devices) == (600, 600, 10)
    assert 0 < moment.sessions <= 10


async def test_what_is_reported_before_the_run_is_a_mistake(autojump_clock: MockClock) -> None:
    with pytest.raises(RuntimeError, match="has not begun"):
        _ = Play(Terms(scenario(), control=True, seed=1)).recorder
