"""What is asked of admission, and what it answers."""

from typing import Protocol

from msgspec import Struct

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_server.admission.stage import Stage
from hwangso_server.admission.treatment import Treatment


class Arrival(Struct, frozen=True, gc=False):
    """A hello, as far as it can be known before any Diffie-Hellman.

    `device_id` is known for a resume, from its ticket. `lane` is the intent of the socket it came
    through, None in single-port mode; `intent` is what the hello says. `waited_s` is how long it
    lay in the kernel's accept queue, 0 where the system does not tell.
    """

    lane: Intent | None
    intent: Intent
    kind: Kind
    attempt: int
    device_id: int | None
    deferral_ticket: bytes
    waited_s: float = 0.0


class Admit(Struct, frozen=True, gc=False):
    """Go on with the handshake, in the order of `intent`: a device that claims FOREGROUND more
    often than people open apps is served as BACKGROUND."""

    intent: Intent


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


class Load(Struct, frozen=True, gc=False):
    """What the processor was used for in one turn, in seconds."""

    live_s: float
    """Messages of live sessions."""
    foreground_s: float
    """Handshakes in the order of FOREGROUND."""
    background_s: float
    """Handshakes in the order of BACKGROUND."""
    door_s: float
    """Accepting, reading hellos, deciding, saying DEFER."""
    idle_s: float
    """Waiting for something to do, before the turn."""


class Admission(Protocol):
    """Decides about each hello, one ledger for all lanes; told what became of those it admitted.

    After an Admit comes either `caller_gone`, or `handshake_started` and then exactly one of
    `handshake_failed` and `session_started`; after `session_started` exactly one `session_ended`.
    Call `tick` when `next_deadline_s` has passed.
    """

    @property
    def stage(self) -> Stage:
        """The stage of now."""

    @property
    def treatment(self) -> Treatment:
        """What the stage asks of everything that is not a connect."""

    @property
    def newest_first(self) -> bool:
        """Whether waiting foreground handshakes are served newest first: at capacity the oldest
        have given up most likely."""

    @property
    def background_per_s(self) -> float:
        """How many background resumes a second the server has room for, above 0; infinity if that
        is not known."""

    @property
    def next_deadline_s(self) -> float:
        """When `tick` is due; infinity if never."""

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        """Decide about one hello."""

    def caller_gone(
        self,
        intent: Intent,
        waited_s: float,
        now_s: float,
        *,
        device_id: int | None = None,
        deferral_ticket: bytes = b"",
    ) -> None:
        """An admitted caller hung up before its handshake was started, `waited_s` after its hello
        reached the kernel. The last two are those of its arrival: if it is known who it was, a
        slot that it was let in for is not used up."""

    def handshake_started(self, intent: Intent, waited_s: float, now_s: float) -> None:
        """An admitted caller's turn has come, `waited_s` after its hello reached the kernel."""

    def answered(self, intent: Intent, response_s: float, now_s: float) -> None:
        """An admitted caller has its answer, `response_s` after its hello reached the kernel."""

    def handshake_failed(self) -> None:
        """A started handshake ended before its session went online."""

    def session_started(self) -> None:
        """An admitted connection proved its keys."""

    def session_ended(self) -> None:
        """A session is over."""

    def worked(self, load: Load, now_s: float) -> None:
        """A turn is over."""

    def tick(self, now_s: float) -> None:
        """Close the windows that have ended, and let the stage follow."""
