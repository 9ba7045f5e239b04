import pytest

from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    DeviceEvent,
    DuplicateArrived,
    MessageAcknowledged,
    MessageRefused,
    Outcome,
    SessionEnd,
    SessionEnded,
)
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Entry, ErrorCode
from hwangso_tools.swarm.figures import ERROR_KINDS_MAX, Figures, by_prefix

RESUME = AttemptStarted(Intent.BACKGROUND, Kind.RESUME, 1, intended_at=10.0, started_at=10.25)
ENROL = AttemptStarted(Intent.FOREGROUND, Kind.ENROL, 1, intended_at=0.0, started_at=0.0)
ENTRY = Entry(1, b"i" * 16, "a", "b", "text", 0)


def taken(*events: DeviceEvent) -> Figures:
    figures = Figures()
    for event in events:
        figures.take(event)
    return figures


def test_a_login_counts_from_its_intended_start() -> None:
    figures = taken(RESUME, AttemptEnded(RESUME, Outcome.WELCOMED, ended_at=11.0))
    assert figures.by_prefix("login") == {"resume.BG": 1}
    assert figures.logins == 1
    assert figures.counts["reconnects"] == 1
    assert figures.latencies["login.resume.BG"].max_ms() == pytest.approx(1_000, rel=0.001)
    assert figures.latencies["start_lateness"].max_ms() == pytest.approx(250, rel=0.001)


def test_an_enrolment_is_no_reconnect() -> None:
    figures = taken(AttemptEnded(ENROL, Outcome.WELCOMED, ended_at=1.0))
    assert figures.by_prefix("login") == {"enrol.FG": 1}
    assert figures.counts["reconnects"] == 0


def test_failures_by_kind() -> None:
    figures = taken(
        AttemptEnded(RESUME, Outcome.REFUSED, 11.0, "full"),
        AttemptEnded(RESUME, Outcome.CONNECT_FAILED, 11.0, "[Errno 111] refused"),
        AttemptEnded(RESUME, Outcome.ABANDONED, 11.0),
        MessageRefused(b"i" * 16, ErrorCode.UNKNOWN_USER, "", 1.0),
    )
    assert figures.by_prefix("error") == {
        "connect failed": 1,
        "message unknown_user": 1,
        "refused full": 1,
    }
    assert figures.logins == 0


def test_kinds_of_errors_are_bounded() -> None:
    figures = Figures()
    for number in range(2 * ERROR_KINDS_MAX):
        figures.error(f"kind {number}")
    kinds = figures.by_prefix("error")
    assert len(kinds) == ERROR_KINDS_MAX + 1
    assert kinds["other"] == ERROR_KINDS_MAX


def test_messages_and_sessions() -> None:
    figures = taken(
        MessageAcknowledged(b"i" * 16, intended_at=1.0, acknowledged_at=1.5, tries=3),
        DuplicateArrived(ENTRY, 2.0),
        SessionEnded(1.0, 2.0, SessionEnd.LOST),
        AppReady(1.0, 3.0),
    )
    assert figures.counts["acknowledged"] == 1
    assert figures.counts["retried"] == 2
    assert figures.counts["dropped_duplicates"] == 1
    assert figures.by_prefix("session") == {"lost": 1}
    assert figures.latency_figures().keys() == {"acknowledge", "app_open"}


def test_merging_snapshots() -> None:
    one = taken(AttemptEnded(RESUME, Outcome.WELCOMED, 11.0))
    two = taken(
        AttemptEnded(RESUME, Outcome.WELCOMED, 12.0), AttemptEnded(ENROL, Outcome.WELCOMED, 1.0)
    )
    one.merge(two.snapshot())
    assert one.by_prefix("login") == {"enrol.FG": 1, "resume.BG": 2}
    assert len(one.latencies["login.resume.BG"]) == 2
    assert len(one.latencies["login.enrol.FG"]) == 1


def test_by_prefix_takes_whole_words() -> None:
    assert by_prefix({"login.a": 1, "logins": 2, "x.login.b": 3}, "login") == {"a": 1}
