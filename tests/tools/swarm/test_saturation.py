import trio
from trio.testing import MockClock

from hwangso_tools.swarm.saturation import LATENESS_MAX_S, Load, SaturationWatch


async def watch_for(seconds: float, share: float) -> SaturationWatch:
    """Watch a process that uses this share of a core."""
    watch = SaturationWatch(cpu_s=lambda: share * trio.current_time())
    with trio.move_on_after(seconds):
        await watch.run()
    return watch


async def test_an_idle_generator(autojump_clock: MockClock) -> None:
    watch = await watch_for(10.5, 0.25)
    assert 9 <= watch.load.windows <= 10
    assert watch.load.cpu_share_max == 0.25
    assert not watch.load.saturated
    assert not watch.saturated_now


async def test_a_core_that_is_full(autojump_clock: MockClock) -> None:
    watch = await watch_for(5.5, 0.99)
    assert watch.load.saturated_windows == watch.load.windows > 0
    assert watch.saturated_now


async def test_a_loop_that_is_late(mock_clock: MockClock) -> None:
    watch = SaturationWatch(cpu_s=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(10 * LATENESS_MAX_S)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert watch.load.saturated
    assert watch.load.lateness_max_ms >= 5_000 * LATENESS_MAX_S


def test_the_worst_process_counts() -> None:
    merged = Load(10, 1, 50.0, 0.5).merged(Load(20, 0, 5.0, 0.9))
    assert merged == Load(30, 1, 50.0, 0.9)
    assert merged.saturated
    assert not Load(30, 0, 50.0, 0.9).saturated
