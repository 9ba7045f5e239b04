"""How the phone is connected, and the words for it. Pure.

All times are seconds since 1970, as people read clocks.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

from hwangso_client.config import AppState, LinkState
from hwangso_client.events import (
    AttemptEnded,
    AttemptStarted,
    DeviceEvent,
    Outcome,
    SessionEnd,
    SessionEnded,
)
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import ErrorCode
from hwangso_tools.durations import in_words

INTENTS: Final = {
    Intent.FOREGROUND: "FG (a person waits)",
    Intent.BACKGROUND: "BG (by itself)",
}
_ADDRESS: Final = re.compile(r"^Error connecting to \([^)]*\): ")
"""What Trio puts before the reason: the status line has no room for it, and the user gave it."""

_APP: Final = {
    AppState.CLOSED: "closed",
    AppState.BACKGROUND: "background",
    AppState.FOREGROUND: "on screen",
}
_DEFER_REASONS: Final = {
    "busy": "the server is busy and serves people first",
    "emergency": "emergency: the server serves people first",
    "shield": "the server has time for people only",
}
_REASONS: Final = {
    "unknown_version": "it speaks another version of the protocol",
    "bad_hello": "it did not understand the hello",
    "ticket_invalid": "the resume ticket is no good any more",
    "handshake_failed": "the handshake failed: not the server with this key",
    "full": "it is full",
    "shutting_down": "it is shutting down",
    "unavailable": "its storage does not answer",
    "enrol_refused": "wrong password, or no such user (--register makes one)",
    "registration_closed": "no such user, and new ones are made by its operator",
    "user_disabled": "its operator has disabled this user",
    "device_unknown": "it does not know this phone",
    "device_revoked": "this phone was revoked",
    "too_many_devices": "this user has too many phones; revoke one",
    "key_in_use": "another phone has the same key",
    "unknown_user": "no such user",
    "busy": "it is busy",
    "replaced": "another phone with the same profile took over",
    "revoked": "this phone was revoked",
    "closed": "closed",
    "idle": "it heard nothing of this phone for too long",
    "slow_reader": "this phone read too slowly",
    "protocol_error": "it did not understand this phone",
}


@dataclass(frozen=True, slots=True)
class Status:
    """What the status line says. `wait_until` is when the next attempt is due, None if that is not
    known; `deferred` is the reason of the deferral that is waited for, if it is one; `failure` is
    the last, at `failed_at`. `missed` is how many messages the server still has. `enrolled`: the
    server knows this phone."""

    user: str
    app: AppState = AppState.CLOSED
    link: LinkState = LinkState.OFF
    airplane: bool = False
    intent: Intent | None = None
    wait_until: float | None = None
    deferred: str = ""
    failure: str = ""
    failed_at: float = 0.0
    missed: int = 0
    enrolled: bool = False

    def after(self, event: DeviceEvent, at: float) -> "Status":
        """The status after the device has reported this, at this time."""
        match event:
            case AttemptStarted():
                return replace(self, intent=event.intent)
            case AttemptEnded(outcome=Outcome.WELCOMED):
                return replace(self, deferred="", enrolled=True)
            case AttemptEnded(outcome=Outcome.ABANDONED):
                return self
            case AttemptEnded(outcome=Outcome.DEFERRED):
                return replace(self, deferred=_DEFER_REASONS.get(event.detail, event.detail))
            case AttemptEnded():
                failure = attempt_failure(event.outcome, event.detail)
                return replace(self, deferred="", failure=failure, failed_at=at)
            case SessionEnded() if event.end is not SessionEnd.CLOSED:
                failure = session_failure(event.end, event.detail)
                return replace(self, failure=failure, failed_at=at)
            case _:
                return self


def attempt_failure(outcome: Outcome, detail: str) -> str:
    """Why an attempt brought no session."""
    why = in_reason_words(detail)
    match outcome:
        case Outcome.DENIED | Outcome.REFUSED:
            return f"the server refused: {why}"
        case Outcome.CONNECT_FAILED:
            return f"cannot connect: {_ADDRESS.sub('', why)}"
        case Outcome.CONNECT_TIMEOUT:
            return "no connection in time"
        case Outcome.ANSWER_TIMEOUT:
            return "no answer from the server in time"
        case Outcome.LOST:
            return f"connection lost: {why}" if why else "connection lost"
        case _:
            return f"{outcome.value}: {why}"


def session_failure(end: SessionEnd, detail: str) -> str:
    """Why a session ended."""
    why = in_reason_words(detail)
    match end:
        case SessionEnd.BYE:
            return f"the server said goodbye: {why}"
        case SessionEnd.DEAD_PEER:
            return "the connection was dead"
        case _:
            return f"connection lost: {why}" if why else "connection lost"


def in_reason_words(detail: str) -> str:
    """A code of the protocol in words; any other text as it is."""
    return _REASONS.get(detail, detail)


def refusal(code: ErrorCode, detail: str) -> str:
    """Why the server will never take a message."""
    return _REASONS.get(code.value, detail or code.value)


def phone_line(status: Status) -> str:
    """Whose phone it is, and what its user has done with it."""
    airplane = "ON" if status.airplane else "off"
    return f"{status.user} | app {_APP[status.app]} | airplane {airplane}"


def link_line(status: Status, now: float, zone: tzinfo | None = None) -> str:
    """The state of the connection, and the intent of the last connect. `zone`: the local one."""
    intent = "" if status.intent is None else f" | last connect {INTENTS[status.intent]}"
    return f"{_link(status, now, zone)}{intent}"


def failure_line(status: Status, zone: tzinfo | None = None) -> str:
    """The last failure and when it was; empty if there was none."""
    if not status.failure:
        return ""
    return f"last failure {clock(status.failed_at, zone)}: {status.failure}"


def clock(at: float, zone: tzinfo | None = None) -> str:
    """The time of day."""
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")


def _link(status: Status, now: float, zone: tzinfo | None) -> str:
    match status.link:
        case LinkState.OFF if status.app is AppState.CLOSED:
            return "OFF: the app is closed"
        case LinkState.OFF:
            return (
                "OFF: another phone with the same profile took over; open the app to take it back"
            )
        case LinkState.CONNECTING:
            return "CONNECTING"
        case LinkState.READY:
            return "READY"
        case LinkState.STOPPED:
            return "STOPPED: the server does not want this phone"
        case LinkState.WAITING if status.airplane:
            return "WAITING for airplane mode to end"
        case LinkState.WAITING:
            word = "DEFERRED" if status.deferred else "WAITING"
            because = f": {status.deferred}" if status.deferred else ""
            if status.wait_until is None:
                return f"{word}{because}"
            left_s = max(0, round(status.wait_until - now))
            at = clock(status.wait_until, zone)
            return f"{word} until {at} ({in_words(left_s) if left_s else 'now'}){because}"
