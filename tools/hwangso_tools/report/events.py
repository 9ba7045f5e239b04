"""What happens in a scenario: marks for the time axis, and rows for people. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from hwangso_tools.durations import in_words
from hwangso_tools.storm.report import percent
from hwangso_tools.storm.scenario import (
    Alert,
    Event,
    Messages,
    Operator,
    Outage,
    Quake,
    Restart,
    Scenario,
    Slowdown,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something happens at a time of the story."""

    at_s: float
    name: str
    """For a chart: a word or two."""
    meaning: str
    """For a table."""
    only_without_control: bool = False


def marks(scenario: Scenario) -> list[Mark]:
    """Everything that begins or ends, in the order of time, as far as the story goes."""
    seconds = scenario.scenario.seconds
    found = (mark for event in scenario.event for mark in _marks(event))
    return sorted((mark for mark in found if mark.at_s < seconds), key=lambda mark: mark.at_s)


def _marks(event: Event) -> Iterator[Mark]:
    at_s = event.at_s
    match event:
        case Quake(factor=factor, decay_s=decay_s):
            meaning = (
                f"people open the app {factor:g} times as often, "
                f"which falls to a third in {in_words(decay_s)}"
            )
            yield Mark(at_s, "quake", meaning)
        case Alert(spread_s=spread_s):
            yield Mark(at_s, "alert", f"every sleeping phone wakes within {in_words(spread_s)}")
        case Outage():
            yield from _outage(event)
        case Messages(factor=factor, duration_s=duration_s):
            meaning = f"people write {factor:g} times as many messages"
            yield Mark(at_s, "messages", meaning)
            yield Mark(at_s + duration_s, "messages over", "people write as usual")
        case Slowdown(factor=factor, duration_s=duration_s):
            yield Mark(at_s, "slowdown", f"the server takes {factor:g} times as long")
            yield Mark(at_s + duration_s, "slowdown over", "the server is as fast as before")
        case Restart(down_s=down_s):
            yield Mark(at_s, "restart", "the server goes down")
            yield Mark(at_s + down_s, "server back", "the server accepts connections again")
        case Operator(duration_s=duration_s):
            meaning = (
                "the operator turns all phones away, restarts the server, and lets phones in one "
                f"after another over {in_words(duration_s)}; with control off only"
            )
            yield Mark(at_s, "operator", meaning, only_without_control=True)


def _outage(event: Outage) -> Iterator[Mark]:
    silently = ", and they are not told" if event.silently else ""
    hit = f"{percent(event.share)} of the phones"
    yield Mark(event.at_s, "outage", f"{hit} have no service{silently}")
    spread = f" within {in_words(event.spread_s)}" if event.spread_s else " in the same second"
    yield Mark(event.at_s + event.duration_s, "service back", f"for all of them{spread}")
