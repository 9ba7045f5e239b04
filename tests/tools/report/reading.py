"""Reads a report's page, as a browser would."""

import re
from html.parser import HTMLParser
from typing import Final

import msgspec

VOID: Final = frozenset({"meta", "link", "img", "br", "hr", "input", "source", "base"})
"""Elements that have no end."""

LOADS: Final = frozenset(
    {"src", "srcset", "href", "action", "formaction", "data", "poster", "background", "ping"}
)
"""Attributes with an address that a browser may go to."""

LOADS_OF_STYLE: Final = re.compile(r"@import|url\s*\(|image-set\s*\(", re.IGNORECASE)


class ReportReader(HTMLParser):
    """Everything a test asks about; raises AssertionError where the page is not well formed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.addresses: list[str] = []
        """Of everything that is loaded, or can be clicked."""
        self.styles: list[str] = []
        self.scripts: list[str] = []
        self.figures: dict[str, dict[str, object]] = {}
        """What plotly is given, by the chart's key."""
        self.policy: str | None = None
        self._open: list[tuple[str, str | None]] = []
        self._texts: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """What can be read, with single spaces."""
        return " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.elements.append(tag)
        self.addresses += [f"{tag} {name}" for name in named if name in LOADS]
        self.styles += [value for name, value in attrs if name == "style" and value]
        assert not any(name.startswith("on") for name in named), tag
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]
        if tag not in VOID:
            self._open.append((tag, named.get("id")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, key = self._open[-1] if self._open else ("", None)
        if tag == "script" and key is not None:
            self.figures[key.removesuffix("-figure")] = msgspec.json.decode(data, type=dict)
        elif tag == "script":
            self.scripts.append(data)
        elif tag == "style":
            self.styles.append(data)
        else:
            self._texts.append(data)
