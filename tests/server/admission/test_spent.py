"""Used nonces: one bit each, in a window."""

from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.admission.spent import WINDOW_TICKETS, Spent

RUN = 0xABCD << 32
OTHER_RUN = 0x1234 << 32


def test_used_is_used() -> None:
    spent = Spent()
    assert RUN + 5 not in spent
    spent.add(RUN + 5)
    assert RUN + 5 in spent
    assert RUN + 4 not in spent
    assert RUN + 6 not in spent


def test_runs_are_apart() -> None:
    spent = Spent()
    spent.add(RUN + 5)
    assert OTHER_RUN + 5 not in spent
    spent.add(OTHER_RUN + 5)
    assert RUN + 5 in spent


def test_what_has_dropped_out_counts_as_used() -> None:
    spent = Spent()
    spent.add(RUN + WINDOW_TICKETS)
    assert RUN in spent
    assert RUN + WINDOW_TICKETS // 2 not in spent
    spent.add(RUN)  # too late to matter
    assert RUN + WINDOW_TICKETS // 2 not in spent


def test_a_far_jump_forgets_no_more_than_it_must() -> None:
    spent = Spent(window_tickets=1_024)
    spent.add(RUN + 10)
    spent.add(RUN + 1_000_000)
    assert RUN + 999_990 not in spent
    assert RUN + 10 in spent
    spent.add(RUN + 999_990)
    assert RUN + 999_990 in spent


def test_a_place_in_the_ring_is_cleared_for_the_next_round() -> None:
    spent = Spent(window_tickets=128)
    for sequence in (5, 100, 140):
        spent.add(RUN + sequence)
    assert RUN + 5 + 128 not in spent


def test_two_runs_are_remembered_the_one_in_use_among_them() -> None:
    spent = Spent()
    spent.add(RUN + 1)
    spent.add(OTHER_RUN + 1)
    spent.add(RUN + 2)
    spent.add((0x7777 << 32) + 1)
    assert RUN + 1 in spent
    assert OTHER_RUN + 1 not in spent


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=200))
def test_it_is_a_set_within_its_window(steps: list[tuple[bool, int]]) -> None:
    window = 128
    spent, used = Spent(window_tickets=window), set[int]()
    for is_added, sequence in steps:
        highest = max(used, default=-1)
        if is_added:
            spent.add(RUN + sequence)
            used.add(sequence)
        elif sequence > highest:
            assert RUN + sequence not in spent
        elif sequence > highest - (window - 8):
            assert (RUN + sequence in spent) == (sequence in used)
        else:
            assert RUN + sequence in spent


def test_not_used_after_all() -> None:
    spent = Spent(window_tickets=1_024)
    spent.discard(RUN + 5)  # of a run that it does not know
    for number in (3, 5, 2_000):
        spent.add(RUN + number)
    spent.discard(RUN + 2_000)
    assert RUN + 2_000 not in spent
    spent.discard(RUN + 5)  # dropped out: too late
    assert RUN + 5 in spent
