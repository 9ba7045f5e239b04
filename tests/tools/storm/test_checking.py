"""A table of TOML against a Struct: what is wrong, in exact lines."""

from enum import StrEnum
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from hwangso_tools.storm.checking import Mistake, checked, refuse_unknown


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=1_000)]


class Dot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="dot"):
    at_s: Annotated[float, Meta(ge=0, le=10)]


class Dash(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="dash"):
    at_s: Annotated[float, Meta(ge=0, le=10)]
    length_s: Annotated[float, Meta(ge=0, le=10)] = 3.0


class Tree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    tall: bool = False
    colour: Colour = Colour.RED
    motto: Annotated[str, Meta(min_length=1, max_length=5, pattern="^[a-z]*$")] = "none"
    ratio: float | None = None
    span: tuple[float, float] | None = None
    leaf: Leaf = Leaf(3)
    leaves: tuple[Leaf, ...] = ()
    code: tuple[Dot | Dash, ...] = ()


def mistake(table: dict[str, object]) -> str:
    with pytest.raises(Mistake) as caught:
        checked(table, Tree, "my.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_right() -> None:
    table: dict[str, object] = {
        "name": "oak",
        "ratio": 2,
        "span": [1, 2.5],
        "colour": "green",
        "leaf": {"size": 7},
        "leaves": [{"size": 1}, {"size": 2}],
        "code": [{"kind": "dot", "at_s": 1}, {"kind": "dash", "at_s": 2}],
    }
    assert checked(table, Tree, "my.toml") == Tree(
        name="oak",
        ratio=2.0,
        span=(1.0, 2.5),
        colour=Colour.GREEN,
        leaf=Leaf(7),
        leaves=(Leaf(1), Leaf(2)),
        code=(Dot(1.0), Dash(2.0, 3.0)),
    )


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"nme": "x"}, "my.toml: 'nme' is unknown; did you mean name?"),
        (
            {"zzz": 1},
            (
                "my.toml: 'zzz' is unknown; "
                "known: code, colour, leaf, leaves, motto, name, ratio, span, tall"
            ),
        ),
        ({"name": ""}, "my.toml: name: '' is not allowed, expected a text of 1 to 5 characters"),
        ({"name": 3}, "my.toml: name: 3 is not allowed, expected a text of 1 to 5 characters"),
        (
            {"name": "oak", "motto": "a\x1b"},
            (
                "my.toml: motto: 'a\\x1b' is not allowed, "
                "expected a line of 1 to 5 characters that can be printed"
            ),
        ),
        ({"tall": 1}, "my.toml: tall: 1 is not allowed, expected true or false"),
        ({"colour": "rde"}, "my.toml: colour: 'rde' is unknown; did you mean red?"),
        ({"colour": 3}, "my.toml: colour: 3 is not allowed, expected 'red' or 'green'"),
        ({"ratio": "x"}, "my.toml: ratio: 'x' is not allowed, expected a number"),
        ({"span": [1]}, "my.toml: span: [1] is not allowed, expected [a number, a number]"),
        ({"leaf": 3}, "my.toml: leaf: 3 is not allowed, expected a table"),
        ({"leaf": {}}, "my.toml: leaf: size: is missing, expected a whole number from 1 to 1,000"),
        (
            {"leaves": [{"size": 1}, {"size": 0}]},
            "my.toml: leaves 2: size: 0 is not allowed, expected a whole number from 1 to 1,000",
        ),
        (
            {"leaves": {"size": 1}},
            "my.toml: leaves: {'size': 1} is not allowed, expected tables, each under [[leaves]]",
        ),
        (
            {"code": [{"kind": "dash", "at_s": 11}]},
            "my.toml: code 1 (dash): at_s: 11 is not allowed, expected a number from 0 to 10",
        ),
        (
            {"code": [{"kind": "dot", "at_s": 1, "length_s": 2}]},
            "my.toml: code 1 (dot): 'length_s' is unknown; known: at_s",
        ),
        (
            {"code": [{"kind": "dsh"}]},
            "my.toml: code 1: kind: 'dsh' is unknown; did you mean dash?",
        ),
        ({"code": [{}]}, "my.toml: code 1: kind: is missing, expected 'dot' or 'dash'"),
        (
            {"code": [{"kind": 1}]},
            "my.toml: code 1: kind: 1 is not allowed, expected 'dot' or 'dash'",
        ),
        ({"code": [1]}, "my.toml: code 1: 1 is not allowed, expected a table"),
    ],
)
def test_what_is_wrong(wrong: dict[str, object], line: str) -> None:
    assert mistake({"name": "oak", **wrong}) == line


def test_what_is_missing() -> None:
    assert mistake({}) == "my.toml: name: is missing, expected a text of 1 to 5 characters"


def test_a_long_value_is_cut() -> None:
    line = mistake({"name": "x" * 1_000})
    shown = "'" + 59 * "x"
    assert line == (f"my.toml: name: {shown} is not allowed, expected a text of 1 to 5 characters")
    assert mistake({"y" * 1_000: 1}).startswith(f"my.toml: '{59 * 'y'} is unknown; known: ")


class Garden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every kind of key, none with a default."""

    tree: Tree
    colour: Colour
    shade: Colour | None
    leaves: tuple[Leaf, ...]
    code: tuple[Dot | Dash, ...]


WHOLE_GARDEN: dict[str, object] = {
    "tree": {"name": "oak"},
    "colour": "red",
    "shade": "green",
    "leaves": [],
    "code": [],
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("tree", "a table"),
        ("colour", "'red' or 'green'"),
        ("shade", "'red' or 'green'"),
        ("leaves", "tables"),
        ("code", "tables"),
    ],
)
def test_what_a_missing_key_should_have_been(key: str, expected: str) -> None:
    assert checked(WHOLE_GARDEN, Garden, "my.toml").shade is Colour.GREEN
    table = {name: value for name, value in WHOLE_GARDEN.items() if name != key}
    with pytest.raises(Mistake) as caught:
        checked(table, Garden, "my.toml")
    assert str(caught.value) == f"my.toml: {key}: is missing, expected {expected}"


def test_the_first_of_several_mistakes_is_told() -> None:
    """A name that is unknown comes before a value: it may be the missing one, mistyped."""
    assert mistake({"nam": "oak", "tall": 1}) == "my.toml: 'nam' is unknown; did you mean name?"
    assert mistake({"name": 1, "tall": 1}).startswith("my.toml: name: 1 is not allowed")


def test_a_struct_that_there_are_no_words_for_is_a_mistake_of_ours() -> None:
    """Said when anything is wrong with such a key, not in a user's line."""

    class Odd(msgspec.Struct):
        raw: bytes
        low: Annotated[int, Meta(ge=1)]
        high: Annotated[float, Meta(le=1)]

    with pytest.raises(TypeError, match="no words yet for BytesType"):
        checked({}, Odd, "my.toml")
    with pytest.raises(TypeError, match="no words yet for IntType"):
        checked({"raw": b"", "low": 0}, Odd, "my.toml")


def test_a_number_that_is_none() -> None:
    line = mistake({"name": "oak", "code": [{"kind": "dot", "at_s": float("nan")}]})
    assert line == "my.toml: code 1 (dot): at_s: nan is not allowed, expected a number from 0 to 10"


def test_a_name_among_many() -> None:
    with pytest.raises(
        Mistake, match=r"^scenario: 'pohang' is unknown; did you mean pohang-2017\?$"
    ):
        refuse_unknown("scenario", "pohang", ["pohang-2017", "calm-day"])
