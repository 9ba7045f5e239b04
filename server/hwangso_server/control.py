"""From a server's configuration to its admission."""

import hmac
import random

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_server.admission import Admission, CapacityAdmission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.settings import Settings
from hwangso_server.config import Config, Control
from hwangso_server.environment import Environment
from hwangso_server.limits import ENROLLING_MAX, STRANGERS_MAX

DEFERRAL_KEY_LABEL = b"hwangso/1 deferral tickets"


def make_admission(
    config: Config,
    environment: Environment,
    static_key: X25519PrivateKey,
    *,
    sessions_max: int,
    settings: Settings | None = None,
) -> Admission:
    """Admission as `config.control` and `config.without` say.

    Deferral tickets are sealed under a key made from the server's static key, so that slots are
    kept over a restart. `settings` replaces the defaults.
    """
    handshakes_max = STRANGERS_MAX + ENROLLING_MAX
    if config.control is Control.OFF:
        return CapacityAdmission(handshakes_max=handshakes_max, sessions_max=sessions_max)
    clock = environment.clock
    rng: random.Random = environment.rng
    return AdmissionController(
        settings or Settings(handshakes_max=handshakes_max, sessions_max=sessions_max),
        uniform=rng.uniform,
        random_bytes=environment.random_bytes,
        ticket_key=hmac.digest(static_key.private_bytes_raw(), DEFERRAL_KEY_LABEL, "sha256"),
        wall_offset_s=clock.wall_ms() / 1000 - clock.now_s(),
        without=frozenset(config.without),
    )
