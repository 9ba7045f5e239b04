"""The screens and dialogs alone, with plain values and no device."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual import on
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from hwangso_tools.phone.chats import Chats, Delivery, Message, Notification
from hwangso_tools.phone.dialogs import HelpDialog, NameDialog
from hwangso_tools.phone.model import Phone
from hwangso_tools.phone.screens import ChatScreen, ChatsScreen, LockScreen, PhoneScreen
from hwangso_tools.phone.status import Status

NOON = 43_200.0


def message(number: int, peer: str, body: str = "hi") -> Message:
    return Message(number.to_bytes(16), peer, body, number * 1_000, Delivery.RECEIVED)


def phone(*messages: Message) -> Phone:
    return Phone(Status("alice"), Chats(messages))


class Host(App[None]):
    """Holds a screen, and notes what it says."""

    def __init__(self, first: Screen[None]) -> None:
        super().__init__()
        self.said: list[object] = []
        self._first = first

    def get_default_screen(self) -> Screen[None]:
        return self._first

    @on(ChatsScreen.Chosen)
    def note_choice(self, event: ChatsScreen.Chosen) -> None:
        self.said.append(event.peer)

    @on(ChatScreen.Written)
    def note_message(self, event: ChatScreen.Written) -> None:
        self.said.append((event.to, event.body))


def play(first: Screen[None], script: Callable[[Host, Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        host = Host(first)
        async with host.run_test(size=(80, 24)) as pilot:
            await script(host, pilot)

    asyncio.run(run())


def text(screen: PhoneScreen, selector: str) -> str:
    return str(screen.query_one(selector, Static).content)


def test_the_lock_screen() -> None:
    screen = LockScreen()

    async def script(host: Host, pilot: Pilot[None]) -> None:
        screen.show(phone(), NOON)
        assert text(screen, "#notifications") == "No notifications"
        chats = Chats(notifications=(Notification("bob", 2),))
        screen.show(Phone(Status("alice", missed=3), chats), NOON)
        assert text(screen, "#notifications") == "bob: 2 new messages\n3 more on the server"
        assert text(screen, "StatusBar").startswith("alice | app closed | airplane off\nOFF")

    play(screen, script)


def test_the_highlight_stays_with_its_chat() -> None:
    screen = ChatsScreen()

    async def script(host: Host, pilot: Pilot[None]) -> None:
        screen.show(phone(message(1, "bob"), message(2, "eve")), NOON)
        await pilot.press("down")
        assert screen.query_one(OptionList).highlighted == 1
        screen.show(phone(message(1, "bob"), message(2, "eve"), message(3, "bob")), NOON)
        assert screen.query_one(OptionList).highlighted == 0
        await pilot.press("enter")
        assert host.said == ["bob"]
        screen.show(phone(), NOON)
        assert screen.query_one("#no-chats").display

    play(screen, script)


def test_what_is_typed_is_sent_and_nothing_else() -> None:
    screen = ChatScreen("bob")

    async def script(host: Host, pilot: Pilot[None]) -> None:
        await pilot.press("enter", "space", "enter")
        assert host.said == []
        screen.query_one(Input).value = ""
        await pilot.press(*"okq", "enter")
        assert host.said == [("bob", "okq")]
        assert screen.query_one(Input).value == ""

    play(screen, script)


def test_a_long_chat_ends_at_its_newest_message_and_can_be_scrolled() -> None:
    screen = ChatScreen("bob")

    async def script(host: Host, pilot: Pilot[None]) -> None:
        host.animation_level = "none"
        messages = [message(number, "bob", f"[b]{number}[/b]") for number in range(100)]
        screen.show(phone(*messages), NOON)
        await pilot.pause()
        view = screen.query_one("#messages")
        assert view.max_scroll_y > 70
        assert view.scroll_y == view.max_scroll_y
        await pilot.press("pageup")
        await pilot.pause()
        up = view.scroll_y
        assert up < view.max_scroll_y
        await pilot.press("pagedown")
        await pilot.pause()
        assert view.scroll_y > up

    play(screen, script)


@pytest.mark.parametrize(("typed", "given"), [("bob", "bob"), (" b-1 ", "b-1")])
def test_a_name(typed: str, given: str) -> None:
    taken: list[str | None] = []

    async def script(host: Host, pilot: Pilot[None]) -> None:
        dialog = NameDialog()
        await host.push_screen(dialog, taken.append)
        for wrong in ("", "No Body", "-x"):
            dialog.query_one(Input).value = wrong
            await pilot.press("enter")
            assert str(dialog.query_one("#complaint", Static).content).startswith("Not a user name")
        dialog.query_one(Input).value = typed
        await pilot.press("enter")

    play(LockScreen(), script)
    assert taken == [given]


@pytest.mark.parametrize("key", ["escape", "f1", "enter"])
def test_help_closes(key: str) -> None:
    async def script(host: Host, pilot: Pilot[None]) -> None:
        await host.push_screen(HelpDialog())
        await pilot.press(key)
        assert isinstance(host.screen, LockScreen)

    play(LockScreen(), script)
