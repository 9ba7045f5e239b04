"""The screens of a phone. Each shows a `Phone` and says what its user wants; it knows no device."""

from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Digits, Footer, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from hwangso_protocol.limits import BODY_MAX_CHARS
from hwangso_tools.phone.chats import Conversation
from hwangso_tools.phone.lines import chat_text, conversation_line, day, lock_text, minute
from hwangso_tools.phone.model import Phone
from hwangso_tools.phone.status import failure_line, link_line, phone_line

_OPEN_HINT: Final = "Press Enter to open the app"
_NO_CHATS: Final = "No chats yet. Ctrl+N starts one."


class StatusBar(Static):
    """The lines at the top of every screen: phone, connection, last failure."""

    DEFAULT_CSS = """
    StatusBar { dock: top; height: auto; padding: 0 1; background: $panel; color: $foreground; }
    """

    def show(self, phone: Phone, now: float) -> None:
        """Say how it is now, seconds since 1970."""
        status = phone.status
        lines = (phone_line(status), link_line(status, now), failure_line(status))
        self.update(Text("\n".join(filter(None, lines))))


class PhoneScreen(Screen[None]):
    """A screen with the status at the top and the keys at the bottom. `show` what it is to show."""

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield from self.body()
        yield Footer(compact=True)

    def body(self) -> ComposeResult:
        """The widgets between status and keys: none, unless a screen has some."""
        yield from ()

    def show(self, phone: Phone, now: float) -> None:
        """Show the phone, and what time it is, seconds since 1970."""
        self.query_one(StatusBar).show(phone, now)


class LockScreen(PhoneScreen):
    """A clock, and what came while the app was not on the screen."""

    DEFAULT_CSS = """
    LockScreen { align: center middle; }
    #clock { width: 100%; text-align: center; margin-top: 1; }
    #date, #hint { width: 100%; text-align: center; }
    #notifications { width: 100%; height: 1fr; margin: 1 2; text-align: center; overflow-y: auto; }
    #hint { margin-bottom: 1; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "app.open", "Open", show=False)]

    def body(self) -> ComposeResult:
        yield Digits(id="clock")
        yield Static(id="date")
        yield Static(id="notifications")
        yield Static(_OPEN_HINT, id="hint")

    def show(self, phone: Phone, now: float) -> None:
        super().show(phone, now)
        self.query_one("#clock", Digits).update(minute(now))
        self.query_one("#date", Static).update(day(now))
        said = Text(lock_text(phone.chats, phone.status.missed))
        self.query_one("#notifications", Static).update(said)


class ChatsScreen(PhoneScreen):
    """The chats of the user, the newest first."""

    class Chosen(Message):
        """The user wants to see the chat with `peer`."""

        def __init__(self, peer: str) -> None:
            super().__init__()
            self.peer = peer

    DEFAULT_CSS = """
    ChatsScreen OptionList { height: 1fr; padding: 0 1; }
    ChatsScreen OptionList, ChatsScreen OptionList:focus { border: none; }
    ChatsScreen .option-list--option-highlighted { text-style: bold reverse; }
    #no-chats { margin: 1 2; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.home", "Home", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._conversations: tuple[Conversation, ...] = ()

    def body(self) -> ComposeResult:
        yield Static(_NO_CHATS, id="no-chats")
        yield OptionList()

    def show(self, phone: Phone, now: float) -> None:
        super().show(phone, now)
        conversations = phone.chats.conversations()
        self.query_one("#no-chats").display = not conversations
        options = self.query_one(OptionList)
        if conversations != self._conversations:
            self._fill(options, conversations)

    def _fill(self, options: OptionList, conversations: tuple[Conversation, ...]) -> None:
        """The highlight stays with the chat it was on."""
        at = options.highlighted
        chosen = self._conversations[at].peer if at is not None else None
        self._conversations = conversations
        lines = (Text(conversation_line(each), no_wrap=True) for each in conversations)
        options.clear_options()
        options.add_options([Option(line) for line in lines])
        peers = [conversation.peer for conversation in conversations]
        if peers:
            options.highlighted = peers.index(chosen) if chosen in peers else 0

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(self._conversations[event.option_index].peer))


class ChatScreen(PhoneScreen):
    """The chat with one user, and a line to write in."""

    class Written(Message):
        """The user wrote a message."""

        def __init__(self, to: str, body: str) -> None:
            super().__init__()
            self.to = to
            self.body = body

    DEFAULT_CSS = """
    #peer { width: 100%; padding: 0 1; text-style: bold; }
    #messages { height: 1fr; padding: 0 1; }
    #messages Static { height: auto; }
    ChatScreen Input { height: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "app.back", "Back"),
        ("pageup", "scroll(-1)", ""),
        ("pagedown", "scroll(1)", ""),
    ]

    def __init__(self, peer: str) -> None:
        super().__init__()
        self.peer = peer
        self._shown = ""

    def body(self) -> ComposeResult:
        yield Label(f"Chat with {self.peer}", id="peer", markup=False)
        with VerticalScroll(id="messages", can_focus=False):
            yield Static()
        yield Input(placeholder="Type a message, Enter sends it", max_length=BODY_MAX_CHARS)

    def on_mount(self) -> None:
        """Type at once; the newest message stays in view."""
        self.query_one(Input).focus()
        self.query_one("#messages").anchor()

    def show(self, phone: Phone, now: float) -> None:
        super().show(phone, now)
        text = chat_text(phone.chats, self.peer)
        if text != self._shown:
            self._shown = text
            self.query_one("#messages Static", Static).update(Text(text))

    def action_scroll(self, pages: int) -> None:
        """A page up or down."""
        messages = self.query_one("#messages")
        if pages < 0:
            messages.scroll_page_up()
        else:
            messages.scroll_page_down()

    @on(Input.Submitted)
    def _send(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            event.input.clear()
            self.post_message(self.Written(self.peer, event.value))
