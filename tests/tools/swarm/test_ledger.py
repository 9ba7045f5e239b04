"""The books must find every way in which "exactly once, everywhere" can fail."""

from hypothesis import given
from hypothesis import strategies as st

from hwangso_tools.swarm.ledger import Ledger, Sent, wanted_bits

ALICE, BOB, EVE = 0, 1, 2
DEVICES = 3
M = b"m" * 16


def present(user: int) -> int:
    return (1 << DEVICES) - 1 if user in (ALICE, BOB) else 0


def arrive(ledger: Ledger, user: int, device: int, message_id: bytes = M) -> bool:
    return ledger.arrive(message_id, user, device, sender=ALICE, to=BOB)


def complete() -> Ledger:
    """Alice's device 0 wrote to Bob, and every device has it."""
    ledger = Ledger()
    ledger.acknowledge(M, Sent(ALICE, 0, BOB))
    for device in range(DEVICES):
        assert arrive(ledger, BOB, device)
    for device in range(1, DEVICES):
        assert arrive(ledger, ALICE, device)
    return ledger


def test_for_all_devices_of_the_recipient_and_the_other_ones_of_the_sender() -> None:
    assert wanted_bits(Sent(ALICE, 1, BOB), present) == 0b111 | 0b101 << 64


def test_exactly_once() -> None:
    audit = complete().audit(present)
    assert audit.exactly_once
    assert (audit.acknowledged, audit.expected, audit.missing) == (1, 5, 0)


def test_the_writers_own_copy_is_neither_wanted_nor_wrong() -> None:
    ledger = complete()
    assert arrive(ledger, ALICE, 0)
    assert ledger.audit(present).exactly_once
    assert ledger.audit(present).expected == 5


def test_a_copy_that_is_missing_makes_the_message_lost() -> None:
    ledger = Ledger()
    ledger.acknowledge(M, Sent(ALICE, 0, BOB))
    for device in range(DEVICES):
        arrive(ledger, BOB, device)
    arrive(ledger, ALICE, 1)
    audit = ledger.audit(present)
    assert (audit.lost, audit.missing) == (1, 1)
    assert not audit.exactly_once


def test_a_message_that_was_not_acknowledged_cannot_be_lost() -> None:
    ledger = Ledger()
    arrive(ledger, BOB, 0)
    audit = ledger.audit(present)
    assert (audit.acknowledged, audit.lost, audit.expected) == (0, 0, 0)


def test_twice_at_one_device() -> None:
    ledger = complete()
    assert not arrive(ledger, BOB, 1)
    assert ledger.audit(present).duplicated == 1
    assert not ledger.audit(present).exactly_once


def test_at_somebody_elses_device() -> None:
    ledger = complete()
    assert not arrive(ledger, EVE, 0)
    assert ledger.audit(present).strays == 1
    assert not ledger.audit(present).exactly_once


def test_devices_that_are_not_enrolled_are_not_waited_for() -> None:
    ledger = Ledger()
    ledger.acknowledge(M, Sent(ALICE, 0, EVE))
    assert ledger.audit(lambda _: 0).exactly_once


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 5),  # message
        st.sampled_from([ALICE, BOB, EVE]),
        st.integers(0, DEVICES - 1),
    ),
    max_size=40,
)


@given(EVENTS, st.sets(st.integers(0, 5)), st.integers(1, 4))
def test_the_books_of_two_processes_add_up_to_those_of_one(
    events: list[tuple[int, int, int]], acknowledged: set[int], chunk: int
) -> None:
    whole, merged = Ledger(), Ledger()
    parts = [Ledger(), Ledger()]
    for number in acknowledged:
        sent = Sent(ALICE, number % DEVICES, BOB)
        whole.acknowledge(bytes([number]), sent)
        parts[number % 2].acknowledge(bytes([number]), sent)
    for number, user, device in events:  # each device lives in one process
        for ledger in (whole, parts[device % 2]):
            arrive(ledger, user, device, bytes([number]))
    for part in parts:
        for books in part.export(chunk):
            assert len(books.acknowledged) + len(books.arrivals) <= chunk
            merged.merge(books)
    assert merged.audit(present) == whole.audit(present)
    assert merged.acknowledged == len(acknowledged)
