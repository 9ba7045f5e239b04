"""Deferral tickets: not forged, not altered, no other device's."""

import struct
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_protocol.hello import Intent
from hwangso_protocol.limits import DEFERRAL_TICKET_MAX_BYTES
from hwangso_server.admission.deferral import TICKET_BYTES, DeferralTicket, DeferralTickets

KEY = bytes(range(32))
TICKETS = DeferralTickets(KEY)
TICKET = DeferralTicket(
    device_id=7,
    intent=Intent.BACKGROUND,
    slot_ms=1_700_000_060_000,
    first_deferred_ms=1_700_000_000_000,
    count=2,
    nonce=99,
)


def test_what_is_sealed_can_be_opened() -> None:
    sealed = TICKETS.seal(TICKET)
    assert TICKETS.open(sealed, 7) == TICKET
    assert len(sealed) == TICKET_BYTES == 43
    assert TICKET_BYTES <= DEFERRAL_TICKET_MAX_BYTES


def test_the_layout() -> None:
    body = struct.pack("!BBQQBQ", 1, 0x42, 1_700_000_060_000, 1_700_000_000_000, 2, 99)
    tag = blake2b(struct.pack("!Q", 7) + body, digest_size=16, key=KEY).digest()
    assert TICKETS.seal(TICKET) == body + tag


def test_it_does_not_tell_an_onlooker_the_device() -> None:
    device_id = 0x1122334455667788
    ticket = DeferralTicket(device_id, Intent.FOREGROUND, 1, 2, 3, 4)
    assert device_id.to_bytes(8, "big") not in TICKETS.seal(ticket)


@pytest.mark.parametrize("bit", range(TICKET_BYTES * 8))
def test_no_bit_can_be_changed(bit: int) -> None:
    sealed = bytearray(TICKETS.seal(TICKET))
    sealed[bit // 8] ^= 1 << bit % 8
    assert TICKETS.open(bytes(sealed), 7) is None


@pytest.mark.parametrize("device_id", [0, 6, 8, 2**64 - 1])
def test_it_is_no_other_devices(device_id: int) -> None:
    assert TICKETS.open(TICKETS.seal(TICKET), device_id) is None


def test_another_key_does_not_open_it() -> None:
    assert DeferralTickets(bytes(32)).open(TICKETS.seal(TICKET), 7) is None


@pytest.mark.parametrize("length", [0, 1, 16, TICKET_BYTES - 1, TICKET_BYTES + 1, 256])
def test_its_length_is_fixed(length: int) -> None:
    sealed = TICKETS.seal(TICKET).ljust(256, b"\0")[:length]
    assert TICKETS.open(sealed, 7) is None


@given(st.binary(max_size=64))
def test_what_is_made_up_is_no_ticket(sealed: bytes) -> None:
    assert TICKETS.open(sealed, 7) is None


@given(
    st.integers(0, 2**64 - 1),
    st.sampled_from(Intent),
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.integers(0, 255),
    st.integers(0, 2**64 - 1),
)
def test_any_ticket(
    device_id: int, intent: Intent, slot_ms: int, first_deferred_ms: int, count: int, nonce: int
) -> None:
    ticket = DeferralTicket(device_id, intent, slot_ms, first_deferred_ms, count, nonce)
    assert TICKETS.open(TICKETS.seal(ticket), device_id) == ticket


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(65)])
def test_a_key_must_be_one(key: bytes) -> None:
    with pytest.raises(ValueError, match="16 to 64 bytes"):
        DeferralTickets(key)
