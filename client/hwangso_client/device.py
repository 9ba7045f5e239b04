"""The phone, and what its user does with it.

    async with Device(config, TcpNetwork(address), profile=FileProfile(path)) as phone:
        await phone.open_app()
        await phone.send("bob", "안녕")
        message = await phone.next_message()

A device has one task, the `Connector`'s; while a session is live, a second one writes. The
decisions are made by pure parts: `Link` (when to connect, with what), `Mailbox` (what to send, what
has arrived), `Keepalive` (whether the peer is there).
"""

import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from types import TracebackType
from typing import Final, Self

import msgspec
import trio

from hwangso_client.backoff import Backoff, DecorrelatedJitter
from hwangso_client.config import AppState, DeviceConfig, LinkState, Sources
from hwangso_client.connector import Connector
from hwangso_client.errors import DeviceStopped, NotReady, RequestFailed, SendRefused
from hwangso_client.events import (
    DeviceEvent,
    MessageAcknowledged,
    MessageArrived,
    MessageRefused,
    Observer,
    ignore,
)
from hwangso_client.link import Link
from hwangso_client.mailbox import Mailbox
from hwangso_client.network import Network, Radio
from hwangso_client.nursery import open_plain_nursery
from hwangso_client.profile import MemoryProfile, Profile, Unsent
from hwangso_client.session import Request
from hwangso_protocol.limits import MESSAGE_ID_BYTES
from hwangso_protocol.messages import DeviceInfo, Entry, ListDevices, RevokeDevice
from hwangso_protocol.noise import RandomBytes

READY_TIMEOUT_S: Final = 120.0
"""How long `open_app` waits before it says why there is no session: nobody looks at a spinner for
longer, and a test that hangs should say what it hangs on."""

CLOSE_TIMEOUT_S: Final = 1.0
"""For the Bye when the device is left; then the connection is closed without."""


class _Send:
    """Somebody waits for the fate of a message."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: Exception | None = None

    def finish(self, error: Exception | None = None) -> None:
        self.error = error
        self.done.set()


class Device:
    """A phone. It lives inside its `async with`; its app is closed to begin with.

    `rng` draws jitter and the keepalive phase, `random_bytes` keys and message ids, `wall_clock`
    gives seconds since 1970 for what must outlive the process. A swarm shares one `rng`: a
    `random.Random` takes 2.5 kB. `backoff` is for what the device does by itself, decorrelated
    jitter unless given.

    The methods that wait raise DeviceStopped once the server does not want the device any more, and
    trio.ClosedResourceError once the `async with` is left. They wait as long as it takes; the
    caller bounds that with `trio.fail_after`.

    Entering raises ProfileError if the profile cannot be used. If it cannot be saved later,
    ProfileError comes out of the `async with`: a phone that cannot keep its promises must stop.
    """

    _connector: Connector
    _life: AbstractAsyncContextManager[None]

    def __init__(
        self,
        config: DeviceConfig,
        network: Network,
        *,
        profile: Profile | None = None,
        observer: Observer = ignore,
        rng: random.Random | None = None,
        random_bytes: RandomBytes = os.urandom,
        wall_clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        rng = random.SystemRandom() if rng is None else rng
        self.radio = Radio(network, self._radio_changed)
        self._config = config
        self._profile = MemoryProfile() if profile is None else profile
        self._observer = observer
        self._sources = Sources(rng, random_bytes, wall_clock)
        self._backoff = DecorrelatedJitter(rng) if backoff is None else backoff
        self._alive = False
        self._ended = trio.Event()
        self._waiting = trio.lowlevel.ParkingLot()
        self._sends: dict[bytes, _Send] = {}
        self._asking = trio.Lock()

    async def __aenter__(self) -> Self:
        self._life = self._live()
        await self._life.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.__aexit__(kind, error, trace)

    # What it shows

    @property
    def user(self) -> str:
        """Whose phone it is."""
        return self._config.user

    @property
    def app_state(self) -> AppState:
        """What the user has done with the app."""
        return self._connector.app_state

    @property
    def link_state(self) -> LinkState:
        """How the device is connected."""
        # Stopped counts from the server's word on, not from when the task has put its things away.
        return self._connector.link_state if self._link.stopped is None else LinkState.STOPPED

    @property
    def next_attempt_at(self) -> float | None:
        """When the next connect attempt is due, by `trio.current_time()`, while the device waits
        for that: the end of a back-off, or its slot. None otherwise, and while the phone sees that
        it has no service."""
        waits = self.link_state is LinkState.WAITING and self.radio.service
        return self._link.next_at if waits and self._link.next_at < inf else None

    @property
    def last_failure(self) -> str:
        """Why the last attempt failed, or the last session ended; for people."""
        return self._connector.last_failure

    @property
    def inbox(self) -> Sequence[Entry]:
        """The messages that `next_message` has not given out yet, oldest first."""
        return tuple(self._mailbox.inbox.unread)

    @property
    def missed(self) -> int:
        """How many messages the server is known to have beyond those in the inbox, for a badge;
        fewer if it has deleted old ones. A server in an emergency gives a device in the background
        this number and not the messages, which come when the app is opened."""
        return self._mailbox.inbox.missing

    @property
    def duplicates(self) -> int:
        """Entries that came again, and were dropped."""
        return self._mailbox.inbox.duplicates

    # What the user does

    async def open_app(self, *, intended_at: float | None = None) -> None:
        """Open the app: whatever the device waited for, it connects as FOREGROUND at once. Returns
        when a session is ready; on a live connection, when the server has answered a ping.

        `intended_at` is when it should have happened, if the caller is late. Raises NotReady after
        READY_TIMEOUT_S (the device goes on trying), or if the app is left meanwhile.
        """
        self._check()
        self._connector.open(trio.current_time() if intended_at is None else intended_at)
        with trio.move_on_after(READY_TIMEOUT_S):
            while self._link.user_waits:
                await self._pause()
        if self._link.user_waits:
            raise NotReady(f"no session within {READY_TIMEOUT_S:g} s: {self.last_failure}")
        if self.app_state is not AppState.FOREGROUND:
            raise NotReady("the app was left before a session was ready")

    async def leave_app(self) -> None:
        """Go back to the home screen: the connection is kept, as BACKGROUND."""
        self._check()
        if self.app_state is AppState.FOREGROUND:
            self._connector.leave()
        await trio.lowlevel.checkpoint()

    async def kill_app(self) -> None:
        """Swipe the app away: its connection goes without a word, and none is made until the app is
        opened or the phone is woken. Returns when it is gone."""
        self._check()
        self._connector.kill()
        await self.wait_state(LinkState.OFF)

    def wake(self) -> None:
        """A push arrives: a closed app starts in the background and connects by itself, at once or
        at the end of the wait that it is in. An app that runs is connected, or will be."""
        self._check()
        if self.app_state is AppState.CLOSED:
            self._connector.wake()

    async def wait_ready(self) -> None:
        """Wait until there is a session, whoever asked for it."""
        await self.wait_state(LinkState.READY)

    async def wait_state(self, *states: LinkState) -> LinkState:
        """Wait until the link is in one of `states`, and say in which."""
        await trio.lowlevel.checkpoint()
        while self.link_state not in states:
            await self._pause()
        return self.link_state

    # Messages

    def post(self, to: str, body: str, *, intended_at: float | None = None) -> bytes:
        """Queue a message; it is in the profile on return, and sent whenever there is a session.
        Returns its id. Raises OutboxFull; ValueError for a name or a text that the wire cannot
        carry."""
        self._check()
        now = trio.current_time()
        message_id = self._sources.random_bytes(MESSAGE_ID_BYTES)
        try:
            body.encode()
            unsent = msgspec.convert({"id": message_id, "to": to, "body": body}, Unsent)
        except msgspec.ValidationError as error:
            raise ValueError(f"message to {to!r}: {error}") from None
        self._mailbox.outbox.add(unsent, now if intended_at is None else intended_at)
        self._connector.save()
        self._nudge()
        return message_id

    async def send(self, to: str, body: str, *, intended_at: float | None = None) -> bytes:
        """Post a message and wait until the server has it on disk, through any number of tries.

        Raises what `post` does, and SendRefused if the server will not take it (an unknown user).
        If the wait is cancelled the message stays in the outbox and is sent all the same.
        """
        message_id = self.post(to, body, intended_at=intended_at)
        send = self._sends[message_id] = _Send()
        try:
            await send.done.wait()
        finally:
            del self._sends[message_id]
        if send.error is not None:
            raise send.error
        return message_id

    async def wait_sent(self) -> None:
        """Wait until the outbox is empty: everything was acknowledged, or refused for good."""
        await trio.lowlevel.checkpoint()
        while len(self._mailbox.outbox):
            await self._pause()

    async def next_message(self) -> Entry:
        """The next entry of the user's inbox, each once and in order. A user with several devices
        finds there what was sent from any of them, too (`sender` is the user).

        After a crash of the phone's process the last ones given out may be given out again.
        """
        await trio.lowlevel.checkpoint()
        unread = self._mailbox.inbox.unread
        while not unread:
            await self._pause()
        self._mailbox.changed = True
        entry = unread.popleft()
        self._nudge()
        return entry

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        return await self.next_message()

    # Requests

    async def list_devices(self) -> Sequence[DeviceInfo]:
        """The user's devices. Raises RequestFailed without a session, or if the server refuses."""
        return await self._ask(ListDevices())

    async def revoke_device(self, device: int) -> Sequence[DeviceInfo]:
        """End a device of this user for good, by its number in `list_devices`; gives those that are
        left. Raises as `list_devices`."""
        return await self._ask(RevokeDevice(device))

    async def _ask(self, message: ListDevices | RevokeDevice) -> Sequence[DeviceInfo]:
        async with self._asking:
            self._check()
            session = self._connector.session
            if session is None:
                raise RequestFailed("there is no session; wait_ready() first")
            request = Request(message)
            session.ask(request)
            await request.done.wait()
        if request.failure is not None:
            raise request.failure
        return request.answer

    # Inside

    @asynccontextmanager
    async def _live(self) -> AsyncIterator[None]:
        connector = self._connector = Connector(
            self._config,
            self.radio,
            self._profile,
            self._sources,
            self._backoff,
            self._observe,
            self._wake_all,
        )
        self._alive = True
        try:
            async with open_plain_nursery() as nursery:
                nursery.start_soon(self._stay_connected)
                try:
                    yield
                finally:
                    self._alive = False
                    self._release()
                connector.end()
                with trio.move_on_after(CLOSE_TIMEOUT_S):
                    await self._ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            if self._mailbox.changed:
                connector.save()
            await self.radio.aclose()

    async def _stay_connected(self) -> None:
        try:
            await self._connector.run()
        finally:
            self._ended.set()
            self._release()

    def _radio_changed(self, lost: bool) -> None:
        if self._alive:
            self._connector.radio_changed(lost)

    def _observe(self, event: DeviceEvent) -> None:
        """See what the mailbox reports, then pass it on."""
        match event:
            case MessageArrived():
                self._wake_all()
            case MessageAcknowledged():
                self._finish_send(event.id)
            case MessageRefused():
                self._finish_send(event.id, SendRefused(event.code, event.detail))
            case _:
                pass
        self._observer(event)

    def _finish_send(self, message_id: bytes, error: Exception | None = None) -> None:
        send = self._sends.get(message_id)
        if send is not None:
            send.finish(error)
        if not len(self._mailbox.outbox):
            self._wake_all()

    def _nudge(self) -> None:
        if self._connector.session is not None:
            self._connector.session.nudge()

    @property
    def _link(self) -> Link:
        return self._connector.link

    @property
    def _mailbox(self) -> Mailbox:
        return self._connector.mailbox

    def _wake_all(self) -> None:
        self._waiting.unpark_all()

    def _release(self) -> None:
        """The device will do no more: end the waits of everybody."""
        for send in self._sends.values():
            send.finish(self._error_if_over())
        self._wake_all()

    def _error_if_over(self) -> Exception | None:
        if not self._alive:
            return trio.ClosedResourceError("a device works inside its `async with` only")
        stopped = self._link.stopped
        return None if stopped is None else DeviceStopped(stopped.code, stopped.detail)

    def _check(self) -> None:
        """Raise if the device will do nothing any more."""
        error = self._error_if_over()
        if error is not None:
            raise error

    async def _pause(self) -> None:
        """Until something has changed; raise if nothing ever will."""
        self._check()
        await self._waiting.park()
