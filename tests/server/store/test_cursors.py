"""Cursors between advance and disk."""

import pytest

from hwangso_server.store import Device, cursors
from hwangso_server.store.cursors import Cursors

PHONE = Device(1, 1, "phone", b"k" * 32, 0, None, 3)


def test_the_newest_advance_is_written() -> None:
    known = Cursors()
    for seq in [4, 6, 5]:
        known.advance(1, seq)
    known.advance(2, 1)
    known.advance(3, 0)
    assert known.advanced() == [(1, 6), (2, 1)]
    assert known.current(PHONE, head=9).cursor == 6
    assert known.current(PHONE, head=5).cursor == 5


def test_an_advance_during_the_write_is_written_next() -> None:
    known = Cursors()
    known.advance(1, 4)
    writing = known.advanced()
    known.advance(1, 5)
    known.written(writing, [(1, 4)])
    assert known.advanced() == [(1, 5)]
    known.written(known.advanced(), [(1, 5)])
    assert known.advanced() == []


def test_a_late_lookup_shows_what_was_written_not_what_was_claimed() -> None:
    known = Cursors()
    known.advance(1, 100)
    known.written(known.advanced(), [(1, 7)])
    assert known.current(PHONE, head=50).cursor == 7


def test_what_was_written_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors, "STORED_LIMIT", 2)
    known = Cursors()
    known.written([], [(1, 9), (2, 9)])
    known.written([], [(1, 9)])
    known.written([], [(3, 9)])
    shown = [Device(number, 1, "", b"", 0) for number in (1, 2, 3)]
    assert [known.current(device, head=9).cursor for device in shown] == [9, 0, 9]
