"""How a server is told to stop: real signals to this process."""

import signal

import pytest
import trio
import trio.testing

from hwangso_server.stopping import STOP_SIGNALS, stop_signals

WITHIN_S = 20


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_the_first_asks_and_the_next_hurries(number: signal.Signals) -> None:
    with trio.fail_after(WITHIN_S):
        async with stop_signals() as stop:
            signal.raise_signal(number)
            await stop.asked.wait()
            assert not stop.hurry.is_set()
            signal.raise_signal(signal.SIGTERM)
            await stop.hurry.wait()
            signal.raise_signal(number)
            await trio.testing.wait_all_tasks_blocked()  # taken, so that it does no harm behind


async def test_a_signal_after_an_operator_asked_hurries() -> None:
    with trio.fail_after(WITHIN_S):
        async with stop_signals() as stop:
            stop.asked.set()
            signal.raise_signal(signal.SIGTERM)
            await stop.hurry.wait()


async def test_what_the_process_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with trio.fail_after(WITHIN_S):
            async with stop_signals() as stop:
                signal.raise_signal(signal.SIGHUP)
                signal.raise_signal(signal.SIGTERM)
                await stop.asked.wait()
                assert not stop.hurry.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
