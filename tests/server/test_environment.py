"""Time and chance, from outside."""

import time

import trio
from trio.testing import MockClock

from hwangso_server.environment import (
    seeded_environment,
    system_clock,
    system_environment,
    trio_clock,
)


async def test_virtual_time_moves_both_clocks(autojump_clock: MockClock) -> None:
    clock = trio_clock(epoch_ms=5_000)
    before_s = clock.now_s()
    assert clock.wall_ms() == 5_000 + int(before_s * 1000)
    await trio.sleep(1.5)
    assert clock.now_s() == before_s + 1.5
    assert clock.wall_ms() == 5_000 + int((before_s + 1.5) * 1000)


async def test_the_systems_waits_are_trios(autojump_clock: MockClock) -> None:
    clock = system_clock()
    before_s = clock.now_s()
    await trio.sleep(1_000)
    assert clock.now_s() == before_s + 1_000


async def test_the_systems_time_of_day() -> None:
    before_ms = int(time.time() * 1000)
    assert 0 <= system_clock().wall_ms() - before_ms < 60_000


async def test_one_seed_gives_the_same_bytes_and_numbers() -> None:
    first, second, other = (seeded_environment(seed) for seed in (1, 1, 2))
    assert first.random_bytes(16) == second.random_bytes(16) != other.random_bytes(16)
    assert first.rng.random() == second.rng.random() != other.rng.random()


async def test_the_systems_chance_is_new_each_time() -> None:
    first, second = system_environment(), system_environment()
    assert first.random_bytes(16) != second.random_bytes(16)
    assert first.rng.random() != second.rng.random()
    assert len(first.random_bytes(5)) == 5
