"""Real phones for tests: the client's Device, with what a test wants to know of it.

diary = Diary()
async with phone(server, "alice", observer=diary) as alice:
    await diary.until(lambda: diary.ended)
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import msgspec
import trio
from tests.e2e.servers import Reachable, Server, running_server

from hwangso_client.backoff import Backoff
from hwangso_client.config import DeviceConfig
from hwangso_client.device import Device
from hwangso_client.events import (
    AttemptEnded,
    DeviceEvent,
    Observer,
    Outcome,
    SessionEnded,
    ignore,
)
from hwangso_client.network import Network
from hwangso_client.profile import MemoryProfile, Profile, ProfileState
from hwangso_protocol.hello import Intent, Kind

PASSWORD: Final = "correct horse"

P = ParamSpec("P")
T = TypeVar("T")


def within(seconds: float) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Bound a test, so that what never happens fails it where it waits."""

    def decorate(test: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(test)
        async def bounded(*args: P.args, **kwargs: P.kwargs) -> T:
            with trio.fail_after(seconds):
                return await test(*args, **kwargs)

        return bounded

    return decorate


class Soon:
    """A back-off of 5 ms: how long phones really wait is for the tests of the client."""

    def next_s(self, base_s: float, cap_s: float) -> float:
        return 0.005

    def reset(self) -> None:
        pass


class Diary:
    """All that a phone reports, in order, and a way to wait for it. One may serve many phones."""

    def __init__(self) -> None:
        self.events: list[DeviceEvent] = []
        self._changed = trio.Event()

    def __call__(self, event: DeviceEvent) -> None:
        self.events.append(event)
        self._changed.set()
        self._changed = trio.Event()

    @property
    def attempts(self) -> Sequence[AttemptEnded]:
        """The connect attempts that are over."""
        return [event for event in self.events if isinstance(event, AttemptEnded)]

    @property
    def logins(self) -> Sequence[tuple[Kind, Intent]]:
        """How and for what each session was made."""
        return [
            (ended.attempt.kind, ended.attempt.intent)
            for ended in self.attempts
            if ended.outcome is Outcome.WELCOMED
        ]

    @property
    def ended(self) -> Sequence[SessionEnded]:
        """The sessions that are over."""
        return [event for event in self.events if isinstance(event, SessionEnded)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds; it is looked at after each event."""
        while not condition():
            await self._changed.wait()


@asynccontextmanager
async def phone(
    server: Reachable,
    user: str,
    *,
    name: str = "phone",
    profile: Profile | None = None,
    network: Network | None = None,
    observer: Observer = ignore,
    backoff: Backoff | None = None,
    answer_timeout_s: float = 5.0,
) -> AsyncIterator[Device]:
    """A phone of `user` with its app open and a session ready. The first of a user registers it."""
    config = DeviceConfig(
        server.server_key,
        user,
        password=PASSWORD,
        device_name=name,
        register=True,
        answer_timeout_s=answer_timeout_s,
    )
    async with Device(
        config,
        network or server.network,
        profile=profile,
        observer=observer,
        backoff=backoff or Soon(),
    ) as device:
        await device.open_app()
        yield device


def saved(profile: MemoryProfile) -> ProfileState:
    """What the profile holds; it must hold something."""
    assert profile.state is not None
    return profile.state


def forget_ticket(profile: MemoryProfile) -> None:
    """Make a phone log in with its key, the next time."""
    profile.state = msgspec.structs.replace(saved(profile), resume=None)


@asynccontextmanager
async def witnessed_server(folder: Path) -> AsyncIterator[Server]:
    """A running server with somebody online all the time, who must be unharmed in the end: for
    tests of what strangers do to it."""
    async with running_server(folder) as server, phone(server, "witness") as witness:
        await server.until(lambda stats: stats["now.sessions"] == 1)
        yield server
        with trio.fail_after(10):
            await witness.send("witness", "still served")
            assert (await witness.next_message()).body == "still served"
            await server.until(lambda stats: stats["now.sessions"] == 1)
