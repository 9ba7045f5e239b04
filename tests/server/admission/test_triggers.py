"""What the controller takes for an emergency, and what not, on a server with a calm load of 15 %.

Each case that must not trigger has a negative control beside it: the same, for longer or with a
crowd, does.
"""

from collections.abc import Callable

import pytest
from tests.server.admission.crowd import Crowd, Story

from hwangso_server.admission import Rule, Stage

FOR_S = 12.0


def calm(cost_s: float, load: float = 0.15) -> Crowd:
    """A fifth of the connects are people's."""
    crowd = Crowd(cost_s=cost_s)
    per_s = load / cost_s
    crowd.open_apps(0.2 * per_s, 0.0, FOR_S)
    crowd.reconnect(int(0.8 * per_s * FOR_S), 0.0, over_s=FOR_S)
    return crowd


def nothing_happened(story: Story) -> bool:
    return story.stages_seen() == [Stage.NORMAL]


COSTS_S = pytest.mark.parametrize("cost_s", [0.001, 0.01, 0.1])
FAST_S = pytest.mark.parametrize("cost_s", [0.001, 0.01])
"""Where something is to happen within seconds."""


def between(since_s: float, until_s: float, value: float, usual: float) -> Callable[[float], float]:
    return lambda now_s: value if since_s <= now_s < until_s else usual


@COSTS_S
def test_a_calm_day(cost_s: float) -> None:
    assert nothing_happened(calm(cost_s).run(FOR_S))


def test_a_busy_day() -> None:
    crowd = calm(0.01, load=0.5)
    assert nothing_happened(crowd.run(FOR_S))


@COSTS_S
def test_garbage_collections(cost_s: float) -> None:
    crowd = calm(cost_s)
    crowd.pauses_s = [(3.0, 0.3), (6.0, 0.3), (9.0, 0.3)]
    story = crowd.run(FOR_S)
    assert nothing_happened(story)
    assert max(phone.latency_s for phone in story.phones) > 0.3  # it was there


@FAST_S
def test_but_pause_after_pause(cost_s: float) -> None:
    crowd = calm(cost_s)
    crowd.pauses_s = [(3.0 + number, 0.95) for number in range(9)]
    assert not nothing_happened(crowd.run(FOR_S))


@FAST_S
def test_a_burst_of_messages(cost_s: float) -> None:
    """One second in which live sessions alone want the whole processor."""
    crowd = calm(cost_s)
    crowd.messages = between(4.0, 5.0, 1.0, 0.1)
    story = crowd.run(FOR_S)
    assert nothing_happened(story)
    assert max(phone.latency_s for phone in story.phones) > 0.05


@FAST_S
def test_but_messages_without_end(cost_s: float) -> None:
    """Connects pile up behind them, and the queue is full."""
    crowd = calm(cost_s, load=0.4)
    crowd.messages = between(2.0, 20.0, 1.0, 0.1)
    story = crowd.run(FOR_S)
    assert max(story.stages_seen()) >= Stage.BUSY
    assert crowd.controller.status(FOR_S).decisions[Rule.FOREGROUND] > 0


@COSTS_S
def test_a_slow_disk(cost_s: float) -> None:
    crowd = calm(cost_s)
    crowd.store_s = between(4.0, 8.0, 3.0, 0.0)
    story = crowd.run(FOR_S)
    assert nothing_happened(story)
    assert max(phone.latency_s for phone in story.phones) > 3.0
    assert crowd.controller.status(FOR_S).signals.background.response_s > 0


@FAST_S
def test_but_a_slow_server(cost_s: float) -> None:
    crowd = calm(cost_s)
    crowd.slowness = between(4.0, 20.0, 20.0, 1.0)
    assert not nothing_happened(crowd.run(FOR_S))


@FAST_S
def test_a_few_phones_at_once(cost_s: float) -> None:
    """A lift door opens: a tenth of a second of work."""
    crowd = calm(cost_s)
    crowd.reconnect(int(0.1 / cost_s), 5.0, first_id=500_000)
    assert nothing_happened(crowd.run(FOR_S))


@COSTS_S
def test_but_a_crowd_at_once(cost_s: float) -> None:
    crowd = calm(cost_s)
    crowd.reconnect(int(5.0 / cost_s), 5.0, first_id=500_000)
    story = crowd.run(FOR_S)
    seen = story.stages_seen()
    assert Stage.EMERGENCY in seen
    risen_s = next(since_s for since_s, stage in story.stages if stage is Stage.EMERGENCY)
    assert risen_s - 5.0 < max(1.0, 30 * cost_s)


def test_one_slow_client() -> None:
    """It has not said its hello: there is nothing that admission would hear of. Once it has, its
    handshake takes as long as it takes."""
    crowd = calm(0.01)
    crowd.pauses_s = [(5.0, 0.2)]
    assert nothing_happened(crowd.run(FOR_S))


def test_a_server_that_starts_into_its_usual_load() -> None:
    story = calm(0.01, load=0.6).run(FOR_S)
    assert max(story.stages_seen()) <= Stage.BUSY
    assert Stage.EMERGENCY not in story.stages_seen()
