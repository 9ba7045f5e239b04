"""The Trio side of a phone: owns its `Device`, does what the user does, says what has become of it.

    link = Link(config, network, files, on_change)
    async with trio_beside(link.run, link.stop):
        link.tell(Press.OPEN)
        link.phone  # as it is now; `on_change` is called when there is a new one

All methods but `run` are synchronous, and are called on the thread that Trio runs on.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import trio

from hwangso_client.config import AppState, DeviceConfig, LinkState
from hwangso_client.device import Device
from hwangso_client.doorbell import Doorbell
from hwangso_client.errors import DeviceStopped, NotReady, OutboxFull
from hwangso_client.events import DeviceEvent, MessageAcknowledged, MessageRefused
from hwangso_client.network import Network
from hwangso_client.profile import FileProfile
from hwangso_tools.phone.chats import View
from hwangso_tools.phone.files import ChatsFile
from hwangso_tools.phone.model import Command, Look, Phone, Press, Write
from hwangso_tools.phone.status import Status, refusal

COMMANDS_MAX: Final = 64
"""Commands that wait to be obeyed, each within milliseconds: more is a stuck key, and dropped."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the phone keeps what it knows."""

    profile: FileProfile
    chats: ChatsFile


class Link:
    """A phone that is switched on while `run` runs: its app starts in the background, as after a
    push, and connects by itself.

    `on_change` is called after each change of `phone`, `on_notice` with a line for the user; both
    from within Trio, and must not block. `wall_clock` gives seconds since 1970.

    Raises ProfileError or CommandError when made if the files cannot be read.
    """

    def __init__(
        self,
        config: DeviceConfig,
        network: Network,
        files: Files,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.on_notice: Callable[[str], None] = lambda line: None
        self._config = config
        self._network = network
        self._files = files
        self._wall_clock = wall_clock
        state = files.profile.load()
        saved = self._saved = files.chats.load()
        restored = saved.restored(state.outbox if state else (), self._now_ms())
        status = Status(config.user, enrolled=state is not None and state.enrolled)
        self.phone = Phone(status, restored)
        """As it is now."""
        self._peer: str | None = None
        self._changed = Doorbell()
        self._stopping = trio.Event()
        self._send, self._receive = trio.open_memory_channel[Command](COMMANDS_MAX)

    def tell(self, command: Command) -> bool:
        """The user does this; False if the phone does not keep up, and it was not done."""
        try:
            self._send.send_nowait(command)
        except trio.WouldBlock:
            return False
        return True

    def refresh(self) -> None:
        """Look again: what is waited for can change without a word."""
        self._changed.ring()

    def stop(self) -> None:
        """Let `run` say goodbye, save and return, within a second or so."""
        self._stopping.set()

    async def run(self, started: Callable[[], None]) -> None:
        """Be the phone until `stop`. Raises ProfileError, or CommandError for the chats; after that
        it is off."""
        try:
            async with (
                Device(
                    self._config, self._network, profile=self._files.profile, observer=self._observe
                ) as device,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self._keep_up, device)
                nursery.start_soon(self._watch, device)
                nursery.start_soon(self._obey, device, nursery)
                device.wake()
                started()
                await self._stopping.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._save()

    # What the device reports

    def _observe(self, event: DeviceEvent) -> None:
        status = self.phone.status.after(event, self._wall_clock())
        chats = self.phone.chats
        match event:
            case MessageAcknowledged():
                chats = chats.stored(event.id)
            case MessageRefused():
                chats = chats.refused(event.id, refusal(event.code, event.detail))
            case _:
                pass
        self.phone = Phone(status, chats)
        self._changed.ring()

    async def _watch(self, device: Device) -> None:
        """The state of the link changes without an event, too."""
        while device.link_state is not LinkState.STOPPED:
            await device.wait_state(*set(LinkState) - {device.link_state})
            self._changed.ring()

    async def _keep_up(self, device: Device) -> None:
        """After each change: take what has arrived, save, show."""
        shown = self.phone
        while True:
            entries = device.inbox
            view = View(device.app_state is AppState.FOREGROUND, self._peer)
            chats = self.phone.chats.seen(view)
            for entry in entries:
                chats = chats.arrived(entry, device.user, view)
            self.phone = Phone(self._status(device), chats)
            self._save()
            for _ in entries:  # taken from the device only now that they are saved here
                await device.next_message()
            if self.phone != shown:
                shown = self.phone
                self.on_change()
            await self._changed.wait()

    def _status(self, device: Device) -> Status:
        due_at = device.next_attempt_at
        return replace(
            self.phone.status,
            app=device.app_state,
            link=device.link_state,
            airplane=device.radio.airplane_mode,
            wait_until=due_at and self._wall_clock() + due_at - trio.current_time(),
            missed=device.missed,
        )

    def _save(self) -> None:
        if self.phone.chats is not self._saved:
            self._saved = self.phone.chats
            self._files.chats.save(self._saved)

    # What the user does

    async def _obey(self, device: Device, nursery: trio.Nursery) -> None:
        async for command in self._receive:
            try:
                await self._do(command, device, nursery)
            except (DeviceStopped, OutboxFull, ValueError) as error:
                self.on_notice(str(error))
            self._changed.ring()

    async def _do(self, command: Command, device: Device, nursery: trio.Nursery) -> None:
        match command:
            case Press.OPEN:
                if device.app_state is not AppState.FOREGROUND:
                    nursery.start_soon(self._open, device)
            case Press.HOME:
                self._peer = None
                await device.leave_app()
            case Press.KILL:
                self._peer = None
                await device.kill_app()
            case Press.AIRPLANE:
                device.radio.airplane_mode = not device.radio.airplane_mode
            case Look(peer):
                self._peer = peer
            case Write(to, body):
                message_id = device.post(to, body)
                chats = self.phone.chats.posted(message_id, to, body, self._now_ms())
                self.phone = replace(self.phone, chats=chats)

    async def _open(self, device: Device) -> None:
        """Open the app, however long that takes: the status line says how it goes."""
        with suppress(DeviceStopped, NotReady):
            await device.open_app()
        self._changed.ring()

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)
