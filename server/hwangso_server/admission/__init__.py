"""The seam between a hello and its handshake: who may come in, who comes back later.

Pure: no Trio, no I/O, no clock, no chance; `now_s` is an argument. It knows nothing of the rest of
the server and can be lifted out of it: `controller` joins the parts, each of which stands alone.
"""

from hwangso_server.admission.capacity import CapacityAdmission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.decision import (
    Admission,
    Admit,
    Arrival,
    Decision,
    Deferral,
    Load,
    Refusal,
)
from hwangso_server.admission.explanation import Explanation, Outcome, Rule, Status
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.settings import Settings
from hwangso_server.admission.signals import QueueSignals, Signals
from hwangso_server.admission.stage import Reading, Stage, StageRule
from hwangso_server.admission.treatment import PushWakes, Treatment

__all__ = [
    "Admission",
    "AdmissionController",
    "Admit",
    "Arrival",
    "CapacityAdmission",
    "Decision",
    "Deferral",
    "Explanation",
    "Load",
    "Mechanism",
    "Outcome",
    "PushWakes",
    "QueueSignals",
    "Reading",
    "Refusal",
    "Rule",
    "Settings",
    "Signals",
    "Stage",
    "StageRule",
    "Status",
    "Treatment",
]
