"""The phone in a terminal: keys become commands to the `Link`, its changes become screens.

ending = asyncio.run(show(link))
"""

import asyncio
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen

from hwangso_client.config import AppState, LinkState
from hwangso_tools.phone.dialogs import HelpDialog, NameDialog
from hwangso_tools.phone.guest import trio_beside
from hwangso_tools.phone.link import Link
from hwangso_tools.phone.model import Command, Look, Press, Write
from hwangso_tools.phone.screens import ChatScreen, ChatsScreen, LockScreen, PhoneScreen

TICK_S: Final = 1.0
"""How often the clock and the seconds that are left are drawn again."""

_ON_PHONE: Final = {"open", "home", "kill", "airplane", "chat"}
"""Actions that make no sense over a dialog, which would be left standing."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a phone was left. `refused`: why the server did not take it, if it never did."""

    code: int = 0
    interrupted: bool = False
    refused: str = ""


class PhoneApp(App[None], inherit_bindings=False):
    """One phone. Its screens lie on each other as a user opened them: lock, chats, a chat; more
    than the first means that the app is open."""

    class Changed(Message):
        """There is a new `Link.phone`."""

    TITLE = "hwangso phone"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", priority=True),
        Binding("ctrl+o", "open", "Open", priority=True),
        Binding("ctrl+l", "home", "Home", priority=True),
        Binding("ctrl+t", "kill", "Kill", priority=True),
        Binding("ctrl+r", "airplane", "Airplane", priority=True),
        Binding("ctrl+n", "chat", "Chat", priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
    ]

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.interrupted = False
        self.refused = ""
        self._link = link
        self._lock = LockScreen()
        self._change_noted = False

    def get_default_screen(self) -> Screen[None]:
        """The first one."""
        return self._lock

    def on_mount(self) -> None:
        """From now on it follows the link."""
        self._link.on_change = self._note_change
        self._link.on_notice = lambda line: self.notify(line, severity="warning", markup=False)
        self.set_interval(TICK_S, self._tick)
        self.call_after_refresh(self._show)

    # What changes

    def _note_change(self) -> None:
        """Called from within Trio: note it once, however often it comes before it is drawn."""
        if not self._change_noted:
            self._change_noted = True
            self.post_message(self.Changed())

    @on(Changed)
    def _take_change(self) -> None:
        self._change_noted = False
        self._show()

    def _tick(self) -> None:
        self._link.refresh()
        self._show()

    def _show(self) -> None:
        phone, now = self._link.phone, time.time()
        for screen in self.screen_stack:
            if isinstance(screen, PhoneScreen):
                with suppress(
                    NoMatches
                ):  # it is being made or taken down, its widgets are not there
                    screen.show(phone, now)
        self.refresh_bindings()
        if phone.status.link is LinkState.STOPPED and not phone.status.enrolled:
            self.refused = phone.status.failure
            self.exit()

    # What the user does

    @property
    def _open(self) -> bool:
        return len(self.screen_stack) > 1

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action in _ON_PHONE and not isinstance(self.screen, PhoneScreen):
            return False
        match action:
            case "open":
                return not self._open
            case "home":
                return self._open
            case "kill":
                return self._open or self._link.phone.status.app is not AppState.CLOSED
            case "help":
                return not isinstance(self.screen, HelpDialog)
            case _:
                return True

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette."""
        yield SystemCommand("Open the app", "Connect as FG, at once", self.action_open)
        yield SystemCommand("Home", "The app goes to the background", self.action_home)
        yield SystemCommand("Kill the app", "No connection any more", self.action_kill)
        yield SystemCommand("Airplane mode", "Radio on or off", self.action_airplane)
        yield SystemCommand("Chat with ...", "Open a chat by name", self.action_chat)
        yield SystemCommand("Help", "Keys, and what the words mean", self.action_help)
        yield SystemCommand("Theme", "Light, dark and others", self.action_change_theme)
        yield SystemCommand("Quit", "Switch the phone off", self.action_quit)

    def action_open(self) -> None:
        """Open the app."""
        if not self._open:
            self._tell(Press.OPEN)
            self._push(ChatsScreen())

    def action_home(self) -> None:
        """Leave the app in the background."""
        if self._open:
            self._tell(Press.HOME)
            self._pop_to_lock()

    def action_kill(self) -> None:
        """Swipe the app away."""
        self._tell(Press.KILL)
        self._pop_to_lock()

    def action_airplane(self) -> None:
        """Switch airplane mode."""
        self._tell(Press.AIRPLANE)

    def action_chat(self) -> None:
        """Ask for a name, and open that chat."""
        self.push_screen(NameDialog(), self._chat_with)

    async def action_back(self) -> None:
        """Leave the chat."""
        if isinstance(self.screen, ChatScreen):
            self._tell(Look(None))
            self.pop_screen()

    def action_help(self) -> None:
        """Show the help."""
        self.push_screen(HelpDialog())

    def action_interrupt(self) -> None:
        """Ctrl-C, or a signal."""
        self.interrupted = True
        self.exit()

    @on(ChatsScreen.Chosen)
    async def _chosen(self, event: ChatsScreen.Chosen) -> None:
        await self._chat_with(event.peer)

    @on(ChatScreen.Written)
    def _written(self, event: ChatScreen.Written) -> None:
        self._tell(Write(event.to, event.body))

    async def _chat_with(self, peer: str | None) -> None:
        if peer is None:
            return
        self.action_open()
        await self.action_back()
        self._tell(Look(peer))
        self._push(ChatScreen(peer))

    def _tell(self, command: Command) -> None:
        if not self._link.tell(command):
            self.notify("too much at once: that was not done", severity="warning")

    def _push(self, screen: PhoneScreen) -> None:
        self.push_screen(screen)
        screen.call_after_refresh(self._show)

    def _pop_to_lock(self) -> None:
        while self._open:
            self.pop_screen()


async def show(link: Link) -> Ending:
    """Be the phone until its user quits. Signals: SIGINT ends it in order; `cli` makes SIGTERM and
    SIGHUP come as SIGINT. The terminal is restored, the phone said goodbye and saved on return.

    Raises what `Link.run` raises.
    """
    app = PhoneApp(link)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, app.action_interrupt)
    try:
        async with trio_beside(link.run, link.stop) as ended:
            ended.add_done_callback(lambda _: app.exit())
            await app.run_async()
            code = app.return_code or 0  # 1 after a traceback; the link's end will say 0
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    return Ending(code, app.interrupted, app.refused)
