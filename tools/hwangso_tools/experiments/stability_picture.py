"""The stability map as a picture: an SVG of its own, no colour of which is needed to read it."""

from typing import Final

from hwangso_tools.durations import in_words
from hwangso_tools.experiments.stability import BackAfter, Cell
from hwangso_tools.experiments.stability_report import controls, durations_s, shares, shown
from hwangso_tools.storm.progress import control_name

CELL_PX: Final = (46, 30)
MARGIN_PX: Final = (70, 64, 24, 74)
"""Left, above, between the two maps, and below."""

FASTEST: Final = (222, 235, 247)
SLOWEST: Final = (66, 146, 198)
"""Red, green and blue of a crowd that is back at once, and of one that takes `SLOW_S`."""
COLLAPSED: Final = (84, 13, 30)
SLOW_S: Final = 300.0
"""The map with control has nothing slower than this; beyond it the colour stays."""


def picture(found: BackAfter, caption: str) -> str:
    """An SVG of its own, no colour of which is needed to read it: each cell has its number."""
    columns, rows = shares(found), durations_s(found)
    width, height = CELL_PX
    left, above, between, below = MARGIN_PX
    map_px = left + len(columns) * width
    total_px = 2 * map_px + between
    high_px = above + len(rows) * height + below
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_px} {high_px}">',
        "<title>Stability map: seconds until all phones are back</title>",
        f'<rect width="{total_px}" height="{high_px}" fill="white"/>',
    ]
    for place, control in enumerate(controls(found)):
        parts += _map(found, control, left + place * (map_px + between))
    parts.append(_text(left, high_px - 12, caption, anchor="start"))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _map(found: BackAfter, control: bool, x_px: int) -> list[str]:
    columns, rows = shares(found), durations_s(found)
    width, height = CELL_PX
    top_px = MARGIN_PX[1]
    bottom_px = top_px + len(rows) * height
    middle_px = x_px + len(columns) * width // 2
    parts = [_text(middle_px, 24, control_name(control), size=16)]
    parts.append(_text(x_px - 8, top_px - 10, "outage", anchor="end"))
    for row, duration_s in enumerate(rows):
        y_px = top_px + row * height
        parts.append(_text(x_px - 8, y_px + height // 2 + 4, in_words(duration_s), anchor="end"))
        for column, share in enumerate(columns):
            after_s = found[Cell(control, duration_s, share)]
            parts += _cell(x_px + column * width, y_px, after_s)
    for column, share in enumerate(columns):
        parts.append(_text(x_px + column * width + width // 2, bottom_px + 18, f"{share:.0%}"))
    parts.append(_text(middle_px, bottom_px + 38, "phones that lose their service"))
    return parts


def _cell(x_px: int, y_px: int, after_s: float | None) -> list[str]:
    width, height = CELL_PX
    red, green, blue = COLLAPSED if after_s is None else _blue(after_s)
    ink = "white" if after_s is None else "black"
    place = f'x="{x_px}" y="{y_px}" width="{width}" height="{height}"'
    return [
        f'<rect {place} fill="rgb({red},{green},{blue})" stroke="white"/>',
        _text(x_px + width // 2, y_px + height // 2 + 4, shown(after_s), ink=ink),
    ]


def _blue(after_s: float) -> tuple[int, int, int]:
    part = min(after_s / SLOW_S, 1.0)
    red, green, blue = (
        round(fast + part * (slow - fast)) for fast, slow in zip(FASTEST, SLOWEST, strict=True)
    )
    return red, green, blue


def _text(
    x_px: int, y_px: int, text: str, *, anchor: str = "middle", ink: str = "black", size: int = 12
) -> str:
    return (
        f'<text x="{x_px}" y="{y_px}" text-anchor="{anchor}" fill="{ink}" font-size="{size}" '
        f'font-family="sans-serif">{text}</text>'
    )
