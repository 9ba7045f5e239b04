"""A whole world: real server, real phones, and what can be done to them."""

import dataclasses

import pytest
import trio
import trio.testing
from tests.e2e.phones import Diary, Soon
from tests.virtual.lab import virtually

from hwangso_client.config import AppState, LinkState
from hwangso_client.events import Outcome, SessionEnd
from hwangso_client.profile import MemoryProfile
from hwangso_protocol.hello import Intent, Kind
from hwangso_tools.virtual.clock import run_virtual
from hwangso_tools.virtual.link import LinkProfile
from hwangso_tools.virtual.trace import Trace
from hwangso_tools.virtual.world import virtual_world


@virtually
async def test_phones_write_to_each_other() -> None:
    async with virtual_world(seed=1) as world:
        alice, bob = await world.phone("alice"), await world.phone("bob")
        await alice.open_app()
        await bob.open_app()
        for number in range(20):
            await alice.send("bob", f"{number}")
            assert (await bob.next_message()).body == f"{number}"


@virtually
async def test_a_new_phone_is_off_until_somebody_does_something() -> None:
    async with virtual_world(seed=1) as world:
        alice = await world.phone("alice")
        await trio.sleep(3600)
        assert alice.app_state is AppState.CLOSED
        assert alice.link_state is LinkState.OFF
        assert world.trace.events == 0


@virtually
async def test_a_phone_fresh_from_the_shop_enrols() -> None:
    async with virtual_world(seed=1) as world:
        diary, profile = Diary(), MemoryProfile()
        alice = await world.phone("alice", enrolled=False, profile=profile, observer=diary)
        await alice.open_app()
        await world.switch_off(alice)
        again = await world.phone("alice", enrolled=False, profile=profile, observer=diary)
        await again.open_app()
        assert [kind for kind, _ in diary.logins] == [Kind.ENROL, Kind.RESUME]


@virtually
async def test_connecting_calmly() -> None:
    """A quarter of the capacity: 25 a second."""
    async with virtual_world(seed=1, capacity_per_s=100) as world:
        phones = [await world.phone(f"user{number}") for number in range(100)]
        await world.connect(phones)
        assert trio.current_time() == pytest.approx(4.0, abs=0.2)
        assert {phone.link_state for phone in phones} == {LinkState.READY}
        assert {phone.app_state for phone in phones} == {AppState.BACKGROUND}
        assert len(world.server.core.presence) == 99  # the last one's proof is on its way
        assert world.server.core.admission.stage == 0


@virtually
async def test_connecting_at_a_rate() -> None:
    async with virtual_world(seed=1) as world:
        phones = [await world.phone(f"user{number}") for number in range(10)]
        await world.connect(phones, per_s=2)
        assert trio.current_time() == pytest.approx(4.5, abs=0.2)


@virtually
async def test_a_carrier_that_fails() -> None:
    """The phones know at once, the server by its own timeout; they come back after the outage."""
    async with virtual_world(seed=1, keepalive_s=60) as world:
        diary = Diary()
        phones = [await world.phone(f"user{number}", observer=diary) for number in range(10)]
        await world.connect(phones)
        await trio.sleep(1)
        world.cut(phones[:5])
        await trio.sleep(100)
        assert [phone.link_state for phone in phones].count(LinkState.READY) == 5
        assert len(world.server.core.presence) == 10
        await trio.sleep(100)
        assert len(world.server.core.presence) == 5
        assert world.server.count("ended.idle") == 5
        began_s = trio.current_time()
        world.restore(phones)
        for phone in phones:
            await phone.wait_ready()
        assert trio.current_time() - began_s < 2
        assert len(diary.ended) == 5
        assert [ended.end for ended in diary.ended] == [SessionEnd.LOST] * 5


@virtually
async def test_a_link_that_fails_in_silence() -> None:
    """Nobody is told: the phone finds out by a ping without an answer."""
    async with virtual_world(seed=1, keepalive_s=60) as world:
        diary = Diary()
        alice = await world.phone("alice", observer=diary)
        await alice.open_app()
        world.link(alice).cut()
        await trio.sleep(1)
        assert alice.link_state is LinkState.READY
        await diary.until(lambda: diary.ended)
        assert diary.ended[0].end is SessionEnd.DEAD_PEER
        await diary.until(lambda: diary.attempts[-1].outcome is Outcome.CONNECT_TIMEOUT)
        world.link(alice).restore()
        await alice.wait_ready()


@virtually
async def test_an_outage_that_nobody_notices() -> None:
    """Shorter than a ping's patience, and TCP brings what was written meanwhile."""
    async with virtual_world(seed=1) as world:
        diary = Diary()
        alice, bob = await world.phone("alice", observer=diary), await world.phone("bob")
        await alice.open_app()
        await bob.open_app()
        world.link(alice).cut()
        await bob.send("alice", "through the tunnel")
        await trio.sleep(2)
        world.link(alice).restore()
        assert (await alice.next_message()).body == "through the tunnel"
        assert not diary.ended


@virtually
async def test_switching_off_is_polite() -> None:
    async with virtual_world(seed=1) as world:
        alice = await world.phone("alice")
        await alice.open_app()
        await world.switch_off(alice)
        await trio.sleep(1)
        assert len(world.server.core.presence) == 0
        with pytest.raises(trio.ClosedResourceError):
            await alice.open_app()


@virtually
async def test_a_phone_with_settings_of_its_own() -> None:
    async with virtual_world(seed=1, capacity_per_s=0.1) as world:
        diary = Diary()
        config = dataclasses.replace(world.device_config("alice"), answer_timeout_s=1.0)
        alice = await world.phone(
            "alice",
            config=config,
            link=LinkProfile(0.25, jitter_s=0),
            observer=diary,
            backoff=Soon(),
        )
        world.processor.slow_down(10)
        alice.wake()
        await diary.until(lambda: diary.attempts)
        assert diary.attempts[0].outcome is Outcome.ANSWER_TIMEOUT
        assert trio.current_time() == pytest.approx(0.5 + 1.0)
        await diary.until(lambda: len(diary.attempts) == 2)
        assert trio.current_time() == pytest.approx(2 * (0.5 + 1.0), abs=0.01)


@virtually
async def test_opening_the_app_is_one_round_trip_after_the_connect() -> None:
    async with virtual_world(seed=1, link=LinkProfile(0.1, jitter_s=0)) as world:
        alice = await world.phone("alice")
        await alice.open_app()
        assert trio.current_time() == pytest.approx(0.4, abs=0.005)
        assert world.server.count("hello.FG") == 1
        assert world.server.count(f"accepted.{Intent.FOREGROUND.tag}") == 1


@virtually
async def test_lines_of_the_trace() -> None:
    trace = Trace(lines_kept=100)
    async with virtual_world(seed=1, trace=trace) as world:
        alice = await world.phone("alice")
        await alice.open_app()
        await trio.sleep(1)
        assert world.trace is trace
        words = [line.split()[3] for line in trace.lines()]
        assert words == ["SYN", "SYN_ACK", "DATA", "DATA", "DATA"]


@virtually
async def test_a_world_can_be_left_at_any_time() -> None:
    """In the middle of everything."""
    for seconds in (0.0, 0.01, 0.05, 0.2, 3.0):
        async with virtual_world(seed=1, capacity_per_s=20) as world:
            phones = [await world.phone(f"user{number}") for number in range(30)]
            for phone in phones:
                phone.wake()
            await trio.sleep(seconds)


def test_errors_come_out_as_they_are() -> None:
    """A test's `assert` in the middle of a world fails as an AssertionError, in no group."""

    async def main() -> None:
        async with virtual_world(seed=1) as world:
            alice = await world.phone("alice")
            await alice.open_app()
            raise LookupError("so it is")

    with pytest.raises(LookupError, match="so it is"):
        run_virtual(main, seed=1)


async def test_it_needs_a_clock_that_jumps() -> None:
    with pytest.raises(RuntimeError, match="see run_virtual"):
        async with virtual_world(seed=1):
            pass


async def test_it_runs_on_the_clock_of_pytest_trio_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """But then Trio's order of tasks does not follow from the seed."""
    async with virtual_world(seed=1) as world:
        alice = await world.phone("alice")
        await alice.open_app()
        await trio.sleep(3600)
        assert alice.link_state is LinkState.READY
