"""What a device is told when it is made, and the states that it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

import msgspec

from hwangso_client import __version__
from hwangso_client.attempt import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S
from hwangso_protocol.messages import Enrol
from hwangso_protocol.noise import RandomBytes

AGENT: Final = f"hwangso/{__version__}"
"""What a device calls its software when it logs in."""

INBOX_LIMIT: Final = 1_024
"""Entries that wait for the app: eight pages, so that paging goes on while the app reads."""

OUTBOX_LIMIT: Final = 256
"""Messages that wait to be acknowledged: hours of typing without a network."""

IN_FLIGHT_LIMIT: Final = 16
"""Sends that wait for their answer: over a round trip of 100 ms still 160 messages a second, far
more than anybody types, and few to send again after a cut."""


class AppState(Enum):
    """What the user has done with the app."""

    CLOSED = "closed"
    """Killed, or never opened: no connection until it is opened or woken."""
    BACKGROUND = "background"
    """Left, or woken by a push: a connection is kept warm, so that the next open is instant."""
    FOREGROUND = "foreground"
    """On the screen."""


class LinkState(Enum):
    """How the device is connected."""

    OFF = "off"
    """No connection is wanted: the app is closed, or another phone with the same key took over."""
    WAITING = "waiting"
    """For the end of a back-off, the slot of a deferral, or radio service."""
    CONNECTING = "connecting"
    """An attempt is under way."""
    READY = "ready"
    """The server has welcomed the device."""
    STOPPED = "stopped"
    """For good: the server does not want this device."""


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """Whose phone it is, and its limits. Raises ValueError for what the wire cannot carry.

    `password` and `register` serve the first contact only. With an `inbox_limit` of 0 entries are
    not kept: the observer gets each once, and is the app. The timeouts are here for experiments
    with impatient phones.
    """

    server_key: bytes
    user: str
    password: str = ""
    device_name: str = "phone"
    register: bool = False
    inbox_limit: int = INBOX_LIMIT
    outbox_limit: int = OUTBOX_LIMIT
    in_flight_limit: int = IN_FLIGHT_LIMIT
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S

    def __post_init__(self) -> None:
        if min(self.outbox_limit, self.in_flight_limit) < 1 or self.inbox_limit < 0:
            raise ValueError(f"device of user {self.user!r}: a limit is too small")
        enrol = {
            "user": self.user,
            "password": self.password or "none",
            "device": self.device_name,
            "key": self.server_key,
        }
        try:
            msgspec.convert(enrol, Enrol)
        except msgspec.ValidationError as error:
            raise ValueError(f"device of user {self.user!r}: {error}") from None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a device takes chance and time from: jitter, keys and ids, seconds since 1970."""

    rng: Random
    random_bytes: RandomBytes
    wall_clock: Callable[[], float]

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z."""
        return int(self.wall_clock() * 1000)
