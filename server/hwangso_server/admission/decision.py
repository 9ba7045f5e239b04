"""What is asked of admission, and what it answers."""

from typing import Protocol

from msgspec import Struct

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.hello import Intent, Kind


class Arrival(Struct, frozen=True, gc=False):
    """A hello, as far as it can be known before any Diffie-Hellman.

    `device_id` is known for a resume, from its ticket. `lane` is the intent of the socket it came
    through, None in single-port mode; `intent` is what the hello says.
    """

    lane: Intent | None
    intent: Intent
    kind: Kind
    attempt: int
    device_id: int | None
    deferral_ticket: bytes


class Admit(Struct, frozen=True, gc=False):
    """Go on with the handshake."""


class Deferral(Struct, frozen=True, gc=False):
    """Come back in `wait_ms`, with this deferral ticket."""

    wait_ms: int
    reason: DeferReason
    deferral_ticket: bytes


class Refusal(Struct, frozen=True, gc=False):
    """No, and perhaps when to ask again (0: not said)."""

    reason: RefuseReason
    retry_after_ms: int = 0


Decision = Admit | Deferral | Refusal


class Admission(Protocol):
    """Decides about each hello; told what became of those it admitted.

    After an Admit exactly one of `handshake_failed` and `session_started` follows, and after
    `session_started` exactly one `session_ended`.
    """

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        """Decide about one hello."""

    def handshake_failed(self) -> None:
        """An admitted connection ended before its session went online."""

    def session_started(self) -> None:
        """An admitted connection proved its keys."""

    def session_ended(self) -> None:
        """A session is over."""
