"""What the server counts: every decision, fault and limit reached, by name.

Counting is all that happens to the faults of strangers: a log line each would be a second attack.
"""

from enum import StrEnum


class Count(StrEnum):
    """What is counted. A detail (a fault, an intent, a code) may follow after a dot."""

    ACCEPTED = "accepted"
    NO_DESCRIPTORS = "no_descriptors"
    HELLO = "hello"
    FAULT = "fault"
    HELLO_TIMEOUT = "hello_timeout"
    PROOF_TIMEOUT = "proof_timeout"
    DROPPED = "dropped"
    GONE = "gone"
    DEFERRED = "deferred"
    REFUSED = "refused"
    DENIED = "denied"
    SESSION = "session"
    ENDED = "ended"
    STORED = "stored"
    DUPLICATE = "duplicate"
    DELIVERED = "delivered"
    ERROR = "error"
    UNKNOWN_MESSAGE = "unknown_message"


def name_of(what: Count, detail: str = "") -> str:
    """What a count is called in a snapshot."""
    # `+` on a StrEnum is plain text: an enum's own hash, as a key, is four times slower.
    return what + "." + detail if detail else what + ""


class Counts:
    """Totals since start."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}

    def add(self, what: Count, detail: str = "", by: int = 1) -> None:
        """Count `what`, or `what.detail`. Details come from enums, never from a peer's bytes."""
        self.bump(name_of(what, detail), by)

    def bump(self, name: str, by: int = 1) -> None:
        """Count under a name that `name_of` has made before: for what happens to every hello."""
        try:
            self._totals[name] += by  # with a plain dict half the time of a Counter
        except KeyError:
            self._totals[name] = by

    def snapshot(self) -> dict[str, int]:
        """All totals that are not zero, by name."""
        return dict(sorted(self._totals.items()))
