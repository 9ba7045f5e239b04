import pytest
import trio

from hwangso_client.nursery import open_plain_nursery


async def fail(error: Exception) -> None:
    raise error


async def run_failing(*errors: Exception) -> None:
    async with open_plain_nursery() as nursery:
        for error in errors:
            nursery.start_soon(fail, error)


async def test_a_single_error_comes_out_as_it_is() -> None:
    cause = KeyError("cause")
    error = ValueError("plain")
    error.__cause__ = cause
    with pytest.raises(ValueError, match="plain") as caught:
        async with open_plain_nursery():
            raise error
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert not isinstance(caught.value.__context__, BaseExceptionGroup)


async def test_an_error_of_a_task_too() -> None:
    with pytest.raises(ValueError, match="task"):
        await run_failing(ValueError("task"))


async def test_several_errors_stay_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await run_failing(ValueError("task"), KeyError("task"))
    assert len(caught.value.exceptions) == 2


async def test_a_group_of_the_body_stays_what_it_is() -> None:
    group = ExceptionGroup("mine", [ValueError("inner")])
    with pytest.raises(ExceptionGroup, match="mine") as caught:
        async with open_plain_nursery():
            raise group
    assert caught.value.exceptions == group.exceptions


async def test_cancellation_passes() -> None:
    with trio.CancelScope() as scope:
        async with open_plain_nursery():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
