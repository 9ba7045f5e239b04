import io

from rich.console import Console

from hwangso_tools.swarm.figures import Figures
from hwangso_tools.swarm.ledger import Audit
from hwangso_tools.swarm.outcome import (
    Outcome,
    complaint_line,
    latency_table,
    milliseconds,
    saturation_line,
)
from hwangso_tools.swarm.saturation import Load

AUDIT = Audit(acknowledged=9, lost=1, expected=18, missing=2, duplicated=3, strays=4)


WELL = Audit(acknowledged=9, lost=0, expected=18, missing=0, duplicated=0, strays=0)


def outcome(
    *,
    enrolled: int = 8,
    audit: Audit = AUDIT,
    figures: Figures | None = None,
    connected: int = 8,
    unanswered: int = 0,
) -> Outcome:
    return Outcome(
        devices=8,
        enrolled=enrolled,
        audit=audit,
        figures=figures or Figures(),
        load=Load(10, 1, 120.0, 0.5),
        connected=connected,
        unanswered=unanswered,
    )


def test_the_figures_that_other_tools_read() -> None:
    figures = Figures()
    figures.counts.update({"login.resume.BG": 5, "sent": 10, "received": 19, "error.x": 2})
    figures.record("delivery", 0.25)
    read = outcome(enrolled=7, figures=figures, unanswered=5).as_figures()
    names = (
        "enrolled",
        "connected",
        "unanswered",
        "logins",
        "sent",
        "acknowledged",
        "received",
        "duplicated",
        "lost",
        "errors",
    )
    assert [read[name] for name in names] == [7, 8, 5, 5, 10, 9, 19, 3, 1, 2]
    assert read["errors_by_kind"] == {"x": 2}
    assert read["logins_by_kind_and_intent"] == {"resume.BG": 5}


def test_complaints() -> None:
    assert outcome(audit=WELL).complaints() == []
    assert outcome().complaints() == [
        "1 acknowledged messages are lost on some device",
        "3 copies came twice",
        "4 copies came to devices they were not for",
    ]
    assert outcome(audit=WELL, enrolled=7, connected=7).complaints() == [
        "1 devices could not enrol"
    ]
    assert outcome(audit=WELL, unanswered=1).complaints() == ["1 messages were never acknowledged"]


def test_a_server_is_gone_when_most_devices_have_no_session() -> None:
    assert outcome(audit=WELL, connected=4).complaints() == []
    (complaint,) = outcome(audit=WELL, connected=3).complaints()
    assert "the server is gone" in complaint
    assert "5 of 8" in complaint


def test_a_bad_verdict_is_one_line() -> None:
    assert complaint_line(["a", "b"]) == "Not as it should be: a; b."


def test_latencies_as_a_table() -> None:
    figures = Figures()
    figures.record("login.resume.BG", 0.25)
    out = io.StringIO()
    Console(file=out, width=100).print(latency_table(figures))
    assert "login resume BG" in out.getvalue()
    assert "250" in out.getvalue()


def test_milliseconds() -> None:
    assert [milliseconds(value) for value in (None, 0.1234, 12.34, 1234.5)] == [
        "-",
        "0.123",
        "12.3",
        "1,234",
    ]


def test_saturation_is_said_only_if_there_was_some() -> None:
    assert saturation_line(Load(10, 0, 20.0, 0.5)) is None
    line = saturation_line(Load(10, 2, 320.0, 0.99))
    assert line is not None
    assert "2 of 10 seconds (up to 320 ms late, 99% of a core)" in line
