"""Durations as people write and read them: `10m` on a command line, `9 min 48 s` on a screen."""

import re
from typing import Final

_WRITTEN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Seconds of `30s`, `10m`, `1.5h`: one number and its unit. Raises ValueError."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError("not a duration such as 30s, 10m or 2h")
    number, unit = written.groups()
    return float(number) * _UNIT_S[unit]


def in_words(duration_s: float) -> str:
    """A duration that is not negative, with as much of it as people care for: `143 ms`, `1.5 s`,
    `12 s`, `9 min 48 s`, `2 h 5 min`. From 10 s on it is rounded down, as clocks do."""
    duration_s = round(duration_s, 3)
    if 0 < duration_s < 1:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 10:
        return f"{duration_s:.1f}".removesuffix(".0") + " s"
    minutes, seconds = divmod(int(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else seconds, "s")]
    return " ".join(f"{count:,} {unit}" for count, unit in parts if count)
