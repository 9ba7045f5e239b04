"""Resume tickets: only the server that sealed one reads it, and only as it was, and in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.protocol.sides import FixedRandom
from tests.protocol.strategies import USER_NAMES

from hwangso_protocol import limits
from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.ticket import TICKET_BYTES, ResumeTicket, TicketKey, TicketRing

OLD, NEW = TicketKey(1, bytes([1]) * 32), TicketKey(2, bytes([2]) * 32)
TICKET = ResumeTicket(
    user_id=1,
    user_name="alice",
    device_id=2,
    issued_at_ms=1_000,
    expires_at_ms=2_000,
    psk=bytes(range(32)),
)
UINT64 = st.integers(0, 2**64 - 1)


def seal(ticket: ResumeTicket = TICKET, *keys: TicketKey) -> bytes:
    return TicketRing(keys or [NEW]).seal(ticket, FixedRandom("nonce"))


def assert_invalid(sealed: bytes, *keys: TicketKey, now_ms: int = 1_500) -> None:
    with pytest.raises(ProtocolError) as caught:
        TicketRing(keys or [NEW]).open(sealed, now_ms)
    assert caught.value.fault is Fault.TICKET_INVALID


@given(
    ticket=st.builds(
        ResumeTicket,
        user_id=UINT64,
        user_name=USER_NAMES,
        device_id=UINT64,
        issued_at_ms=UINT64,
        expires_at_ms=st.integers(1, 2**64 - 1),
        psk=st.binary(min_size=32, max_size=32),
    )
)
def test_what_is_sealed_is_opened_and_all_tickets_are_of_one_length(ticket: ResumeTicket) -> None:
    sealed = seal(ticket)
    assert TicketRing([NEW]).open(sealed, ticket.expires_at_ms - 1) == ticket
    assert len(sealed) == TICKET_BYTES


def test_the_length_is_what_limits_say() -> None:
    assert TICKET_BYTES == 130
    assert TICKET_BYTES <= limits.RESUME_TICKET_MAX_BYTES


def test_every_flipped_bit_makes_it_invalid() -> None:
    sealed = seal()
    for at in range(len(sealed)):
        for bit in range(8):
            flipped = bytearray(sealed)
            flipped[at] ^= 1 << bit
            assert_invalid(bytes(flipped), NEW, OLD)


def test_a_ticket_ends_at_its_expiry() -> None:
    assert TicketRing([NEW]).open(seal(), 1_999) == TICKET
    assert_invalid(seal(), now_ms=2_000)


@pytest.mark.parametrize("sealed", [b"", b"\x01", bytes(TICKET_BYTES), seal()[:-1], seal() + b"x"])
def test_something_else_is_invalid(sealed: bytes) -> None:
    assert_invalid(sealed)


def test_keys_rotate() -> None:
    old = seal(TICKET, OLD)
    assert TicketRing([NEW, OLD]).open(old, 1_500) == TICKET
    assert_invalid(old, NEW)
    sealed_after = TicketRing([NEW, OLD]).seal(TICKET, FixedRandom("nonce"))
    assert TicketRing([NEW]).open(sealed_after, 1_500) == TICKET


def test_another_servers_key_of_the_same_id_is_invalid() -> None:
    assert_invalid(seal(TICKET, TicketKey(NEW.id, bytes([9]) * 32)), NEW)


def test_what_would_be_cut_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="at most 32 letters"):
        seal(replace(TICKET, user_name="a" * 33))
    with pytest.raises(ValueError, match="a psk of 32 bytes"):
        seal(replace(TICKET, psk=bytes(31)))


def test_a_ring_needs_usable_keys() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        TicketRing([])
    with pytest.raises(ValueError, match="its own id"):
        TicketRing([NEW, TicketKey(NEW.id, OLD.secret)])
    with pytest.raises(ValueError, match="32 bytes"):
        TicketRing([TicketKey(1, bytes(16))])
