"""What is made of a configuration: core, admission, lanes, and the order of work. That the server
on real sockets is made of these is tested in `test_run_control`, that the virtual one is in
`tests/virtual/test_server`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest
import trio
from tests.server.fakes import FakeTransport, FixedKeys
from tests.server.harness import EPOCH_MS
from tests.server.scripted import ScriptedGround, ScriptedProcessor
from trio.testing import MockClock

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission import Admit, Arrival, CapacityAdmission, Refusal
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.assembly import lanes_wanted, make_dispatcher, start_core
from hwangso_server.config import Config, Control
from hwangso_server.core import Core
from hwangso_server.dispatcher import Turn
from hwangso_server.environment import seeded_environment
from hwangso_server.limits import HELLO_TIMEOUT_S
from hwangso_server.passwords import RunSync, run_inline
from hwangso_server.processor import Work
from hwangso_server.store import MemoryStore, open_memory

T = TypeVar("T")

CONNECTIONS_MAX = 10
CHEAP = Config(argon2_memory_kib=8, argon2_iterations=1)
RESUME = Arrival(Intent.BACKGROUND, Intent.BACKGROUND, Kind.RESUME, 1, 7, b"")


@asynccontextmanager
async def started(
    store: MemoryStore | None = None, run_sync: RunSync = run_inline, **changes: Any
) -> AsyncIterator[Core]:
    async with open_memory() as fresh, trio.open_nursery() as nursery:
        yield await start_core(
            nursery,
            msgspec.structs.replace(CHEAP, **changes),
            store=store or fresh,
            keys=FixedKeys(),
            environment=seeded_environment(1, EPOCH_MS),
            connections_max=CONNECTIONS_MAX,
            run_sync=run_sync,
        )
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("changes", "lanes"),
    [
        ({}, [Intent.FOREGROUND, Intent.BACKGROUND]),
        ({"control": Control.OFF}, [Intent.FOREGROUND, Intent.BACKGROUND]),
        ({"port": 0}, [None]),
        ({"without": (Mechanism.LANES,)}, [None]),
        ({"without": (Mechanism.PEER_CHECK,)}, [Intent.FOREGROUND, Intent.BACKGROUND]),
    ],
)
def test_lanes(changes: dict[str, Any], lanes: list[Intent | None]) -> None:
    assert lanes_wanted(msgspec.structs.replace(CHEAP, **changes)) == lanes


async def test_the_core_runs(autojump_clock: MockClock) -> None:
    """Its housekeeping ends who says nothing."""
    async with started() as core:
        transport = FakeTransport(lambda _: None)
        core.greet(transport, Intent.FOREGROUND)
        await trio.sleep(HELLO_TIMEOUT_S + 2)
        assert not transport.is_open


async def test_it_knows_what_was_revoked(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        alice = await store.create_user("alice", "phc", EPOCH_MS)
        await store.set_disabled("alice", EPOCH_MS)
        async with started(store) as core:
            assert core.tickets.is_disabled(alice.id)


async def test_passwords_cost_what_the_configuration_says(autojump_clock: MockClock) -> None:
    """And are hashed as the caller says: virtual time must not see threads."""
    hashings = 0

    async def run_counted(work: Callable[[], T], /) -> T:
        nonlocal hashings
        hashings += 1
        return await run_inline(work)

    hashes = set()
    for _ in range(2):
        async with started(run_sync=run_counted, argon2_memory_kib=16, argon2_iterations=2) as core:
            hashes.add(await core.passwords.hash("correct horse"))
    (phc,) = hashes  # the same chance gives the same salt
    assert phc.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    assert hashings == 2


async def test_admission_has_room_for_so_many(autojump_clock: MockClock) -> None:
    async with started(control=Control.OFF) as core:
        assert isinstance(core.admission, CapacityAdmission)
        decisions = [core.admission.decide(RESUME, 0.0) for _ in range(CONNECTIONS_MAX + 1)]
        assert decisions[:-1] == [Admit(Intent.BACKGROUND)] * CONNECTIONS_MAX
        assert isinstance(decisions[-1], Refusal)
        assert decisions[-1].reason is RefuseReason.FULL


async def order_of_work(connections_max: int = CONNECTIONS_MAX, **changes: Any) -> list[str]:
    """Whose handshakes were begun, of three on one port: a phone in the background, another that
    has hung up, and a person after them."""
    processor = ScriptedProcessor()
    ground = ScriptedGround(processor, [None])
    ground.call(None, "phone", intent=Intent.BACKGROUND)
    (gone,) = ground.call(None, "gone", intent=Intent.BACKGROUND)
    gone.gone_at_s = 0.0
    ground.call(None, "person", intent=Intent.FOREGROUND)
    async with started(**changes) as core, trio.open_nursery() as nursery:
        dispatcher = make_dispatcher(core, ground, processor, connections_max=connections_max)
        nursery.start_soon(dispatcher.run)
        await ground.is_idle.wait()
        nursery.cancel_scope.cancel()
    return [happened.name for happened in ground.log if happened.what == "handshake"]


@pytest.mark.parametrize(
    ("changes", "order"),
    [
        ({}, ["person", "phone"]),
        ({"without": (Mechanism.PEER_CHECK,)}, ["person", "phone", "gone"]),
        ({"control": Control.OFF}, ["phone", "gone", "person"]),
    ],
)
async def test_the_order_of_work(
    mock_clock: MockClock, changes: dict[str, Any], order: list[str]
) -> None:
    assert await order_of_work(**changes) == order


async def test_the_dispatcher_has_room_for_so_many(mock_clock: MockClock) -> None:
    assert await order_of_work(connections_max=1) == ["phone"]


async def test_a_turn_is_as_long_as_the_caller_says(mock_clock: MockClock) -> None:
    """Here two pieces of work of live sessions."""
    processor = ScriptedProcessor({Work.SEGMENT: 4.0})
    ground = ScriptedGround(processor, [None])
    ground.say("live", number=4)
    async with started() as core, trio.open_nursery() as nursery:
        turn = Turn(budget_s=6.0, live_s=6.0)
        dispatcher = make_dispatcher(
            core, ground, processor, connections_max=CONNECTIONS_MAX, turn=turn
        )
        nursery.start_soon(dispatcher.run)
        await ground.is_idle.wait()
        nursery.cancel_scope.cancel()
    assert processor.turns_s == [8.0, 8.0]
