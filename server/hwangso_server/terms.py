"""What a device is given with its session, by the stage of the time when it came."""

from typing import Self

from msgspec import Struct

from hwangso_protocol.messages import Policy
from hwangso_server.admission.treatment import Treatment
from hwangso_server.config import Config
from hwangso_server.limits import IDLE_FACTOR


class Terms(Struct, frozen=True, gc=False):
    """Made once for each stage and shared by its sessions."""

    policy: Policy
    """What the Welcome says."""
    idle_timeout_s: float
    """Silence after which the session is dead, by the keepalive that the device was told."""
    ticket_lifetime_factor: float

    @classmethod
    def of(cls, config: Config, treatment: Treatment) -> Self:
        """As the operator's configuration and the stage's treatment say."""
        keepalive_s = config.keepalive_s * treatment.keepalive_factor
        policy = Policy(
            keepalive_ms=round(keepalive_s * 1000),
            backoff_base_ms=config.backoff_base_ms,
            backoff_cap_ms=config.backoff_cap_ms,
            background_sync=treatment.background_sync,
        )
        return cls(policy, keepalive_s * IDLE_FACTOR, treatment.ticket_lifetime_factor)
