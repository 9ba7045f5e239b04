"""Admission by capacity alone: as many handshakes and sessions as this server can hold."""

from hwangso_protocol.answer import RefuseReason
from hwangso_server.admission.decision import Admit, Arrival, Decision, Refusal

FULL_RETRY_AFTER_MS = 5_000
"""A full server stays full for a while; phones add their own jitter."""

_ADMIT = Admit()
_FULL = Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)


class CapacityAdmission:
    """Admits while fewer than `handshakes_max` handshakes are under way, and these and the live
    sessions together are fewer than `sessions_max`."""

    def __init__(self, *, handshakes_max: int, sessions_max: int) -> None:
        self._handshakes_max = handshakes_max
        self._sessions_max = sessions_max
        self.handshakes = 0
        self.sessions = 0

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        """Admit while there is room, whatever the arrival's intent."""
        if (
            self.handshakes >= self._handshakes_max
            or self.handshakes + self.sessions >= self._sessions_max
        ):
            return _FULL
        self.handshakes += 1
        return _ADMIT

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
