"""What passes between device and screens: the phone as it is, and what its user does. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

from hwangso_tools.phone.chats import Chats
from hwangso_tools.phone.status import Status


@dataclass(frozen=True, slots=True)
class Phone:
    """All that the screens show."""

    status: Status
    chats: Chats


class Press(Enum):
    """What a user does with a key."""

    OPEN = auto()
    """Open the app."""
    HOME = auto()
    """Go back to the home screen: the app stays, in the background."""
    KILL = auto()
    """Swipe the app away."""
    AIRPLANE = auto()
    """Switch airplane mode on or off."""


@dataclass(frozen=True, slots=True)
class Look:
    """Look at the chat with this user, or at none."""

    peer: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """Write a message."""

    to: str
    body: str


Command = Press | Look | Write
