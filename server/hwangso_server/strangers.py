"""Connections that have proved nothing, in the order in which they came.

Who says nothing costs a descriptor and may be anybody. Who has said a whole hello was admitted, has
cost a Diffie-Hellman and may need no more than a round trip: dropping that one for a newcomer would
have a full server work for nobody.
"""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State


class Stranger(Protocol):
    """What is asked of a session here."""

    connection: ServerConnection


S = TypeVar("S", bound=Stranger)


class Strangers(Generic[S]):
    """Adding, taking out and finding the oldest cost the same however many there are (a plain dict
    would look through all that were deleted before its first key)."""

    def __init__(self) -> None:
        self._strangers: OrderedDict[S, None] = OrderedDict()
        self._unheard: OrderedDict[S, None] = OrderedDict()
        """Those without a whole hello; the others are taken out when they are met."""

    def __len__(self) -> int:
        return len(self._strangers)

    def __contains__(self, session: S) -> bool:
        return session in self._strangers

    def add(self, session: S) -> None:
        """It came in."""
        self._strangers[session] = None
        if session.connection.state is State.HELLO:
            self._unheard[session] = None

    def pop(self, session: S, default: None = None) -> None:
        """It has proved itself, or is over; no error if it is not here."""
        self._strangers.pop(session, default)
        self._unheard.pop(session, default)

    def oldest(self) -> S | None:
        """Whoever has been here longest; None if nobody is here."""
        return next(iter(self._strangers), None)

    def oldest_unheard(self) -> S | None:
        """Likewise, of those whose hello is not here as a whole."""
        while self._unheard:
            session = next(iter(self._unheard))
            if session.connection.state is State.HELLO:
                return session
            del self._unheard[session]
        return None
