"""Messages: every one survives the wire, and nothing hostile gets through the decoder."""

import struct
from collections.abc import Mapping

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol import strategies
from tests.protocol.sides import DEVICE_KEY, WELCOME

from hwangso_protocol import limits, messages
from hwangso_protocol.errors import Fault, ProtocolError, UnknownMessageError
from hwangso_protocol.messages import (
    FROM_CLIENT,
    FROM_SERVER,
    Bye,
    ByeReason,
    Enrol,
    Entry,
    Error,
    ErrorCode,
    Login,
    Message,
    Page,
    Ready,
    Send,
    Sync,
    decode,
    encode,
)

SEND = {"t": "send", "id": bytes(16), "to": "bob", "body": "hi"}
ENROL = {"t": "enrol", "user": "alice", "password": "x", "device": "phone", "key": bytes(32)}


def assert_bad(data: bytes, reason: str = "bad_message: ") -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        decode(data, FROM_CLIENT)
    assert caught.value.fault is Fault.BAD_MESSAGE


def ready_with(item: bytes) -> bytes:
    """`{"t": "ready", "x": item}`: an unknown field, so only the CBOR reader can refuse it."""
    return b"\xa2\x61t\x65ready\x61x" + item


@given(message=strategies.CLIENT_MESSAGES)
def test_client_messages_survive_the_wire(message: Message) -> None:
    assert decode(encode(message), FROM_CLIENT) == message


@given(message=strategies.SERVER_MESSAGES)
def test_server_messages_survive_the_wire(message: Message) -> None:
    assert decode(encode(message), FROM_SERVER) == message


def test_the_strategies_leave_no_message_out() -> None:
    assert set(FROM_CLIENT.values()) == {*strategies.FROM_CLIENT, *strategies.FROM_BOTH}
    assert set(FROM_SERVER.values()) == {*strategies.FROM_SERVER, *strategies.FROM_BOTH}


def test_defaults_are_not_sent() -> None:
    assert encode(Ready()) == b"\xa1\x61t\x65ready"
    assert cbor2.loads(encode(Sync(since=5))) == {"t": "sync", "since": 5}
    assert cbor2.loads(encode(Page(head=9))) == {"t": "page", "head": 9}
    assert cbor2.loads(encode(Error(ErrorCode.BUSY))) == {"t": "error", "code": "busy"}


def test_unknown_fields_are_ignored_at_every_level() -> None:
    item = msgspec.to_builtins(WELCOME, builtin_types=(bytes,))
    item["colour"] = {"deep": [1, None, 2.5, {b"bytes": True}]}
    item["policy"] |= {"mood": "calm"}
    entry = {"seq": 8, "id": bytes(16), "sender": "bob", "to": "alice", "body": "hi", "at_ms": 1}
    item["entries"] = [entry | {"stars": 5}]
    decoded = decode(cbor2.dumps(item), FROM_SERVER)
    assert decoded == msgspec.structs.replace(
        WELCOME, entries=(msgspec.convert(entry, Entry, builtin_types=(bytes,)),)
    )


@pytest.mark.parametrize("code", ["rate_limited", "", "x" * 1000])
def test_unknown_codes_read_as_other(code: str) -> None:
    error = decode(cbor2.dumps({"t": "error", "code": code}), FROM_SERVER)
    assert error == Error(ErrorCode.OTHER)
    bye = decode(cbor2.dumps({"t": "bye", "reason": code}), FROM_SERVER)
    assert bye == Bye(ByeReason.OTHER)


@pytest.mark.parametrize("code", [7, None, b"busy", True, ["busy"]])
def test_a_code_is_text(code: object) -> None:
    assert_bad(cbor2.dumps({"t": "error", "code": code}), "error: Expected `str`")


def test_unknown_types_are_told_apart_from_bad_messages() -> None:
    with pytest.raises(UnknownMessageError) as caught:
        decode(cbor2.dumps({"t": "typing", "to": 5}), FROM_CLIENT)
    assert caught.value.tag == "typing"
    with pytest.raises(UnknownMessageError, match="'welcome'"):
        decode(encode(WELCOME), FROM_CLIENT)
    with pytest.raises(UnknownMessageError, match="'login'"):
        decode(encode(Login(since=0)), FROM_SERVER)


def test_an_unknown_type_of_any_length_fits_into_an_error() -> None:
    with pytest.raises(UnknownMessageError) as caught:
        decode(cbor2.dumps({"t": "\N{COW}" * 10_000}), FROM_CLIENT)
    answer = Error(ErrorCode.UNKNOWN_MESSAGE, caught.value.tag)
    assert decode(encode(answer), FROM_CLIENT) == answer


def test_a_message_that_fits_no_record_is_not_encoded() -> None:
    fits = limits.MESSAGE_MAX_BYTES - len(encode(Send(bytes(16), "bob", ""))) - 2
    assert len(encode(Send(bytes(16), "bob", "x" * fits))) == limits.MESSAGE_MAX_BYTES
    with pytest.raises(ValueError, match="message of 65520 bytes, at most 65519 fit"):
        encode(Send(bytes(16), "bob", "x" * (fits + 1)))


def test_text_that_is_not_unicode_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode(Send(bytes(16), "bob", "\ud800"))


@pytest.mark.parametrize(
    ("name", "is_good"),
    [
        ("a", True),
        ("0", True),
        ("a.b_c-d", True),
        ("a" * 32, True),
        ("", False),
        ("a" * 33, False),
        ("Alice", False),
        (".a", False),
        ("-a", False),
        ("_a", False),
        ("a b", False),
        ("a\n", False),
        ("황소", False),
        ("a\x00", False),
    ],
)
def test_user_names(name: str, is_good: bool) -> None:
    data = cbor2.dumps(SEND | {"to": name})
    if is_good:
        assert decode(data, FROM_CLIENT) == Send(bytes(16), name, "hi")
    else:
        assert_bad(data, "send: ")


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (SEND | {"id": bytes(15)}, "id"),
        (SEND | {"id": bytes(17)}, "id"),
        # Base64 text is not bytes, though msgspec would take it for JSON's sake.
        (SEND | {"id": "AAAAAAAAAAAAAAAAAAAAAA=="}, "id"),
        (ENROL | {"key": "A" * 43 + "="}, "key"),
        (ENROL | {"key": bytes(31)}, "key"),
        (SEND | {"body": ""}, "body"),
        (SEND | {"body": "x" * 4097}, "body"),
        (SEND | {"body": b"bytes"}, "body"),
        (ENROL | {"password": ""}, "password"),
        (ENROL | {"password": "x" * 257}, "password"),
        (ENROL | {"device": ""}, "device"),
        (ENROL | {"device": "x" * 65}, "device"),
        (ENROL | {"register": 1}, "register"),
        ({"t": "login", "since": -1}, "since"),
        ({"t": "login", "since": 2**53 + 1}, "since"),
        ({"t": "login", "since": 2**64 - 1}, "since"),
        ({"t": "login", "since": -(2**64)}, "since"),
        ({"t": "login", "since": 1.0}, "since"),
        ({"t": "login", "since": float("nan")}, "since"),
        ({"t": "login", "since": True}, "since"),
        ({"t": "login", "since": "1"}, "since"),
        ({"t": "login", "since": None}, "since"),
        ({"t": "login", "since": 1, "limit": 129}, "limit"),
        ({"t": "login", "since": 1, "agent": "x" * 65}, "agent"),
        ({"t": "sync", "since": 1, "limit": 0}, "limit"),
        ({"t": "error", "code": "busy", "detail": "x" * 201}, "detail"),
        ({"t": "login"}, "since"),
        ({"t": "ping", "n": 2**53 + 1}, "n"),
    ],
)
def test_values_out_of_range_are_bad_messages(item: Mapping[str, object], field: str) -> None:
    assert_bad(cbor2.dumps(item), f"{item['t']}: .*{field}")


def test_lists_are_bounded() -> None:
    entry = {"seq": 8, "id": bytes(16), "sender": "bob", "to": "alice", "body": "x", "at_ms": 1}
    device = {"device": 1, "name": "x", "created_at_ms": 1}
    for item in (
        {"t": "page", "head": 1, "entries": [entry] * 129},
        {"t": "deliver", "entries": [entry] * 129},
        {"t": "device_list", "devices": [device] * 65},
    ):
        with pytest.raises(ProtocolError, match="of length <="):
            decode(cbor2.dumps(item), FROM_SERVER)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x00",
        b"\x65ready",
        b"\xf6",
        b"\xa0",
        cbor2.dumps(["ready"]),
        cbor2.dumps({"t": 1}),
        cbor2.dumps({"t": None}),
        cbor2.dumps({"t": b"ready"}),
        cbor2.dumps({"t": ["ready"]}),
        cbor2.dumps({"T": "ready"}),
    ],
)
def test_a_message_is_a_map_with_a_type(data: bytes) -> None:
    assert_bad(data, "not a map with a type")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xa1\x61t\x65read", id="cut"),
        pytest.param(b"\x81" * 60_000, id="deep array"),
        pytest.param(b"\xa1\x61t" * 20_000, id="deep map"),
        pytest.param(ready_with(b"\x81" * 5 + b"\x00"), id="one level too deep"),
        pytest.param(ready_with(b"\x5b" + b"\xff" * 8), id="bytes of 2^64 - 1"),
        pytest.param(ready_with(b"\x5b\x7f" + b"\xff" * 7), id="bytes of 2^63 - 1"),
        pytest.param(ready_with(b"\x7a\xff\xff\xff\xff"), id="text of 2^32 - 1"),
        pytest.param(ready_with(b"\x9b" + b"\xff" * 8), id="array of 2^64 - 1"),
        pytest.param(ready_with(b"\x9b\x00\x00\x00\x00\x7f\xff\xff\xff"), id="array of 2^31 - 1"),
        pytest.param(ready_with(b"\xbb" + b"\xff" * 8), id="map of 2^64 - 1"),
        pytest.param(ready_with(b"\xba\x7f\xff\xff\xff"), id="map of 2^31 - 1"),
        pytest.param(b"\xbf\x61t\x65ready\xff", id="indefinite map"),
        pytest.param(b"\xa1\x61t\x7f\x65ready\xff", id="indefinite text"),
        pytest.param(ready_with(b"\x5f\x41a\xff"), id="indefinite bytes"),
        pytest.param(ready_with(b"\x9f\xff"), id="indefinite array"),
        pytest.param(ready_with(b"\xff"), id="break"),
        pytest.param(b"\xa2\x61t\x65ready\x61t\x65ready", id="duplicate type"),
        pytest.param(ready_with(b"\x01\x61x\x01").replace(b"\xa2", b"\xa3"), id="duplicate field"),
        pytest.param(ready_with(b"\xa2\x61a\x01\x61a\x02"), id="duplicate key inside"),
        pytest.param(b"\xa2\x61t\x65ready\x01\x02", id="integer key"),
        pytest.param(b"\xa2\x61t\x65ready\x41x\x02", id="bytes key"),
        pytest.param(b"\xa2\x61t\x65ready\x80\x02", id="array key"),
        pytest.param(b"\xa2\x61t\x65ready\xf9\x7e\x00\x02", id="NaN key"),
        pytest.param(b"\xa1\x61t\x62\xff\xfe", id="invalid UTF-8 type"),
        pytest.param(ready_with(b"\x63\xed\xa0\x80"), id="surrogate in UTF-8"),
        pytest.param(ready_with(b"\x62\xc0\x80"), id="overlong UTF-8"),
        pytest.param(ready_with(b"\x1c"), id="reserved length"),
        pytest.param(ready_with(b"\xf8\x05"), id="two-byte simple value below 32"),
        pytest.param(encode(Ready()) + b"\x00", id="trailing byte"),
        pytest.param(encode(Ready()) * 2, id="two messages"),
    ],
)
def test_cbor_bombs_are_bad_messages(data: bytes) -> None:
    assert_bad(data)


def test_the_deepest_allowed_nesting_is_read() -> None:
    assert limits.CBOR_MAX_DEPTH == 5
    assert decode(ready_with(b"\x81" * 4 + b"\x00"), FROM_CLIENT) == Ready()


@pytest.mark.parametrize("first", range(0, 65_536, 8192))
def test_every_tag_is_refused(first: int) -> None:
    """Also those that cbor2 would turn into dates, bignums, regular expressions, shared values."""
    for tag in range(first, first + 8192):
        head = b"\xd9" + struct.pack("!H", tag)
        for content in (b"\x00", b"\x63abc", b"\x82\x01\x02"):
            assert_bad(ready_with(head + content))


@pytest.mark.parametrize("tag", range(256))
def test_tags_are_refused_in_their_short_forms(tag: int) -> None:
    assert_bad(ready_with(b"\xd8" + bytes([tag]) + b"\x41\x00"))
    if tag < 24:
        assert_bad(ready_with(bytes([0xC0 + tag]) + b"\x41\x00"))
    assert_bad(ready_with(b"\xdb" + struct.pack("!Q", 2**63 + tag) + b"\x00"))


def test_the_largest_numbers_are_only_numbers() -> None:
    for item in (
        b"\x1b" + b"\xff" * 8,
        b"\x3b" + b"\xff" * 8,
        b"\xf9\x7e\x00",
        b"\xf7",
        b"\xf8\xff",
    ):
        assert decode(ready_with(item), FROM_CLIENT) == Ready()


def test_a_full_record_of_small_items_is_read_within_its_bounds() -> None:
    array = b"\x99" + struct.pack("!H", 65_000)
    for item in (b"\x00", b"\xa0", b"\x80", b"\x60"):
        assert decode(ready_with(array + item * 65_000), FROM_CLIENT) == Ready()


CBOR = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.binary(max_size=200) | CBOR.map(cbor2.dumps))
def test_any_bytes_are_a_message_or_a_documented_error(data: bytes) -> None:
    for allowed in (FROM_CLIENT, FROM_SERVER):
        outcome = verdict(data, allowed)
        assert outcome in {Fault.BAD_MESSAGE, None} or type(outcome) in allowed.values()


def verdict(data: bytes, allowed: Mapping[str, type[Message]]) -> Message | Fault | None:
    """What `decode` says: a message, a fault, or None for an unknown type."""
    try:
        return decode(data, allowed)
    except ProtocolError as error:
        return error.fault
    except UnknownMessageError:
        return None


@given(message=strategies.CLIENT_MESSAGES, data=st.data())
def test_a_damaged_message_is_a_message_or_a_documented_error(
    message: Message, data: st.DataObject
) -> None:
    encoded = bytearray(encode(message))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    outcome = verdict(bytes(encoded), FROM_CLIENT)
    assert outcome in {Fault.BAD_MESSAGE, None} or type(outcome) in FROM_CLIENT.values()


def test_enrol_carries_the_device_key_as_it_is() -> None:
    enrol = Enrol(user="alice", password="x", device="phone", key=DEVICE_KEY)
    assert cbor2.loads(encode(enrol))["key"] == DEVICE_KEY


def test_no_tag_has_a_decoder_to_be_listed() -> None:
    assert list(messages._NO_TAGS) == []
    assert len(messages._NO_TAGS) == 0
