"""What each stage asks of everything that is not a connect: a table (design, section 5)."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from hwangso_server.admission.stage import Stage


class PushWakes(Enum):
    """How push messages that wake closed apps are sent."""

    AT_ONCE = "at once"
    PACED = "paced"
    HELD = "held"


class Treatment(Struct, frozen=True, gc=False):
    """One row of the table."""

    keepalive_factor: float
    """Times the configured keepalive interval: pings are load, too."""
    ticket_lifetime_factor: float
    """Times the configured lifetime: a ticket that outlives the emergency spares a login."""
    background_sync: bool
    """Whether a background device is sent the messages it missed, or only told how many."""
    push_wakes: PushWakes
    typing: bool
    presence: bool


TREATMENTS: Final[Mapping[Stage, Treatment]] = {
    Stage.NORMAL: Treatment(1.0, 1.0, True, PushWakes.AT_ONCE, True, True),
    Stage.BUSY: Treatment(2.0, 1.0, True, PushWakes.PACED, True, True),
    Stage.EMERGENCY: Treatment(4.0, 2.0, False, PushWakes.HELD, True, True),
    Stage.SHIELD: Treatment(4.0, 2.0, False, PushWakes.HELD, False, False),
}
