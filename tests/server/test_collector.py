"""Full garbage collections wait until it is calm."""

import gc
from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock

from hwangso_server.collector import NEVER, collect_while_calm, full_collections_postponed
from hwangso_server.limits import FULL_COLLECTION_INTERVAL_S


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """When there was a full collection, which this takes the place of."""
    collected: list[float] = []
    with monkeypatch.context() as patch:
        patch.setattr(gc, "collect", lambda: collected.append(trio.current_time()))
        yield collected


def test_python_begins_none_by_itself() -> None:
    """Only the full ones are put off: small ones find what storms leave behind."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with full_collections_postponed():
        assert gc.get_threshold() == (*before[:2], NEVER)
        assert gc.get_freeze_count() > frozen
        assert gc.isenabled()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_an_error_undoes_it_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(OSError, match="lane"), full_collections_postponed():
        raise OSError("lane")
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


async def test_each_is_left_out_where_it_is_not_calm(
    autojump_clock: MockClock, collected: list[float]
) -> None:
    calm = {1: True, 2: False, 3: True}

    def is_calm() -> bool:
        return calm[round(trio.current_time() / FULL_COLLECTION_INTERVAL_S)]

    with trio.move_on_after(3.5 * FULL_COLLECTION_INTERVAL_S):
        await collect_while_calm(is_calm)
    assert collected == [FULL_COLLECTION_INTERVAL_S, 3 * FULL_COLLECTION_INTERVAL_S]
