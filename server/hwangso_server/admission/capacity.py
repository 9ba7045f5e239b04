"""Admission by capacity alone: as many handshakes and sessions as this server can hold.

This is the server with its control off, the negative control of every storm: no stage, no
deferral, everybody in the order of arrival.
"""

from math import inf

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent
from hwangso_server.admission.decision import Admit, Arrival, Decision, Load, Refusal
from hwangso_server.admission.stage import Stage
from hwangso_server.admission.treatment import TREATMENTS, Treatment

FULL_RETRY_AFTER_MS = 5_000
"""A full server stays full for a while; phones add their own jitter."""

_ADMIT = {intent: Admit(intent) for intent in Intent}
_FULL = Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)


class CapacityAdmission:
    """Admits while fewer than `handshakes_max` handshakes are under way or waiting, and these and
    the live sessions together are fewer than `sessions_max`.

    Of both, background leaves the share `foreground_reserve` free, rounded down: else a server full
    of phones that nobody looks at locks people out. Without control there is none.
    """

    stage = Stage.NORMAL
    newest_first = False
    background_per_s = inf
    next_deadline_s = inf

    def __init__(
        self, *, handshakes_max: int, sessions_max: int, foreground_reserve: float = 0.0
    ) -> None:
        self._handshakes_max = handshakes_max
        self._sessions_max = sessions_max
        self._handshakes_reserved = int(handshakes_max * foreground_reserve)
        self._sessions_reserved = int(sessions_max * foreground_reserve)
        self.handshakes = 0
        self.sessions = 0

    @property
    def treatment(self) -> Treatment:
        """That of NORMAL."""
        return TREATMENTS[Stage.NORMAL]

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more."""
        return self._is_full(0, 0)

    @property
    def is_full_for_background(self) -> bool:
        """Whether what there is, is kept for people."""
        return self._is_full(self._handshakes_reserved, self._sessions_reserved)

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        """Admit while there is room for the arrival's intent."""
        is_person = arrival.intent is Intent.FOREGROUND
        if self.is_full if is_person else self.is_full_for_background:
            return _FULL
        self.handshakes += 1
        return _ADMIT[arrival.intent]

    def caller_gone(
        self,
        intent: Intent,
        waited_s: float,
        now_s: float,
        *,
        device_id: int | None = None,
        deferral_ticket: bytes = b"",
    ) -> None:
        """One handshake less."""
        self.handshakes -= 1

    def handshake_started(self, intent: Intent, waited_s: float, now_s: float) -> None:
        """Counted since it was admitted."""

    def answered(self, intent: Intent, response_s: float, now_s: float) -> None:
        """Nothing is measured."""

    def handshake_failed(self) -> None:
        """One handshake less."""
        self.handshakes -= 1

    def session_started(self) -> None:
        """A handshake became a session."""
        self.handshakes -= 1
        self.sessions += 1

    def session_ended(self) -> None:
        """One session less."""
        self.sessions -= 1

    def worked(self, load: Load, now_s: float) -> None:
        """Nothing is measured."""

    def tick(self, now_s: float) -> None:
        """Nothing is due."""

    def _is_full(self, handshakes_reserved: int, sessions_reserved: int) -> bool:
        return (
            self.handshakes >= self._handshakes_max - handshakes_reserved
            or self.handshakes + self.sessions >= self._sessions_max - sessions_reserved
        )
