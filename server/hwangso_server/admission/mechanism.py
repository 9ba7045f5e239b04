"""The mechanisms of the control, each of which can be switched off to see what it buys."""

from enum import StrEnum


class Mechanism(StrEnum):
    """What `--without` takes."""

    LANES = "lanes"
    SPOKEN_DEFER = "spoken-defer"
    PEER_CHECK = "peer-check"
    FOREGROUND_BUDGET = "foreground-budget"
    RECOVERY_GOVERNOR = "recovery-governor"
    HYSTERESIS = "hysteresis"
    CLIENT_JITTER = "client-jitter"
