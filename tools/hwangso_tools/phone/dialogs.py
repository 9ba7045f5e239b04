"""What comes up over the phone: the question for a name, and the help."""

from typing import ClassVar, Final

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from hwangso_protocol.limits import USER_NAME_MAX_CHARS
from hwangso_protocol.messages import UserName

_NAME_RULE: Final = "1 to 32 of a-z 0-9 . - _, beginning with a letter or digit"

KEYS: Final = (
    ("Ctrl+O", "open the app: a person waits, so it connects as FG at once"),
    ("Ctrl+L", "home: the app goes to the background, messages become notifications"),
    ("Ctrl+T", "kill the app: no connection, no notifications, until it is opened"),
    ("Ctrl+R", "airplane mode (the radio) on or off"),
    ("Ctrl+N", "a chat with somebody, by name"),
    ("Esc", "back"),
    ("F1", "this help"),
    ("Ctrl+P", "all of these by name, and the theme"),
    ("Ctrl+Q", "switch the phone off; started again, it is the same phone"),
    ("Enter", "send; in lists: open"),
    ("PgUp PgDn", "scroll a chat"),
)

WORDS: Final = (
    ("READY", "the server has welcomed this phone"),
    ("CONNECTING", "an attempt is under way"),
    ("WAITING", "for the end of a back-off, or for the radio"),
    ("DEFERRED", "the server said when to come back"),
    ("OFF", "no connection is wanted"),
    ("STOPPED", "the server does not want this phone"),
    ("FG, BG", "what the last connect was for: a person who waits, or the phone by itself"),
    ("[waiting]", "your message is still in this phone"),
    ("[on the server's disk]", "it is safe, and on its way"),
    ("[refused]", "the server will never take it"),
)


class NameDialog(ModalScreen[str | None]):
    """Asks whom to chat with. Gives the name, or None if the user thinks better of it."""

    DEFAULT_CSS = """
    NameDialog { align: center middle; }
    NameDialog Vertical {
        width: 60; max-width: 100%; height: auto; padding: 0 1;
        background: $panel; border: round $primary;
    }
    NameDialog Label { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "cancel", "Cancel")]

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Label("Chat with whom? Enter opens, Esc cancels.")
            yield Input(placeholder="name of a user", max_length=USER_NAME_MAX_CHARS)
            yield Label(id="complaint")

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        event.stop()
        name = event.value.strip()
        try:
            msgspec.convert(name, UserName)
        except msgspec.ValidationError:
            self.query_one("#complaint", Label).update(f"Not a user name: {_NAME_RULE}")
        else:
            self.dismiss(name)

    def action_cancel(self) -> None:
        """Escape."""
        self.dismiss(None)


class HelpDialog(ModalScreen[None]):
    """The keys, and what the words mean."""

    DEFAULT_CSS = """
    HelpDialog { align: center middle; }
    HelpDialog VerticalScroll {
        width: 64; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        background: $panel; border: round $primary;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape,f1,q,enter", "close", "Close")]

    def compose(self) -> ComposeResult:
        with VerticalScroll() as scroll:
            scroll.border_title = "Help: Esc closes, arrows scroll"
            yield Static(
                "One phone of one user. Another one in another terminal, with another --user, "
                "is somebody to chat with.\n"
            )
            yield Static(_table("Keys, everywhere", KEYS))
            yield Static(_table("\nWords", WORDS))

    def action_close(self) -> None:
        """Any of its keys."""
        self.dismiss(None)


def _table(title: str, rows: tuple[tuple[str, str], ...]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=12)
    table.add_column(ratio=1)
    for row in rows:
        table.add_row(*map(Text, row))
    return Group(Text(title, "bold"), table)
