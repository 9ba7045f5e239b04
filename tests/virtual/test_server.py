"""The server in virtual time: its life, its death, and what outlives it."""

import errno

import pytest
import trio
from tests.e2e.phones import Diary
from tests.virtual.lab import virtually

from hwangso_client.config import LinkState
from hwangso_client.events import Outcome
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import CapacityAdmission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.config import Control
from hwangso_server.processor import Work
from hwangso_tools.virtual.link import LinkProfile
from hwangso_tools.virtual.server import EPOCH_MS
from hwangso_tools.virtual.world import virtual_world


@virtually
async def test_a_restart() -> None:
    """Sessions go, messages and tickets stay; phones come back by themselves."""
    async with virtual_world(seed=1) as world:
        diary = Diary()
        alice = await world.phone("alice", observer=diary)
        bob = await world.phone("bob")
        await alice.open_app()
        await bob.open_app()
        await bob.send("alice", "before")
        assert (await alice.next_message()).body == "before"
        first = world.server.core
        began_s = trio.current_time()
        await world.server.restart(down_s=20)
        assert trio.current_time() == pytest.approx(began_s + 20)
        assert world.server.core is not first
        assert world.server.count("session.resume.BG") == 0
        await alice.wait_ready()
        assert trio.current_time() > began_s + 20
        await bob.send("alice", "after")
        assert (await alice.next_message()).body == "after"
        assert {kind for kind, _ in diary.logins} == {Kind.RESUME}
        refused = [ended for ended in diary.attempts if ended.outcome is Outcome.CONNECT_FAILED]
        assert refused
        assert all(began_s < ended.ended_at < began_s + 21 for ended in refused)


@virtually
async def test_nobody_listens_while_it_is_down() -> None:
    async with virtual_world(seed=1) as world, trio.open_nursery() as nursery:
        nursery.start_soon(world.server.restart, 60)
        await trio.sleep(30)
        with pytest.raises(OSError, match="refused") as failed:
            await world.network.connect(world.network.link(LinkProfile()), Intent.FOREGROUND)
        assert failed.value.errno == errno.ECONNREFUSED


@virtually
async def test_a_message_that_was_acknowledged_outlives_it() -> None:
    async with virtual_world(seed=1) as world:
        bob = await world.phone("bob")
        alice = await world.phone("alice")
        await bob.open_app()
        await bob.send("alice", "안녕")
        await world.server.restart()
        await alice.open_app()
        assert (await alice.next_message()).body == "안녕"


@virtually
async def test_it_can_be_restarted_again_and_again() -> None:
    async with virtual_world(seed=1) as world:
        alice = await world.phone("alice")
        for _ in range(5):
            await world.server.restart(down_s=1)
            await alice.open_app()
            await alice.leave_app()
        await trio.sleep(1)
        assert world.server.count("session.resume.FG") == 1


@virtually
async def test_its_work_takes_time() -> None:
    """One resume a second, so the third phone of three that come at once waits for 3 s, and for
    three hellos of 0.1 s and the first one's proof of 0.2 s."""
    async with virtual_world(
        seed=1, capacity_per_s=1, control=Control.OFF, link=LinkProfile(0, 0)
    ) as world:
        phones = [await world.phone(f"user{number}") for number in range(3)]
        for phone in phones:
            phone.wake()
        ready_at = []
        for phone in phones:
            await phone.wait_ready()
            ready_at.append(round(trio.current_time(), 1))
        assert max(ready_at) == pytest.approx(3.5)
        busy_s = world.processor.busy_s
        assert busy_s[Work.HELLO] == pytest.approx(0.3)
        assert busy_s[Work.RESUME] == pytest.approx(3.0)


@virtually
async def test_a_slowdown() -> None:
    async with virtual_world(seed=1, capacity_per_s=10, link=LinkProfile(0, 0)) as world:
        alice = await world.phone("alice")
        world.processor.slow_down(5)
        await alice.open_app()
        assert trio.current_time() == pytest.approx(5 * 0.11, abs=0.002)


@virtually
async def test_control_and_lanes_are_as_configured() -> None:
    async with virtual_world(seed=1) as world:
        assert isinstance(world.server.core.admission, AdmissionController)
        assert world.server.core.clock.wall_ms() == EPOCH_MS
    async with virtual_world(seed=1, control=Control.OFF) as world:
        assert isinstance(world.server.core.admission, CapacityAdmission)
    for changes in ({"port": 1}, {"without": (Mechanism.LANES,)}):
        async with virtual_world(seed=1, **changes) as world:
            alice = await world.phone("alice")
            await alice.open_app()
            assert world.server.count("accepted.single") == 1
            assert world.server.count("accepted.FG") == 0
            assert alice.link_state is LinkState.READY
