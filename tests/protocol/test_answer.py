"""Answers: ACCEPT, DEFER and its authenticator, REFUSE."""

import struct
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_protocol import limits
from hwangso_protocol.answer import (
    Accept,
    Answer,
    Defer,
    DeferReason,
    Refuse,
    RefuseReason,
    defer_authenticator,
    encode_answer,
    is_authentic,
    parse_answer,
)
from hwangso_protocol.errors import Fault, ProtocolError

WAITS_MS = st.integers(0, 2**32 - 1)
REASONS = st.integers(0, 255)
DEFERRAL_TICKETS = st.binary(max_size=limits.DEFERRAL_TICKET_MAX_BYTES)
ANSWERS: st.SearchStrategy[Answer] = st.one_of(
    st.builds(Accept, st.binary(max_size=2000)),
    st.builds(
        Defer,
        WAITS_MS,
        REASONS.map(DeferReason),
        DEFERRAL_TICKETS,
        st.just(b"") | st.binary(min_size=16, max_size=16),
    ),
    st.builds(Refuse, REASONS.map(RefuseReason), WAITS_MS),
)


@given(answer=ANSWERS, behind=st.binary(max_size=5))
def test_what_is_encoded_is_parsed(answer: Answer, behind: bytes) -> None:
    data = encode_answer(answer)
    assert parse_answer(data + behind) == (answer, len(data))
    for length in range(len(data)):
        assert parse_answer(data[:length]) is None


def test_the_bytes_of_each_answer() -> None:
    assert encode_answer(Accept(b"noise")) == b"A\x00\x05noise"
    assert encode_answer(Refuse(RefuseReason.FULL, 1500)) == b"R\x00\x05\x05\x00\x00\x05\xdc"
    assert encode_answer(
        Defer(2000, DeferReason.EMERGENCY, b"slot", bytes(16))
    ) == b"D\x00\x1b\x00\x00\x07\xd0\x02\x00\x04slot" + bytes(16)


def test_the_longest_answer() -> None:
    data = encode_answer(Accept(bytes(65_535)))
    assert len(data) == limits.ANSWER_MAX_BYTES
    assert parse_answer(data) is not None
    with pytest.raises(struct.error):
        encode_answer(Accept(bytes(65_536)))


def test_unknown_reasons_stay_what_they_are() -> None:
    reason = RefuseReason(200)
    assert (reason, reason.name, reason.value) == (200, "UNKNOWN", 200)
    assert reason == RefuseReason(200)
    assert reason not in list(RefuseReason)
    assert DeferReason(99).value == 99
    assert RefuseReason._missing_("text") is None


def test_a_refuse_of_a_newer_server_may_be_longer() -> None:
    assert parse_answer(b"R\x00\x08\x05\x00\x00\x00\x00new") == (Refuse(RefuseReason.FULL), 11)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"H", "unknown answer type 72"),
        (b"HTTP/1.1 400 Bad Request", "unknown answer type 72"),
        (b"\x00", "unknown answer type 0"),
        (b"R\x00\x04\x01\x00\x00\x00", "REFUSE too short"),
        (b"D\x00\x06" + bytes(6), "DEFER too short"),
        (b"D\x00\x07" + bytes(5) + b"\x00\x01", "a length out of range"),
        (b"D\x00\x08" + bytes(8), "a length out of range"),
        (b"D\x00\x18" + bytes(24), "a length out of range"),
        (b"D\x01\x08" + bytes(5) + b"\x01\x01" + bytes(257), "a length out of range"),
    ],
)
def test_a_bad_answer_is_a_fault(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason) as caught:
        parse_answer(data)
    assert caught.value.fault is Fault.BAD_ANSWER


@given(data=st.binary(max_size=600) | st.binary(max_size=600).map(lambda tail: b"D" + tail))
def test_any_bytes_are_an_answer_or_a_bad_answer(data: bytes) -> None:
    outcome = verdict(data)
    if isinstance(outcome, Fault):
        assert outcome is Fault.BAD_ANSWER
    else:
        assert outcome is None or outcome[1] <= len(data)


def verdict(data: bytes) -> tuple[Answer, int] | Fault | None:
    try:
        return parse_answer(data)
    except ProtocolError as error:
        return error.fault


def test_the_authenticator_is_what_the_readme_says() -> None:
    psk, hello = bytes(range(32)), b"the whole hello"
    covered = b"\x00\x00\x07\xd0" + b"\x01" + b"\x00\x04" + b"slot" + hello
    personalisation = b"hwangso/1 defer\0"
    expected = blake2b(covered, digest_size=16, key=psk, person=personalisation).digest()
    assert defer_authenticator(psk, hello, 2000, DeferReason.BUSY, b"slot") == expected


@given(
    psk=st.binary(min_size=32, max_size=32),
    hello=st.binary(max_size=100),
    wait_ms=WAITS_MS,
    reason=REASONS.map(DeferReason),
    ticket=DEFERRAL_TICKETS,
)
def test_only_the_very_deferral_is_authentic(
    psk: bytes, hello: bytes, wait_ms: int, reason: DeferReason, ticket: bytes
) -> None:
    authenticator = defer_authenticator(psk, hello, wait_ms, reason, ticket)
    defer = Defer(wait_ms, reason, ticket, authenticator)
    assert is_authentic(defer, psk, hello)
    assert not is_authentic(defer, psk, hello + b"x")
    assert not is_authentic(defer, bytes([psk[0] ^ 1]) + psk[1:], hello)
    assert not is_authentic(Defer(wait_ms ^ 1, reason, ticket, authenticator), psk, hello)
    other_reason = DeferReason((reason + 1) % 256)
    assert not is_authentic(Defer(wait_ms, other_reason, ticket, authenticator), psk, hello)
    assert not is_authentic(Defer(wait_ms, reason, ticket + b"x", authenticator), psk, hello)
    assert not is_authentic(Defer(wait_ms, reason, ticket), psk, hello)
    if hello:  # a byte moved from the hello to the ticket is another deferral
        moved = Defer(wait_ms, reason, ticket + hello[:1], authenticator)
        assert not is_authentic(moved, psk, hello[1:])
