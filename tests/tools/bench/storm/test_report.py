import io
import re

from rich.console import Console
from rich.table import Table

from hwangso_tools.bench.storm.report import HEADLINES, comparison, goals


def printed(table: Table) -> list[list[str]]:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    assert max(map(len, out.getvalue().splitlines())) <= 80
    return [re.split(r"  +", line.strip()) for line in out.getvalue().splitlines()]


def test_ours_beside_the_published_figures() -> None:
    rows = printed(
        comparison(
            {
                "fg_p99_calm_ms": 4.25,
                "base_fg_p99_ms": 12.34,
                "off_fg_p99_ms": 2_345.6,
                "base_bg_back": 10_000,
                "base_bg_t99_s": 3.456,
                "impatient_bg_attempts": 19_123,
            }
        )
    )
    assert ["FG p99, calm", "4.25 ms", "6.5 ms", "14.5 ms", "247 ms"] in rows
    assert ["FG p99, patient", "12.3 ms", "2.35 s", "4.0-9.6 s", "never", "34 s"] in rows
    assert ["BG back, patient", "10,000", "10,000", "369-755", "9,681-9,999"] in rows
    assert ["BG 99 %, patient", "3.46 s", "5.0-10.4 s", "never"] in rows
    assert ["attempts, impatient", "19,123", "409,000", "408,000", "410,000"] in rows
    assert not any("max" in row[0] for row in rows if row)


def test_what_must_be_reached() -> None:
    rows = printed(
        goals(
            {
                "fg_p99_ratio": 3.0,
                "fg_failures": 1.0,
                "fg_p99_ratio_control_off": 9.9,
                "bg_drain_ratio": 1.51,
                "defer_cost_ratio": 0.2,
            }
        )
    )
    assert rows[-6:-1] == [
        ["fg_p99_ratio", "3", "at most 3", "reached"],
        ["fg_failures", "1", "at most 0", "missed"],
        ["fg_p99_ratio_control_off", "9.9", "at least 10", "missed"],
        ["bg_drain_ratio", "1.51", "at most 1.5", "missed"],
        ["defer_cost_ratio", "0.2", "at most 0.25", "reached"],
    ]


def test_headlines() -> None:
    assert HEADLINES[:3] == ("fg_p99_calm_ms", "fg_p99_storm_ms", "fg_p99_ratio")
