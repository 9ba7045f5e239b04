"""Keys, against a real server: what each does, and what two phones say to each other."""

import asyncio
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.tools.phone.hands import NARROW, WIDE, Hand, held, make_link, served, two_held
from textual.command import CommandPalette
from textual.widgets import Input, OptionList

from hwangso_tools.childserver import Ready
from hwangso_tools.phone.model import Write
from hwangso_tools.phone.screens import ChatScreen, ChatsScreen, LockScreen

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["80x24", "40x20"])


@SIZES
def test_two_phones_chat(server: Ready, tmp_path: Path, size: tuple[int, int]) -> None:
    ann, ben = f"ann{size[0]}", f"ben{size[0]}"

    async def play() -> None:
        phones = make_link(server, ann, tmp_path), make_link(server, ben, tmp_path)
        async with two_held(*phones, size=size) as (alice, bob):
            await alice.until("READY", "BG (by itself)")
            await bob.until("READY", "No notifications")
            await alice.chat_with(ben)
            await alice.until("app on screen", f"No messages with {ben} yet")
            await alice.type("hello")
            await alice.until("you: hello [on the server's disk]")
            await bob.until(f"{ann}: 1 new message")
            await bob.press("enter")
            await bob.until(f"{ann} (1 unread) hello")
            await bob.press("enter")
            await bob.until(f"Chat with {ann}", f"{ann}: hello")
            await bob.type("q? hi o k")
            await bob.until("you: q? hi o k [on the server's disk]")
            await alice.until(f"{ben}: q? hi o k")
            await bob.press("escape")
            await bob.until("you: q? hi o k", gone="unread")
            await bob.press("escape")
            await bob.until("No notifications", "app background")

    asyncio.run(play())


def test_written_in_airplane_mode_and_sent_after_it(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        phones = make_link(server, "ada", tmp_path), make_link(server, "bea", tmp_path)
        async with two_held(*phones) as (ada, bea):
            await bea.until("READY")
            await ada.until("READY")
            await ada.chat_with("bea")
            await ada.press("ctrl+r")
            await ada.until("airplane ON", "WAITING for airplane mode to end", "last failure")
            await ada.type("offline")
            await ada.until("you: offline [waiting]")
            await ada.press("ctrl+r")
            await ada.until("airplane off", "you: offline [on the server's disk]", "FG (a person")
            await bea.until("ada: 1 new message")

    asyncio.run(play())


def test_open_home_and_kill(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        async with held(make_link(server, "cat", tmp_path)) as cat:
            await cat.until("READY", "app background", "^o Open", gone="^l Home")
            await cat.press("ctrl+o")
            await cat.until("app on screen", "No chats yet", "^l Home", gone="^o Open")
            await cat.press("ctrl+l")
            await cat.until("app background", "Press Enter to open", "READY")
            await cat.press("ctrl+l", "ctrl+t")
            await cat.until("app closed", "OFF: the app is closed", gone="^t Kill")
            await cat.press("enter")
            await cat.until("READY | last connect FG (a person waits)")
            await cat.press("ctrl+t")
            await cat.until("app closed", "Press Enter to open")

    asyncio.run(play())


def test_a_closed_phone_gets_its_messages_when_it_is_opened(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        phones = make_link(server, "dan", tmp_path), make_link(server, "eli", tmp_path)
        async with two_held(*phones) as (dan, eli):
            await eli.until("READY")
            await dan.until("READY")
            await dan.press("ctrl+t")
            await dan.until("OFF")
            await eli.chat_with("dan")
            await eli.type("there?")
            await eli.until("[on the server's disk]")
            await dan.until("No notifications")
            await dan.press("enter")
            await dan.until("eli (1 unread) there?")

    asyncio.run(play())


def test_the_same_phone_next_time(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        async with held(make_link(server, "eva", tmp_path)) as eva:
            await eva.until("READY")
            await eva.chat_with("eva")
            await eva.type("note to myself")
            await eva.until("[on the server's disk]")
        async with held(make_link(server, "eva", tmp_path, password="", register=False)) as eva:
            await eva.until("READY")
            await eva.press("enter")
            await eva.until("you: note to myself")

    asyncio.run(play())


def test_a_server_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    async def play(server: Ready) -> None:
        async with held(make_link(server, "fay", tmp_path)) as fay:
            await fay.until("cannot connect: Connection refused")
            await fay.press("enter")
            await fay.until("app on screen", "last connect FG")

    with served(tmp_path) as gone:
        pass
    asyncio.run(play(gone))


def test_a_wrong_password_ends_the_phone(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        async with held(make_link(server, "gil", tmp_path)) as gil:
            await gil.until("READY")
        (tmp_path / "gil.phone").unlink()
        async with held(
            make_link(server, "gil", tmp_path, password="wrong", register=False)
        ) as gil:
            await gil.when(lambda: bool(gil.app.refused))
            assert "wrong password, or no such user" in gil.app.refused

    asyncio.run(play())


def test_every_key_over_dialogs_and_help(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        async with held(make_link(server, "hal", tmp_path)) as hal:
            await hal.until("READY")
            await hal.press("f1")
            await hal.until("Keys, everywhere", "Ctrl+R")
            await hal.press("ctrl+n", "ctrl+o", "ctrl+t", "f1")
            await hal.until("No notifications", "app background")
            await hal.press("ctrl+n")
            await hal.until("Chat with whom?")
            await hal.type("No Body")
            await hal.until("Not a user name")
            await hal.press("escape")
            await hal.until("No notifications", gone="Chat with whom?")

    asyncio.run(play())


def test_the_command_palette(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        async with held(make_link(server, "ida", tmp_path)) as ida:
            await ida.until("READY")
            for typed, said in (
                ("open", "app on screen"),
                ("kill", "app closed"),
                ("airplane", "airplane ON"),
                ("help", "Keys, everywhere"),
            ):
                await ida.press("ctrl+p")
                await ida.until("Search for commands")
                await ida.press(*typed)
                await ida.when(lambda: hits(ida) == 1)
                await ida.press("enter")
                await ida.when(lambda: not isinstance(ida.app.screen, CommandPalette))
                await ida.until(said)

    asyncio.run(play())


def hits(hand: Hand) -> int:
    """How many commands the palette offers."""
    found = list(hand.app.screen.query(OptionList))
    return found[0].option_count if found else 0


@SIZES
def test_every_screen_in_every_theme(server: Ready, tmp_path: Path, size: tuple[int, int]) -> None:
    async def play() -> None:
        async with held(make_link(server, "jo", tmp_path), size=size) as jo:
            await jo.until("READY", "jo | app background")
            await fits(jo, size)
            await jo.press("enter")
            await jo.until("No chats yet")
            await fits(jo, size)
            await jo.chat_with("jo")
            await jo.until("Type a message", "esc Back")
            for theme in ("textual-dark", "textual-light", "ansi-dark", "ansi-light"):
                jo.app.theme = theme
                await fits(jo, size)

    asyncio.run(play())


async def fits(hand: Hand, size: tuple[int, int]) -> None:
    """Status at the top, keys at the bottom, nothing beyond the edges."""
    await hand.until("f1 Help")
    lines = hand.shown.split("\n")
    assert len(lines) == size[1]
    assert max(map(cell_len, lines)) <= size[0]
    assert "jo | app" in lines[0]
    assert "f1 Help" in lines[-1]


def test_screens_lie_on_each_other(server: Ready, tmp_path: Path) -> None:
    async def play() -> None:
        async with held(make_link(server, "kim", tmp_path)) as kim:
            app = kim.app
            await kim.until("READY")
            assert isinstance(app.screen, LockScreen)
            await kim.chat_with("lee")
            await kim.chat_with("max")
            assert list(map(type, app.screen_stack)) == [LockScreen, ChatsScreen, ChatScreen]
            await kim.when(lambda: isinstance(app.focused, Input))
            await kim.press("escape")
            await kim.when(lambda: isinstance(app.screen, ChatsScreen))
            kim.app._link.tell(Write("lee", "x" * 100_000))
            await kim.until("message to 'lee'")
            await kim.press("ctrl+q")
            await kim.when(lambda: not app.is_running)

    asyncio.run(play())
