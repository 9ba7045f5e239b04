"""The words of the status line, with plain values."""

from datetime import UTC

import pytest

from hwangso_client.config import AppState, LinkState
from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    Outcome,
    SessionEnd,
    SessionEnded,
)
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ErrorCode
from hwangso_tools.phone.status import (
    Status,
    failure_line,
    link_line,
    phone_line,
    refusal,
)

NOON = 43_200.0
FG = AttemptStarted(Intent.FOREGROUND, Kind.RESUME, 1, 0.0, 0.0)
BG = AttemptStarted(Intent.BACKGROUND, Kind.RESUME, 1, 0.0, 0.0)


def ended(outcome: Outcome, detail: str = "") -> AttemptEnded:
    return AttemptEnded(BG, outcome, 1.0, detail)


def link(status: Status) -> str:
    return link_line(status, NOON, UTC)


def test_the_phone_and_its_app() -> None:
    assert phone_line(Status("alice")) == "alice | app closed | airplane off"
    status = Status("alice", AppState.FOREGROUND, airplane=True)
    assert phone_line(status) == "alice | app on screen | airplane ON"


def test_the_intent_of_the_last_connect() -> None:
    status = Status("alice", AppState.FOREGROUND, LinkState.CONNECTING)
    assert link(status) == "CONNECTING"
    assert link(status.after(FG, NOON)) == "CONNECTING | last connect FG (a person waits)"
    assert link(status.after(BG, NOON)) == "CONNECTING | last connect BG (by itself)"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (Status("a"), "OFF: the app is closed"),
        (
            Status("a", AppState.BACKGROUND),
            "OFF: another phone with the same profile took over; open the app to take it back",
        ),
        (Status("a", AppState.BACKGROUND, LinkState.READY), "READY"),
        (Status("a", link=LinkState.STOPPED), "STOPPED: the server does not want this phone"),
        (Status("a", link=LinkState.WAITING, airplane=True), "WAITING for airplane mode to end"),
        (Status("a", link=LinkState.WAITING), "WAITING"),
        (
            Status("a", link=LinkState.WAITING, wait_until=NOON + 12.3),
            "WAITING until 12:00:12 (12 s)",
        ),
        (
            Status("a", link=LinkState.WAITING, wait_until=NOON - 1),
            "WAITING until 11:59:59 (now)",
        ),
    ],
)
def test_the_connection(status: Status, line: str) -> None:
    assert link(status) == line


def test_a_deferral_says_until_when_and_why() -> None:
    status = Status("a", link=LinkState.WAITING, wait_until=NOON + 90)
    deferred = status.after(ended(Outcome.DEFERRED, "emergency"), NOON)
    assert link(deferred) == (
        "DEFERRED until 12:01:30 (1 min 30 s): emergency: the server serves people first"
    )
    assert failure_line(deferred) == ""  # it is an answer, no failure
    for over in (Outcome.WELCOMED, Outcome.CONNECT_FAILED):
        assert deferred.after(ended(over), NOON).deferred == ""


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ended(Outcome.CONNECT_TIMEOUT), "no connection in time"),
        (ended(Outcome.ANSWER_TIMEOUT), "no answer from the server in time"),
        (ended(Outcome.LOST), "connection lost"),
        (ended(Outcome.LOST, "reset"), "connection lost: reset"),
        (ended(Outcome.FAULT, "bad record"), "fault: bad record"),
        (
            ended(
                Outcome.CONNECT_FAILED,
                "Error connecting to ('127.0.0.1', 7744): Connection refused",
            ),
            "cannot connect: Connection refused",
        ),
        (ended(Outcome.REFUSED, "shutting_down"), "the server refused: it is shutting down"),
        (
            ended(Outcome.DENIED, "enrol_refused"),
            "the server refused: wrong password, or no such user (--register makes one)",
        ),
        (SessionEnded(0, 1, SessionEnd.DEAD_PEER), "the connection was dead"),
        (SessionEnded(0, 1, SessionEnd.LOST, ""), "connection lost"),
        (
            SessionEnded(0, 1, SessionEnd.BYE, "replaced"),
            "the server said goodbye: another phone with the same profile took over",
        ),
    ],
)
def test_the_last_failure(event: AttemptEnded | SessionEnded, line: str) -> None:
    status = Status("a").after(event, NOON)
    assert failure_line(status, UTC) == f"last failure 12:00:00: {line}"


@pytest.mark.parametrize(
    "event", [ended(Outcome.ABANDONED), SessionEnded(0, 1, SessionEnd.CLOSED), AppReady(0, 1)]
)
def test_what_is_no_failure(event: AttemptEnded | SessionEnded | AppReady) -> None:
    assert Status("a").after(event, NOON) == Status("a")


def test_a_welcome_means_that_the_server_knows_the_phone() -> None:
    assert Status("a").after(ended(Outcome.WELCOMED), NOON).enrolled


def test_why_a_message_was_refused() -> None:
    assert refusal(ErrorCode.UNKNOWN_USER, "whatever") == "no such user"
    assert refusal(ErrorCode.OTHER, "too long") == "too long"
    assert refusal(ErrorCode.OTHER, "") == "other"
