"""Totals by name."""

from hwangso_server.counts import Count, Counts


def test_counting() -> None:
    counts = Counts()
    counts.add(Count.STORED)
    counts.add(Count.FAULT, "bad_magic")
    counts.add(Count.FAULT, "bad_magic")
    counts.add(Count.DELIVERED, by=5)
    assert counts.snapshot() == {"delivered": 5, "fault.bad_magic": 2, "stored": 1}


def test_a_snapshot_is_plain_sorted_and_does_not_change() -> None:
    counts = Counts()
    counts.add(Count.STORED)
    counts.add(Count.ACCEPTED, "FG")
    before = counts.snapshot()
    counts.add(Count.STORED)
    assert list(before.items()) == [("accepted.FG", 1), ("stored", 1)]
    assert {type(name) for name in before} == {str}


def test_names_stay_apart() -> None:
    """A name that another one begins with would be ambiguous before its dot."""
    assert len({count.value for count in Count}) == len(Count)
    assert not any("." in count.value for count in Count)
