"""Who is online, and what is known of users without asking the store. Pure bookkeeping."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from hwangso_server.bounded import BoundedDict
from hwangso_server.limits import KNOWN_USERS_MAX


class OnlineSession(Protocol):
    """What presence needs to know of a session."""

    user_id: int
    device_id: int


S = TypeVar("S", bound=OnlineSession)


class Presence(Generic[S]):
    """The live sessions: at most one a device."""

    def __init__(self) -> None:
        # A tuple, for nearly every user has one session: 48 bytes against a dict's 232.
        self._by_user: dict[int, tuple[S, ...]] = {}
        self._online = 0

    def __len__(self) -> int:
        return self._online

    def __iter__(self) -> Iterator[S]:
        for sessions in list(self._by_user.values()):
            yield from sessions

    def of_user(self, user_id: int) -> tuple[S, ...]:
        """The live sessions of a user's devices."""
        return self._by_user.get(user_id, ())

    def of_device(self, user_id: int, device_id: int) -> S | None:
        """The live session of a device."""
        for session in self.of_user(user_id):
            if session.device_id == device_id:
                return session
        return None

    def enter(self, session: S) -> S | None:
        """A session goes online. Gives the older one of the same device that it takes over from;
        that one is no longer online, and its owner must close it."""
        older = self.of_device(session.user_id, session.device_id)
        if older is not None:
            self.leave(older)
        self._by_user[session.user_id] = (*self.of_user(session.user_id), session)
        self._online += 1
        return older

    def leave(self, session: S) -> None:
        """A session ends; nothing happens if it was taken over before."""
        sessions = self.of_user(session.user_id)
        remaining = tuple(other for other in sessions if other is not session)
        self._online -= len(sessions) - len(remaining)
        if remaining:
            self._by_user[session.user_id] = remaining
        else:
            self._by_user.pop(session.user_id, None)


class KnownUsers:
    """Names and inbox heads of recently seen users.

    Heads never go back: `learn_head` is called with what the store published, in any order with
    what was read.
    """

    def __init__(self, limit: int = KNOWN_USERS_MAX) -> None:
        self._ids: BoundedDict[str, int] = BoundedDict(limit)
        self._heads: BoundedDict[int, int] = BoundedDict(limit)

    def id_of(self, name: str) -> int | None:
        """The id of a user, None if it must be looked up."""
        return self._ids.get(name)

    def learn_name(self, name: str, user_id: int) -> None:
        """Ids of names never change."""
        self._ids.put(name, user_id)

    def forget_name(self, name: str) -> None:
        """Have it looked up again: the user may have been disabled."""
        self._ids.forget(name)

    def head_of(self, user_id: int) -> int | None:
        """The last seq of a user's inbox, None if it must be looked up."""
        return self._heads.get(user_id)

    def learn_head(self, user_id: int, seq: int) -> int:
        """Gives the newest head known, which may be newer than `seq`."""
        known = self._heads.get(user_id)
        newest = seq if known is None or seq > known else known
        self._heads.put(user_id, newest)
        return newest
