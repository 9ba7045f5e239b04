"""The seam between a hello and its handshake: who may come in, who comes back later.

Pure: no Trio, no I/O; `now_s` is an argument.
"""

from hwangso_server.admission.capacity import CapacityAdmission
from hwangso_server.admission.decision import (
    Admission,
    Admit,
    Arrival,
    Decision,
    Deferral,
    Refusal,
)

__all__ = [
    "Admission",
    "Admit",
    "Arrival",
    "CapacityAdmission",
    "Decision",
    "Deferral",
    "Refusal",
]
