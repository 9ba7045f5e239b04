"""The simulation of a crowd without control, event by event."""

from random import Random

import pytest

from hwangso_client.backoff import FullJitter, NoJitter
from hwangso_tools.experiments.jitter_storm import LIMIT_S, Make, Record, Setting, Storm


def no_jitter(_: Random) -> NoJitter:
    return NoJitter()


def run(
    *,
    devices: int,
    answer_s: float,
    queue: float = 1.0,
    outage_s: float = 0.0,
    base_s: float = 1.0,
    make: Make = no_jitter,
    seed: int = 1,
    answer_timeout_s: float = 5.0,
    connect_timeout_s: float = 10.0,
) -> Record:
    """A server that takes `answer_s` for each."""
    setting = Setting(
        capacity=answer_timeout_s / answer_s / devices,
        queue=queue,
        outage_s=outage_s,
        base_s=base_s,
        cap_s=8.0,
        devices=devices,
        answer_timeout_s=answer_timeout_s,
        connect_timeout_s=connect_timeout_s,
    )
    assert setting.handshakes_per_s == pytest.approx(1 / answer_s)
    return Storm(setting, make, seed).run()


def times(record: Record) -> list[float]:
    return [round(at, 6) for at in record.back_at]


def test_a_device_is_back_after_its_back_off_and_its_answer() -> None:
    record = run(devices=1, answer_s=0.25)
    assert times(record) == [1.25]
    assert (record.attempts, record.in_vain) == (1, 0)
    assert record.arrivals == {10: 1}


def test_one_is_answered_after_another() -> None:
    assert times(run(devices=4, answer_s=0.5)) == [1.5, 2, 2.5, 3]


def test_while_the_server_is_away_connects_are_refused_at_once() -> None:
    record = run(devices=1, answer_s=0.25, outage_s=10)
    assert times(record) == [15.25], "tried after 1, 2, 4 and 8 s"
    assert record.attempts == 4
    assert record.arrivals == {150: 1}, "what met nobody is no arrival"


def test_who_has_waited_too_long_is_answered_in_vain() -> None:
    record = run(devices=4, answer_s=2, answer_timeout_s=5.5)
    # Two in time; the others give up at 6.5, come again at 8.5, and wait behind themselves.
    assert times(record) == [3, 5, 11, 13]
    assert (record.attempts, record.in_vain) == (6, 2)


def test_a_full_queue_loses_connects_which_the_kernel_tries_again() -> None:
    record = run(devices=3, answer_s=0.5, queue=1 / 3)
    # One is being answered, one waits, the third knocks again after a second.
    assert times(record) == [1.5, 2, 2.5]
    assert record.attempts == 3


def test_a_connect_that_never_finds_room_fails() -> None:
    record = run(devices=3, answer_s=4, queue=1 / 3, connect_timeout_s=2)
    assert record.attempts > 3
    assert times(record)[:1] == [5]


def test_devices_that_do_not_come_back_are_waited_for_in_vain() -> None:
    record = run(devices=2, answer_s=6)
    assert record.back_at == []
    assert record.attempts > LIMIT_S / (5 + 8)


def test_the_same_seed_gives_the_same_record() -> None:
    records = [run(devices=50, answer_s=0.3, make=FullJitter, seed=seed) for seed in (7, 7, 8)]
    assert records[0] == records[1]
    assert records[0] != records[2]
