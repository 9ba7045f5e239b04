"""`hwangso calendar`: the slots that a running server has handed out for the time to come."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hwangso_tools.commands.operate import Where, ask_running
from hwangso_tools.durations import in_words
from hwangso_tools.results import Figure, results_file

ROWS_MAX: Final = 20
"""What fits a terminal of 24 lines, with the prompt."""
BAR_WIDTH: Final = 50
GROUPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300)
"""Seconds that one row stands for; the last is enough for 100 minutes."""


def calendar(*, where: Where | None = None, json: Path | None = None) -> None:
    """Show how many slots are handed out for the coming time, by the second or, when that is long,
    by some seconds.

    Parameters
    ----------
    json
        Also write the slots of each second to this file.
    """
    with results_file(json) as results:
        slots = ask_running(where, lambda admin: admin.calendar()).slots
        print("\n".join(calendar_lines(slots)))
        total = sum(count for _, count in slots)
        last_in_s = slots[-1][0] if slots else None
        by_second: list[Figure] = [[in_s, count] for in_s, count in slots]
        results.write(
            "calendar", {"slots": total, "last_slot_in_s": last_in_s, "by_second": by_second}, {}
        )


def calendar_lines(slots: Sequence[tuple[int, int]]) -> list[str]:
    """A bar for each second, or for each of some longer time; `slots` is in order of time."""
    if not slots:
        return ["no slots are handed out for the time to come"]
    last_in_s = slots[-1][0]
    group_s = next((s for s in GROUPS_S if last_in_s // s < ROWS_MAX), GROUPS_S[-1])
    rows: Counter[int] = Counter()
    for in_s, count in slots:
        rows[in_s // group_s] += count
    fullest = max(rows.values())
    each = f", {group_s} s a row" if group_s > 1 else ""
    return [
        f"{rows.total():,} slots, the last in {in_words(last_in_s)}{each}",
        "",
        f"{'in':>11}{'slots':>10}",
        *(
            f"{in_words(row * group_s):>11}{rows[row]:>10,}  {_bar(rows[row] / fullest)}".rstrip()
            for row in range(last_in_s // group_s + 1)
        ),
    ]


def _bar(share: float) -> str:
    """Some of it for the least share, for the row is not empty."""
    return "#" * math.ceil(share * BAR_WIDTH)
