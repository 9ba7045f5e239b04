import trio
import trio.testing

from hwangso_client.doorbell import Doorbell


async def test_rings_while_nobody_waits_count_as_one() -> None:
    bell = Doorbell()
    bell.ring()
    bell.ring()
    await bell.wait()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bell.wait()
    assert scope.cancelled_caught, "there is no second ring"


async def test_a_ring_wakes_the_waiter() -> None:
    bell = Doorbell()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait)
        await trio.testing.wait_all_tasks_blocked()
        bell.ring()


async def test_a_cancelled_wait_loses_no_ring() -> None:
    bell = Doorbell()
    with trio.CancelScope() as scope:
        scope.cancel()
        bell.ring()
        await bell.wait()
    assert scope.cancelled_caught
    await bell.wait()
