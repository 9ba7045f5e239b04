"""What devices report, made by hand."""

from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    Outcome,
    SessionEnd,
    SessionEnded,
)
from hwangso_protocol.hello import Intent, Kind

BG, FG = Intent.BACKGROUND, Intent.FOREGROUND


def started(at: float, intent: Intent = BG) -> AttemptStarted:
    return AttemptStarted(intent, Kind.RESUME, 1, at, at)


def ended(
    start: float, end: float, outcome: Outcome = Outcome.WELCOMED, intent: Intent = BG
) -> AttemptEnded:
    return AttemptEnded(started(start, intent), outcome, end)


def lost(ready: float, end: float) -> SessionEnded:
    return SessionEnded(ready, end, SessionEnd.LOST)


def ready(opened: float, at: float) -> AppReady:
    return AppReady(opened, at)
