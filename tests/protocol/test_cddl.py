"""`messages.cddl` and the decoder say the same, about good messages and broken ones."""

from typing import TypeAlias, cast

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.protocol import strategies
from tests.protocol.cddl import RULES, fits_schema, rule_of

from hwangso_protocol import limits
from hwangso_protocol.errors import ProtocolError, UnknownMessageError
from hwangso_protocol.messages import FROM_CLIENT, FROM_SERVER, Message, decode, encode

Item: TypeAlias = dict[str, object]
ALL = {**FROM_CLIENT, **FROM_SERVER}
BY_TAG = {
    str(kind.__struct_config__.tag): strategy
    for kind, strategy in (
        strategies.FROM_CLIENT | strategies.FROM_BOTH | strategies.FROM_SERVER
    ).items()
}
TAGS = pytest.mark.parametrize("tag", sorted(ALL))


def is_decoded(data: bytes) -> bool:
    try:
        decode(data, ALL)
    except (ProtocolError, UnknownMessageError):
        return False
    return True


def item_of(message: Message) -> Item:
    item: Item = cbor2.loads(encode(message))
    return item


@TAGS
@given(data=st.data())
@settings(max_examples=40)  # of each type
def test_every_message_we_can_send_fits_the_schema(tag: str, data: st.DataObject) -> None:
    message = data.draw(BY_TAG[tag])
    assert fits_schema(tag, encode(message))


@TAGS
@given(data=st.data())
@settings(max_examples=40)  # of each type
def test_no_message_fits_the_schema_of_another_type(tag: str, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from(sorted(set(ALL) - {tag})))
    assert not fits_schema(other, encode(data.draw(BY_TAG[tag])))


def choices_of(rule: str) -> set[str]:
    return set(RULES[rule].split(" / "))


def test_each_side_has_its_messages() -> None:
    from_both = choices_of("from-both")
    for rule, allowed in (("from-client", FROM_CLIENT), ("from-server", FROM_SERVER)):
        choices = choices_of(rule)
        assert choices - {"from-both"} | from_both == {rule_of(tag) for tag in allowed}
    assert choices_of("message") == {"from-client", "from-server"}


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([2**32, 2**32 + 1, 2**53, 2**53 + 1, 2**63, 2**64 - 1, -(2**63)]),
    st.floats(),
    st.text(max_size=3),
    strategies.USER_NAMES,
    st.sampled_from(["x" * 32, "x" * 33, "x" * 64, "x" * 65, "x" * 200, "x" * 201, "x" * 257]),
    st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33, 256, 257]).map(bytes),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(-3, 300), max_size=2),
)


def damage(item: Item, draw: st.DrawFn) -> Item:
    """The item with one field gone, replaced or added, here or in a map inside."""
    inside: list[str] = [
        key for key, value in item.items() if isinstance(value, dict | list) and value
    ]
    go_inside: bool = bool(inside) and draw(st.booleans())
    if go_inside:
        key = draw(st.sampled_from(inside))
        value = item[key]
        if isinstance(value, dict):
            return item | {key: damage(cast("Item", value), draw)}
        elements = cast("list[Item]", value)
        at = draw(st.integers(0, len(elements) - 1))
        return item | {key: [*elements[:at], damage(elements[at], draw), *elements[at + 1 :]]}
    fields = sorted(set(item) - {"t"})
    how = draw(st.sampled_from(["add", "drop", "replace"] if fields else ["add"]))
    if how == "add":
        return item | {draw(st.text(max_size=4).filter(lambda key: key not in item)): draw(JUNK)}
    field = draw(st.sampled_from(fields))
    if how == "drop":
        return {key: value for key, value in item.items() if key != field}
    return item | {field: draw(JUNK)}


@st.composite
def damaged_items(draw: st.DrawFn, tag: str) -> Item:
    return damage(item_of(draw(BY_TAG[tag])), draw)


@TAGS
@given(data=st.data())
@settings(max_examples=40)  # of each type
def test_schema_and_decoder_agree_on_damaged_messages(tag: str, data: st.DataObject) -> None:
    encoded = cbor2.dumps(data.draw(damaged_items(tag)))
    assert fits_schema(tag, encoded) == is_decoded(encoded)


SEND: Item = {"t": "send", "id": bytes(16), "to": "bob", "body": "hi"}


@given(size=st.integers(0, 5_000), character=st.sampled_from(["x", "é", "안", "🐂"]))
@example(size=limits.BODY_MAX_CHARS, character="🐂")
@example(size=limits.BODY_MAX_CHARS + 1, character="🐂")
def test_a_body_is_bounded_in_bytes_by_the_schema_and_in_characters_by_the_decoder(
    size: int, character: str
) -> None:
    encoded = cbor2.dumps(SEND | {"body": character * size})
    assert fits_schema("send", encoded) == (1 <= len(character.encode()) * size <= 16_384)
    assert is_decoded(encoded) == (1 <= size <= limits.BODY_MAX_CHARS)
    assert fits_schema("send", encoded) or not is_decoded(encoded)


def test_the_schema_can_refuse() -> None:
    """A few by hand, so that a schema that takes everything, or nothing, shows."""
    assert fits_schema("send", cbor2.dumps(SEND))
    assert fits_schema("send", cbor2.dumps(SEND | {"new": {"x": [1]}}))
    assert not fits_schema("send", cbor2.dumps(SEND | {"id": "x" * 16}))
    assert not fits_schema("send", cbor2.dumps(SEND | {"to": "bob\n"}))
    assert not fits_schema("send", cbor2.dumps(SEND | {"t": "sent"}))
    assert not fits_schema("send", cbor2.dumps({"t": "send"}))


def test_the_largest_lists_fit_and_no_larger() -> None:
    entry = {"seq": 1, "id": bytes(16), "sender": "a", "to": "b", "body": "x", "at_ms": 1}
    device = {"device": 1, "name": "x", "created_at_ms": 1}
    for tag, item, field, element, most in (
        ("page", {"t": "page", "head": 1}, "entries", entry, limits.PAGE_MAX_ENTRIES),
        ("deliver", {"t": "deliver"}, "entries", entry, limits.PAGE_MAX_ENTRIES),
        ("device_list", {"t": "device_list"}, "devices", device, limits.DEVICES_PER_USER_MAX),
    ):
        for count in (most, most + 1):
            encoded = cbor2.dumps(item | {field: [element] * count})
            assert fits_schema(tag, encoded) == is_decoded(encoded) == (count == most)
