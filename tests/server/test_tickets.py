"""Resume tickets: their lifetime, their spread, and what was revoked."""

import random

import pytest
from tests.server.fakes import FIRST_TICKET_KEY, FixedKeys

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.ticket import ResumeTicket, TicketKey, TicketRing
from hwangso_server.admission.treatment import TREATMENTS
from hwangso_server.tickets import LIFETIME_FACTOR_MAX, LIFETIME_SPREAD, IssuedTicket, Tickets

LIFETIME_MS = 1_000_000
NOW_MS = 1_800_000_000_000


def issue(tickets: Tickets, rng: random.Random, lifetime_factor: float = 1.0) -> IssuedTicket:
    return tickets.issue(
        7,
        "alice",
        3,
        now_ms=NOW_MS,
        rng=rng,
        random_bytes=rng.randbytes,
        lifetime_factor=lifetime_factor,
    )


def test_a_ticket_says_who_and_until_when() -> None:
    tickets = Tickets(FixedKeys(), LIFETIME_MS)
    issued = issue(tickets, random.Random(1))
    until_ms = NOW_MS + issued.lifetime_ms
    assert tickets.open(issued.sealed, until_ms - 1) == ResumeTicket(
        7, "alice", 3, NOW_MS, until_ms, issued.psk
    )
    with pytest.raises(ProtocolError) as caught:
        tickets.open(issued.sealed, until_ms)
    assert caught.value.fault is Fault.TICKET_INVALID


def test_lifetimes_are_spread_and_bounded() -> None:
    tickets = Tickets(FixedKeys(), LIFETIME_MS)
    rng = random.Random(1)
    lifetimes = [issue(tickets, rng).lifetime_ms for _ in range(1_000)]
    assert min(lifetimes) >= LIFETIME_MS * (1 - LIFETIME_SPREAD)
    assert max(lifetimes) <= tickets.longest_lifetime_ms
    assert max(lifetimes) - min(lifetimes) > LIFETIME_MS * LIFETIME_SPREAD * 1.9


def test_in_an_emergency_tickets_live_longer() -> None:
    """With the same spread; and until the end they are good."""
    tickets = Tickets(FixedKeys(), LIFETIME_MS)
    plain = [issue(tickets, random.Random(seed)).lifetime_ms for seed in range(100)]
    longer = [issue(tickets, random.Random(seed), 2.0).lifetime_ms for seed in range(100)]
    assert longer == pytest.approx([2 * lifetime_ms for lifetime_ms in plain], abs=1)
    assert max(longer) <= tickets.longest_lifetime_ms == 2_200_001
    issued = issue(tickets, random.Random(1), LIFETIME_FACTOR_MAX)
    tickets.open(issued.sealed, NOW_MS + issued.lifetime_ms - 1)
    with pytest.raises(ProtocolError):
        tickets.open(issued.sealed, NOW_MS + issued.lifetime_ms)


def test_no_stage_gives_longer_tickets_than_revocations_are_remembered() -> None:
    factors = [treatment.ticket_lifetime_factor for treatment in TREATMENTS.values()]
    assert max(factors) == LIFETIME_FACTOR_MAX == 2.0


def test_each_ticket_has_its_own_psk() -> None:
    tickets = Tickets(FixedKeys(), LIFETIME_MS)
    rng = random.Random(1)
    assert len({issue(tickets, rng).psk for _ in range(10)}) == 10


def test_rotation_is_seen_at_once() -> None:
    keys = FixedKeys()
    tickets = Tickets(keys, LIFETIME_MS)
    before = issue(tickets, random.Random(1))
    keys.ticket_ring = TicketRing([TicketKey(2, bytes(32)), FIRST_TICKET_KEY])
    after = issue(tickets, random.Random(1))
    tickets.open(before.sealed, NOW_MS)
    keys.ticket_ring = TicketRing([TicketKey(2, bytes(32))])
    tickets.open(after.sealed, NOW_MS)
    with pytest.raises(ProtocolError):
        tickets.open(before.sealed, NOW_MS)


def test_revocations_last_as_long_as_the_longest_ticket() -> None:
    tickets = Tickets(FixedKeys(), LIFETIME_MS)
    tickets.revoke_device(3, NOW_MS)
    tickets.disable_user(7, NOW_MS)
    assert (tickets.is_revoked(3), tickets.is_disabled(7)) == (True, True)
    assert (tickets.is_revoked(7), tickets.is_disabled(3)) == (False, False)
    tickets.forget_expired(NOW_MS + tickets.longest_lifetime_ms - 1)
    assert (tickets.is_revoked(3), tickets.is_disabled(7)) == (True, True)
    tickets.forget_expired(NOW_MS + tickets.longest_lifetime_ms)
    assert (tickets.is_revoked(3), tickets.is_disabled(7)) == (False, False)


def test_a_user_enabled_again() -> None:
    tickets = Tickets(FixedKeys(), LIFETIME_MS)
    tickets.disable_user(7, NOW_MS)
    tickets.enable_user(7)
    tickets.enable_user(8)
    assert not tickets.is_disabled(7)


def test_a_ticket_older_than_tickets_may_be_now() -> None:
    """The operator made lifetimes shorter: what was revoked before is forgotten earlier, too."""
    keys = FixedKeys()
    issued = issue(Tickets(keys, LIFETIME_MS), random.Random(1))
    shorter = Tickets(keys, LIFETIME_MS // 10)
    still_good_ms = NOW_MS + shorter.longest_lifetime_ms
    assert shorter.open(issued.sealed, still_good_ms).device_id == 3
    with pytest.raises(ProtocolError) as caught:
        shorter.open(issued.sealed, still_good_ms + 1)
    assert caught.value.fault is Fault.TICKET_INVALID
