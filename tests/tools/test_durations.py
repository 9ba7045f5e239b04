import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_tools.durations import in_words, parse_duration


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("30s", 30), ("10m", 600), ("2h", 7_200), ("1.5h", 5_400), ("0.5s", 0.5), ("0s", 0)],
)
def test_what_people_write(text: str, duration_s: float) -> None:
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "10 m", " 10m", "10m\n", "-10m", "+10m", "1h30m", "10M", "10d", "1e3s", "infs",
     ".5s", "5.s", "1,5h", "١٠s", "1" * 10 + "s", "nan"],
)  # fmt: skip
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a duration such as 30s, 10m or 2h$"):
        parse_duration(text)


@given(
    st.integers(0, 999_999_999),
    st.none() | st.text("0123456789", min_size=1, max_size=9),
    st.sampled_from("smh"),
)
def test_every_number_with_a_unit_is_read(whole: int, fraction: str | None, unit: str) -> None:
    number = f"{whole}" if fraction is None else f"{whole}.{fraction}"
    assert parse_duration(number + unit) == float(number) * {"s": 1, "m": 60, "h": 3600}[unit]


@given(st.text() | st.from_regex(r"[0-9.+-]*[smhd ]*"))
def test_any_text_is_a_finite_duration_or_an_error(text: str) -> None:
    with suppress(ValueError):
        assert 0 <= parse_duration(text) < 1e9 * 3600


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (0, "0 s"), (0.0004, "0 s"), (0.001, "1 ms"), (0.143, "143 ms"), (0.9994, "999 ms"),
        (0.9996, "1 s"), (1.5, "1.5 s"), (9.96, "10 s"), (12.9, "12 s"), (59.9, "59 s"),
        (60, "1 min"), (588, "9 min 48 s"), (3_599, "59 min 59 s"), (3_600, "1 h"),
        (7_505, "2 h 5 min"), (86_400, "24 h"), (3_600_000, "1,000 h"),
    ],
)  # fmt: skip
def test_words(duration_s: float, words: str) -> None:
    assert in_words(duration_s) == words


@given(st.floats(0, 1e9))
def test_words_are_right_to_their_last_unit(duration_s: float) -> None:
    unit_s = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
    parts = re.findall(r"([0-9,.]+) (ms|s|min|h)", in_words(duration_s))
    said_s = sum(float(count.replace(",", "")) * unit_s[unit] for count, unit in parts)
    assert -0.051 <= duration_s - said_s < (60 if duration_s >= 3600 else 1)
