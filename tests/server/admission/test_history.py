"""The last decision about each device."""

from math import inf

from hwangso_protocol.hello import Intent
from hwangso_server.admission import Rule, Stage
from hwangso_server.admission.history import History, Record
from hwangso_server.admission.promises import Promise

BG = Intent.BACKGROUND
PROMISE = Promise(BG, 130.0, 100.0, 2, 99, b"sealed")


def record(rule: Rule, promise: Promise | None = None) -> Record:
    return Record(100.0, Intent.FOREGROUND, BG, Stage.BUSY, rule, 2, promise, -inf)


def test_the_last_decision_counts() -> None:
    history = History(10)
    history.add(7, record(Rule.OVER_BUDGET, PROMISE))
    assert history.last(7) == record(Rule.OVER_BUDGET, PROMISE)
    history.add(7, record(Rule.DUE))
    assert history.last(7) == record(Rule.DUE)
    assert len(history) == 1


def test_who_is_not_known_is_counted_only() -> None:
    history = History(10)
    history.add(None, record(Rule.FULL))
    assert len(history) == 0
    assert history.last(None) is None
    assert history.decisions[Rule.FULL] == 1


def test_the_oldest_is_forgotten() -> None:
    history = History(2)
    for device_id in (1, 2, 1, 3):
        history.add(device_id, record(Rule.NORMAL))
    assert [history.last(n) is not None for n in (1, 2, 3)] == [True, False, True]
    assert history.decisions[Rule.NORMAL] == 4


def test_the_oldest_are_forgotten_one_by_one() -> None:
    """However many there were before; who came again stays."""
    history = History(100)
    for device_id in range(1_000):
        history.add(device_id, record(Rule.NORMAL))
        history.add(0, record(Rule.EARLY))
        assert len(history) <= 100
    known = [device_id for device_id in range(1_000) if history.last(device_id) is not None]
    assert known == [0, *range(901, 1_000)]


def test_an_explanation() -> None:
    history = History(2)
    history.add(7, record(Rule.OVER_BUDGET, PROMISE))
    found = history.explain(7)
    assert found is not None
    assert (found.device_id, found.at_s, found.stage) == (7, 100.0, Stage.BUSY)
    assert (found.claimed, found.served_as) == (Intent.FOREGROUND, BG)
    assert (found.rule, found.until_s, found.deferrals) == (Rule.OVER_BUDGET, 130.0, 2)
    assert history.explain(8) is None
    history.add(7, record(Rule.DUE))
    admitted = history.explain(7)
    assert admitted is not None
    assert admitted.until_s is None
