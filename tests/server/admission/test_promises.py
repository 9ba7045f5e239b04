"""Promises: a slot for a device, kept once."""

import random

import pytest
from tests.server.admission.samples import SETTINGS

from hwangso_protocol.hello import Intent
from hwangso_server.admission.deferral import DeferralTickets
from hwangso_server.admission.promises import Promise, Promises

BG = Intent.BACKGROUND
WALL_OFFSET_S = 1_700_000_000.0


def new_promises(*, seed: int = 1, wall_offset_s: float = WALL_OFFSET_S) -> Promises:
    """Those of one run of the server: all runs have the same key."""
    tickets = DeferralTickets(bytes(32))
    return Promises(SETTINGS, tickets, random.Random(seed).randbytes, wall_offset_s)


def find(promises: Promises, device_id: int, sealed: bytes, now_s: float) -> Promise | None:
    """By the ticket alone."""
    return promises.find(device_id, sealed, None, now_s)


def test_a_promise() -> None:
    promises = new_promises()
    made = promises.make(7, BG, 130.0, None, 100.0)
    assert made.intent is BG
    assert (made.slot_s, made.first_deferred_s, made.count) == (130.0, 100.0, 1)
    found = find(promises, 7, made.sealed, 101.0)
    assert found is not None
    assert found.slot_s == pytest.approx(130.0, abs=0.002)
    assert found.first_deferred_s == pytest.approx(100.0, abs=0.002)
    assert found.intent is BG
    assert (found.count, found.nonce, found.sealed) == (1, made.nonce, made.sealed)


def test_a_slot_in_a_ticket_is_never_before_the_one_promised() -> None:
    promises = new_promises()
    for slot_s in (100.0001, 123.4567891, 1e6 / 3):
        now_s = slot_s - 10
        found = find(promises, 7, promises.make(7, BG, slot_s, None, now_s).sealed, now_s)
        assert found is not None
        assert slot_s - 1e-6 <= found.slot_s <= slot_s + 0.0011


@pytest.mark.parametrize("ahead_s", [1_000.0, 32_400.0, 5_000_000.0])
def test_a_ticket_of_a_run_whose_clock_was_ahead_is_worth_nothing(ahead_s: float) -> None:
    promises = new_promises()
    sealed = promises.make(7, BG, 100.0 + ahead_s, None, 100.0 + ahead_s).sealed
    assert find(promises, 7, sealed, 100.0) is None
    assert promises.foreign == 1


def test_nobody_was_deferred_in_the_future() -> None:
    promises = new_promises()
    sealed = promises.make(7, BG, 700.0, None, 690.0).sealed
    found = find(promises, 7, sealed, 100.0)
    assert found is not None
    assert found.first_deferred_s == 100.0


def test_a_promise_given_back_holds_again() -> None:
    promises = new_promises()
    made = promises.make(7, BG, 130.0, None, 100.0)
    promises.keep(made)
    promises.give_back(8, made.sealed)  # not its own
    assert find(promises, 7, made.sealed, 131.0) is None
    promises.give_back(7, made.sealed)
    promises.give_back(7, b"no ticket")
    assert find(promises, 7, made.sealed, 131.0) is not None


def test_another_promise_keeps_the_age() -> None:
    promises = new_promises()
    first = promises.make(7, BG, 130.0, None, 100.0)
    second = promises.make(7, BG, 160.0, first, 131.0)
    assert (second.first_deferred_s, second.count) == (100.0, 2)
    assert second.nonce != first.nonce


def test_a_promise_that_was_replaced_is_worth_nothing() -> None:
    """Else a device could collect tickets, and come in with each of them."""
    promises = new_promises()
    first = promises.make(7, BG, 130.0, None, 100.0)
    second = promises.make(7, BG, 160.0, first, 131.0)
    assert find(promises, 7, first.sealed, 161.0) is None
    assert find(promises, 7, second.sealed, 161.0) is not None


def test_deferrals_are_counted_to_255() -> None:
    promises = new_promises()
    promise = None
    for second in range(300):
        promise = promises.make(7, BG, second + 1.0, promise, float(second))
    assert promise is not None
    assert promise.count == 255


def test_a_promise_is_kept_once() -> None:
    promises = new_promises()
    made = promises.make(7, BG, 130.0, None, 100.0)
    promises.keep(made)
    assert find(promises, 7, made.sealed, 131.0) is None
    assert promises.spent == 1


def test_who_carries_the_ticket_of_nobody_in_particular_uses_it_once() -> None:
    promises = new_promises()
    made = promises.make(0, BG, 130.0, None, 100.0)
    first, second = (find(promises, 0, made.sealed, 131.0) for _ in range(2))
    assert first == second
    assert first is not None
    promises.keep(first)
    assert find(promises, 0, made.sealed, 131.0) is None


@pytest.mark.parametrize("sealed", [b"slot", bytes(42), b"x" * 256])
def test_what_is_none_of_ours_is_no_promise(sealed: bytes) -> None:
    promises = new_promises()
    assert find(promises, 7, sealed, 100.0) is None
    assert promises.foreign == 1


def test_another_devices_ticket_is_no_promise() -> None:
    promises = new_promises()
    made = promises.make(7, BG, 130.0, None, 100.0)
    assert find(promises, 8, made.sealed, 131.0) is None
    assert find(promises, 0, made.sealed, 131.0) is None
    assert promises.foreign == 2


def test_no_ticket_is_no_promise_and_nothing_wrong() -> None:
    promises = new_promises()
    assert find(promises, 7, b"", 100.0) is None
    assert (promises.foreign, promises.spent) == (0, 0)


def test_too_late() -> None:
    promises = new_promises()
    made = promises.make(7, BG, 130.0, None, 100.0)
    assert find(promises, 7, made.sealed, 130.0 + 899) is not None
    assert find(promises, 7, made.sealed, 130.0 + 901) is None
    assert promises.find(7, b"", made, 130.0 + 901) is None


def test_what_is_remembered_needs_no_ticket() -> None:
    promises = new_promises()
    made = promises.make(7, BG, 130.0, None, 100.0)
    assert promises.find(7, b"", made, 101.0) is made
    assert promises.find(7, b"thrown away", made, 101.0) is made
    assert promises.foreign == 0


def test_slots_outlive_a_restart() -> None:
    """The new run's clock begins anew; wall time goes on."""
    made = new_promises().make(7, BG, 130.0, None, 100.0)
    restarted = new_promises(seed=2, wall_offset_s=WALL_OFFSET_S + 110.0)
    found = find(restarted, 7, made.sealed, 5.0)
    assert found is not None
    assert found.slot_s == pytest.approx(20.0, abs=0.002)
    assert found.first_deferred_s == pytest.approx(-10.0, abs=0.002)
    restarted.keep(found)
    assert find(restarted, 7, made.sealed, 21.0) is None


def test_no_two_promises_have_the_same_nonce() -> None:
    runs = [new_promises(seed=seed) for seed in range(4)]
    nonces = {
        run.make(device, BG, 10.0, None, 0.0).nonce for run in runs for device in range(1, 251)
    }
    assert len(nonces) == 1_000
