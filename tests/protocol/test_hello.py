"""Hellos: what is written is read, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_protocol import limits
from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.hello import (
    HEADER,
    MIN_NOISE_BYTES,
    PROLOGUE_LABEL,
    Hello,
    Intent,
    Kind,
    encode_header,
    parse_hello,
    prologue_of,
)

RESUME_TICKETS = st.binary(min_size=1, max_size=limits.RESUME_TICKET_MAX_BYTES)
DEFERRAL_TICKETS = st.binary(max_size=limits.DEFERRAL_TICKET_MAX_BYTES)
NOISE_MESSAGES = st.binary(min_size=MIN_NOISE_BYTES, max_size=400)


def raw_hello(
    *,
    magic: bytes = b"HWNG",
    version: int = 1,
    intent: int = 0x46,
    kind: int = 2,
    attempt: int = 1,
    resume_bytes: int = 0,
    deferral_bytes: int = 0,
    noise_bytes: int = 48,
) -> bytes:
    """A hello by hand, its lengths always kept."""
    header = HEADER.pack(
        magic, version, intent, kind, attempt, resume_bytes, deferral_bytes, noise_bytes
    )
    return header + bytes(resume_bytes + deferral_bytes + noise_bytes)


def parse_whole(data: bytes) -> Hello:
    parsed = parse_hello(data)
    assert parsed is not None
    hello, size = parsed
    assert size == len(data)
    return hello


@given(
    intent=st.sampled_from(Intent),
    kind=st.sampled_from(Kind),
    attempt=st.integers(-3, 1000),
    resume_ticket=RESUME_TICKETS,
    deferral_ticket=DEFERRAL_TICKETS,
    noise_message=NOISE_MESSAGES,
    behind=st.binary(max_size=4),
)
def test_what_is_encoded_is_parsed(
    intent: Intent,
    kind: Kind,
    attempt: int,
    resume_ticket: bytes,
    deferral_ticket: bytes,
    noise_message: bytes,
    behind: bytes,
) -> None:
    ticket = resume_ticket if kind is Kind.RESUME else b""
    before_noise = encode_header(intent, kind, attempt, ticket, deferral_ticket, len(noise_message))
    raw = before_noise + noise_message
    hello = Hello(
        intent=intent,
        kind=kind,
        attempt=min(max(attempt, 1), 255),
        resume_ticket=ticket,
        deferral_ticket=deferral_ticket,
        noise_message=noise_message,
        raw=raw,
    )
    assert parse_hello(raw + behind) == (hello, len(raw))
    assert hello.prologue == PROLOGUE_LABEL + before_noise == prologue_of(before_noise)


def test_an_incomplete_hello_waits_for_more() -> None:
    raw = raw_hello(kind=3, resume_bytes=5, deferral_bytes=7)
    for length in range(len(raw)):
        assert parse_hello(raw[:length]) is None


@pytest.mark.parametrize("byte", [0x00, 0x66, 0x62, 0xFF])
def test_an_unknown_intent_reads_as_background(byte: int) -> None:
    hello = parse_whole(raw_hello(intent=byte))
    assert hello.intent is Intent.BACKGROUND
    assert hello.prologue[len(PROLOGUE_LABEL) + 5] == byte  # as it came, so that a flip shows


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n", b"HWNg", b"\x16\x03\x01\x02\x00"])
def test_another_magic_is_noticed_at_its_first_wrong_byte(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_hello(data)
    assert caught.value.fault is Fault.BAD_MAGIC


def test_another_version_is_noticed_at_once() -> None:
    with pytest.raises(ProtocolError, match="version 2, this side has 1") as caught:
        parse_hello(raw_hello(version=2)[:5])
    assert caught.value.fault is Fault.UNKNOWN_VERSION


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (raw_hello(kind=0), "unknown kind 0"),
        (raw_hello(kind=4), "unknown kind 4"),
        (raw_hello(attempt=0), "count from 1"),
        (raw_hello(noise_bytes=47), "a length"),
        (raw_hello(kind=3, resume_bytes=257), "a length"),
        (raw_hello(deferral_bytes=257), "a length"),
        (raw_hello(noise_bytes=limits.HELLO_MAX_BYTES - HEADER.size + 1), "a length"),
        (raw_hello(noise_bytes=65_535), "a length"),
        (raw_hello(kind=3), "a resume ticket exactly where"),
        (raw_hello(kind=1, resume_bytes=1), "a resume ticket exactly where"),
        (raw_hello(kind=2, resume_bytes=1), "a resume ticket exactly where"),
    ],
)
def test_a_bad_header_is_noticed_before_the_rest_comes(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        parse_hello(data[: HEADER.size])
    assert caught.value.fault is Fault.BAD_HELLO


def test_the_longest_hello_is_read() -> None:
    data = raw_hello(noise_bytes=limits.HELLO_MAX_BYTES - HEADER.size)
    assert len(parse_whole(data).raw) == limits.HELLO_MAX_BYTES


@pytest.mark.parametrize(
    ("kind", "resume", "deferral", "noise_bytes", "reason"),
    [
        (Kind.RESUME, 0, 0, 48, "exactly where"),
        (Kind.LOGIN, 1, 0, 48, "exactly where"),
        (Kind.ENROL, 1, 0, 48, "exactly where"),
        (Kind.RESUME, 257, 0, 48, "ticket too long"),
        (Kind.LOGIN, 0, 257, 48, "ticket too long"),
        (Kind.LOGIN, 0, 0, 1011, "hello too long"),
    ],
)
def test_what_the_wire_cannot_carry_is_not_encoded(
    kind: Kind, resume: int, deferral: int, noise_bytes: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        encode_header(Intent.FOREGROUND, kind, 1, bytes(resume), bytes(deferral), noise_bytes)


@given(
    data=st.binary(max_size=1100) | st.binary(max_size=1100).map(lambda tail: b"HWNG\x01" + tail)
)
def test_any_bytes_are_a_hello_or_a_documented_fault(data: bytes) -> None:
    outcome = verdict(data)
    if isinstance(outcome, Fault):
        assert outcome in {Fault.BAD_MAGIC, Fault.UNKNOWN_VERSION, Fault.BAD_HELLO}
    else:
        assert outcome is None or outcome[0].raw == data[: outcome[1]]


@given(
    data=st.binary(max_size=200).map(lambda tail: raw_hello() + tail),
    at=st.integers(0, 62),
    bit=st.integers(0, 7),
)
def test_a_longer_buffer_never_changes_the_verdict(data: bytes, at: int, bit: int) -> None:
    """What is refused early is refused late, and what is read does not depend on the rest."""
    flipped = bytearray(data)
    flipped[at] ^= 1 << bit
    verdicts = [verdict(bytes(flipped[:length])) for length in range(len(flipped) + 1)]
    settled = [verdict for verdict in verdicts if verdict is not None]
    assert len(set(map(str, settled))) <= 1
    assert verdicts[len(verdicts) - len(settled) :] == settled


def verdict(data: bytes) -> tuple[Hello, int] | Fault | None:
    try:
        return parse_hello(data)
    except ProtocolError as error:
        return error.fault


def test_intents_have_tags() -> None:
    assert (Intent.FOREGROUND.tag, Intent.BACKGROUND.tag) == ("FG", "BG")
