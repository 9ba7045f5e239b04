"""What happens, for charts and people."""

import msgspec
from tests.tools.report.recordings import SCENARIO

from hwangso_tools.report.events import Mark, marks
from hwangso_tools.storm.library import shipped
from hwangso_tools.storm.scenario import (
    Action,
    Alert,
    Event,
    Messages,
    Operator,
    Outage,
    Quake,
    Restart,
    Slowdown,
    load,
)


def told(*events: Event) -> list[Mark]:
    about = msgspec.structs.replace(SCENARIO.scenario, seconds=1_000.0)
    return marks(msgspec.structs.replace(SCENARIO, scenario=about, event=events))


def test_every_kind_of_event() -> None:
    assert told(
        Quake(at_s=0.0, factor=4.0, decay_s=120.0),
        Alert(at_s=19.0, spread_s=3.0),
        Outage(at_s=20.0, share=0.7, duration_s=50.0, silently=True, spread_s=24.0),
        Messages(at_s=80.0, factor=10.0, duration_s=20.0),
        Slowdown(at_s=200.0, factor=2.5, duration_s=30.0),
        Restart(at_s=300.0, down_s=5.0),
        Operator(at_s=400.0, action=Action.RELIEVE, duration_s=60.0),
    ) == [
        Mark(0.0, "quake", "people open the app 4 times as often, which falls to a third in 2 min"),
        Mark(19.0, "alert", "every sleeping phone wakes within 3 s"),
        Mark(20.0, "outage", "70 % of the phones have no service, and they are not told"),
        Mark(70.0, "service back", "for all of them within 24 s"),
        Mark(80.0, "messages", "people write 10 times as many messages"),
        Mark(100.0, "messages over", "people write as usual"),
        Mark(200.0, "slowdown", "the server takes 2.5 times as long"),
        Mark(230.0, "slowdown over", "the server is as fast as before"),
        Mark(300.0, "restart", "the server goes down"),
        Mark(305.0, "server back", "the server accepts connections again"),
        Mark(
            400.0,
            "operator",
            "the operator turns all phones away, restarts the server, and lets phones in one after "
            "another over 1 min; with control off only",
            only_without_control=True,
        ),
    ]


def test_marks_are_in_the_order_of_time() -> None:
    made = told(Outage(at_s=5.0, share=0.5, duration_s=50.0), Alert(at_s=10.0))
    assert [(mark.at_s, mark.name) for mark in made] == [
        (5.0, "outage"),
        (10.0, "alert"),
        (55.0, "service back"),
    ]
    assert made[-1].meaning == "for all of them in the same second"


def test_what_would_be_after_the_story_is_no_mark() -> None:
    made = told(Outage(at_s=900.0, share=0.5, duration_s=100.0))
    assert [mark.name for mark in made] == ["outage"]


def test_the_scenarios_that_come_along_can_be_told() -> None:
    counts = {name: len(marks(load(file))) for name, file in shipped().items()}
    assert counts["calm-day"] == 0
    assert counts["gyeongju-2016"] == 5
