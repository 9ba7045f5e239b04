"""The decisions of a device, each answer of a server in plain numbers."""

from math import inf
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from hwangso_client.backoff import DecorrelatedJitter, FullJitter
from hwangso_client.link import (
    DEFERRAL_MAX_S,
    DEFERRAL_MIN_S,
    FINAL,
    FOREGROUND_CAP_S,
    HELD_AFTER_S,
    RETRY_AFTER_MAX_S,
    SHORT_DEFERRALS_MAX,
    Identity,
    Link,
    Stopped,
)
from hwangso_client.profile import Deferral, ResumeCredentials
from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.client import Attempt, EnrolWith, LoginWith, ResumeWith
from hwangso_protocol.errors import Fault
from hwangso_protocol.events import Deferred, Refused
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ByeReason, ErrorCode, Login, Policy, Welcome

WALL_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
POLICY = Policy(keepalive_ms=60_000, backoff_base_ms=1_000, backoff_cap_ms=60_000)
RESUME = ResumeCredentials(b"ticket", bytes(32), WALL_MS + HOUR_MS)
IDENTITY = Identity(
    server_key=bytes(range(32)),
    device_key=bytes(range(32)),
    user="alice",
    password="secret",
    device_name="phone",
    register=True,
)


class Upper(Random):
    """Draws the upper end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return b


def make(
    *,
    enrolled: bool = True,
    resume: ResumeCredentials | None = RESUME,
    deferral: Deferral | None = None,
    policy: Policy = POLICY,
    rng: Random | None = None,
) -> Link:
    rng = rng or Upper()
    link = Link(
        IDENTITY,
        FullJitter(rng),
        FullJitter(rng),
        0,
        WALL_MS,
        enrolled=enrolled,
        resume=resume,
        deferral=deferral,
    )
    link.policy = policy
    return link


def welcome(lifetime_ms: int = HOUR_MS, policy: Policy = POLICY) -> Welcome:
    return Welcome("alice", 1, b"new ticket", bytes(32), lifetime_ms, 0, 0, policy)


def deferred(wait_s: float, ticket: bytes = b"deferral", *, authentic: bool = True) -> Deferred:
    return Deferred(wait_s, DeferReason.BUSY, ticket, authentic)


def begin(link: Link, wall_ms: int = WALL_MS) -> int:
    """Begin an attempt; gives its number."""
    number = link.attempt().number
    link.credentials(wall_ms, Login(0))
    return number


# With which credentials


def test_a_new_device_enrols_with_the_public_half_of_its_key() -> None:
    link = make(enrolled=False, resume=None)
    credentials = link.credentials(WALL_MS, Login(0))
    assert isinstance(credentials, EnrolWith)
    private = X25519PrivateKey.from_private_bytes(IDENTITY.device_key)
    assert credentials.enrol.key == private.public_key().public_bytes_raw()
    assert (credentials.enrol.user, credentials.enrol.password) == ("alice", "secret")
    assert credentials.enrol.register
    assert credentials.server_key == IDENTITY.server_key


def test_an_enrolled_device_resumes_while_its_ticket_lasts() -> None:
    link = make()
    credentials = link.credentials(RESUME.expires_at_ms - 1, Login(7))
    assert credentials == ResumeWith(b"ticket", bytes(32), Login(7))


def test_else_it_logs_in() -> None:
    link = make()
    credentials = link.credentials(RESUME.expires_at_ms, Login(7))
    assert isinstance(credentials, LoginWith)
    assert credentials.login == Login(7)
    assert credentials.device_key.private_bytes_raw() == IDENTITY.device_key
    assert make(resume=None).kind(WALL_MS) is Kind.LOGIN


def test_a_welcome_replaces_the_ticket() -> None:
    link = make(enrolled=False, resume=None)
    begin(link)
    link.welcomed(5, WALL_MS, welcome(lifetime_ms=1_000))
    assert link.resume == ResumeCredentials(b"new ticket", bytes(32), WALL_MS + 1_000)
    assert link.kind(WALL_MS) is Kind.RESUME
    assert link.kind(WALL_MS + 1_000) is Kind.LOGIN


# What an attempt is for


def test_everything_a_device_does_by_itself_is_background() -> None:
    assert make().attempt().intent is Intent.BACKGROUND


def test_a_user_who_waits_makes_it_foreground_until_a_session_is_ready() -> None:
    link = make()
    link.opened(3)
    assert link.next_at == 3
    assert link.attempt().intent is Intent.FOREGROUND
    link.failed(4)
    assert link.attempt().intent is Intent.FOREGROUND
    link.left()
    assert link.attempt().intent is Intent.BACKGROUND


def test_opening_the_app_cancels_back_off_and_deferral() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(500))
    link.opened(7)
    assert link.next_at == 7


def test_attempts_count_since_the_last_session_that_held() -> None:
    link = make()
    assert [begin(link) for _ in range(3)] == [1, 2, 3]
    link.welcomed(10, WALL_MS, welcome())
    link.ended(10 + HELD_AFTER_S - 0.1, None)
    assert begin(link) == 4
    link.welcomed(100, WALL_MS, welcome())
    link.ended(100 + HELD_AFTER_S, None)
    assert begin(link) == 1


# When


def test_back_off_grows_until_a_session_held() -> None:
    link = make()
    waits = []
    for now in (0, 100, 200):
        begin(link)
        link.failed(now)
        waits.append(link.next_at - now)
    begin(link)
    link.welcomed(300, WALL_MS, welcome())
    link.ended(301, None)
    waits.append(link.next_at - 301)
    assert waits == [1, 2, 4, 8], "a session that did not hold resets nothing"
    begin(link)
    link.welcomed(400, WALL_MS, welcome())
    link.ended(400 + HELD_AFTER_S, None)
    assert link.next_at == 400 + HELD_AFTER_S + 1


def test_back_off_follows_the_servers_policy() -> None:
    link = make()
    begin(link)
    link.welcomed(0, WALL_MS, welcome(policy=Policy(60_000, 5_000, 6_000)))
    link.ended(1, None)
    assert link.next_at == 6
    begin(link)
    link.failed(10)
    assert link.next_at == 16


def test_a_policy_holds_from_its_welcome_on_until_the_next() -> None:
    link = make(policy=Policy(60_000, 3_000, 60_000))
    waits = []
    for policy in (Policy(60_000, 500, 16_000), Policy(60_000, 20_000, 30_000)):
        begin(link)
        link.failed(0)
        waits.append(link.next_at)
        begin(link)
        link.welcomed(0, WALL_MS, welcome(policy=policy))
        link.ended(HELD_AFTER_S, None)
        waits.append(link.next_at - HELD_AFTER_S)
    assert waits == [3, 0.5, 1, 20]


# While a user waits


def test_a_user_who_waits_is_not_made_to_wait_for_a_crowds_cap() -> None:
    link = make()
    link.opened(0)
    waits = []
    for now in (0, 100, 200, 300):
        begin(link)
        link.failed(now)
        waits.append(link.next_at - now)
    assert waits == [1, FOREGROUND_CAP_S, FOREGROUND_CAP_S, FOREGROUND_CAP_S]


def test_a_user_who_comes_after_hours_of_failures_begins_anew() -> None:
    link = make()
    for _ in range(20):
        begin(link)
        link.failed(0)
    for opened_at in (10, 20):
        link.opened(opened_at)
        begin(link)
        link.failed(opened_at + 1)
        assert link.next_at == opened_at + 2
        begin(link)
        link.failed(opened_at + 3)
        assert link.next_at == opened_at + 3 + FOREGROUND_CAP_S
        link.left()
    begin(link)
    link.failed(30)
    assert link.next_at == 90, "by itself it goes on as before"


@pytest.mark.parametrize(
    ("base_ms", "cap_ms", "wait_s"), [(100, 500, 0.5), (500, 16_000, 2), (5_000, 60_000, 5)]
)
def test_a_policy_counts_while_a_user_waits(base_ms: int, cap_ms: int, wait_s: float) -> None:
    link = make(policy=Policy(60_000, base_ms, cap_ms))
    link.opened(0)
    for _ in range(10):
        begin(link)
        link.failed(0)
    assert link.next_at == wait_s


def test_a_user_who_says_so_twice_waits_no_less() -> None:
    link = make()
    link.opened(0)
    begin(link)
    link.deferred(1, WALL_MS, deferred(4))
    link.opened(2)
    assert link.next_at == 5
    link.left()
    link.opened(3)
    assert link.next_at == 3, "one who left, and came back, is a new one"


@pytest.mark.parametrize("bad_news", ["deferred", "refused", "failed", "ticket_invalid"])
def test_what_a_background_attempt_brings_does_not_hold_up_a_user_who_came_meanwhile(
    bad_news: str,
) -> None:
    link = make()
    begin(link)
    link.opened(5)
    match bad_news:
        case "deferred":
            link.deferred(6, WALL_MS, deferred(600))
        case "refused":
            link.refused(6, Refused(RefuseReason.FULL, 30))
        case "failed":
            link.failed(6)
        case _:
            link.refused(6, Refused(RefuseReason.TICKET_INVALID, 0))
    assert link.next_at == 5
    attempt = link.attempt()
    assert attempt.intent is Intent.FOREGROUND
    assert attempt.deferral_ticket == (b"deferral" if bad_news == "deferred" else b"")


def test_a_deferral_overrides_back_off_and_carries_its_ticket_back() -> None:
    link = make()
    for _ in range(5):
        begin(link)
        link.failed(0)
    begin(link)
    link.deferred(100, WALL_MS, deferred(42.5, b"slot"))
    assert link.next_at == 142.5
    assert link.attempt().deferral_ticket == b"slot"
    assert link.deferral == Deferral(b"slot", WALL_MS + 42_500, 42_500)


def test_the_deferral_ticket_goes_along_until_a_session_is_ready() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(10))
    begin(link)
    link.failed(10)
    assert link.attempt().deferral_ticket == b"deferral"
    link.welcomed(12, WALL_MS, welcome())
    assert link.attempt().deferral_ticket == b""


@pytest.mark.parametrize(("wait_s", "at"), [(1e6, DEFERRAL_MAX_S), (0, DEFERRAL_MIN_S), (0.2, 0.2)])
def test_a_slot_beyond_reason_is_cut(wait_s: float, at: float) -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(wait_s))
    assert link.next_at == at


@pytest.mark.parametrize(
    ("clock_ms", "at"),
    [
        (0, 600),
        (100_000, 500),
        (700_000, 0),
        (24 * HOUR_MS, 0),
        (-60_000, 600),
        (-24 * HOUR_MS, 600),
        (-WALL_MS, 600),
    ],
)
def test_a_slot_survives_a_restart_and_no_clock_makes_the_wait_longer(
    clock_ms: int, at: float
) -> None:
    deferral = Deferral(b"slot", WALL_MS + 600_000, 600_000)
    link = Link(
        IDENTITY,
        FullJitter(Upper()),
        FullJitter(Upper()),
        50,
        WALL_MS + clock_ms,
        enrolled=True,
        resume=RESUME,
        deferral=deferral,
    )
    assert link.next_at == 50 + at
    assert link.attempt().deferral_ticket == b"slot"


def test_a_slot_in_a_profile_is_cut_as_one_from_a_server() -> None:
    far = Deferral(b"slot", WALL_MS + 9 * HOUR_MS, 9 * HOUR_MS)
    assert make(deferral=far).next_at == DEFERRAL_MAX_S


def test_a_user_who_comes_and_goes_leaves_the_slot_as_it_was() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(600))
    link.opened(100)
    assert link.attempt() == Attempt(Intent.FOREGROUND, 2, b"deferral")
    link.left()
    assert link.next_at == 600
    link.failed(105)
    assert link.next_at == 600
    assert link.attempt() == Attempt(Intent.BACKGROUND, 3, b"deferral")


def test_a_device_that_fails_at_its_slot_goes_on_by_back_off() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(600))
    begin(link)
    link.failed(605)
    assert link.next_at == 606


def test_a_foreground_session_ends_the_deferral() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(600))
    link.opened(100)
    begin(link)
    link.welcomed(101, WALL_MS, welcome())
    link.left()
    assert link.deferral is None
    link.ended(120, None)
    assert link.next_at == 121, "the slot of before means nothing now"
    assert link.attempt() == Attempt(Intent.BACKGROUND, 1, b"")


def test_a_slot_of_a_user_who_waits_is_kept_and_replaces_the_one_before() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(600, b"long"))
    link.opened(100)
    begin(link)
    link.deferred(101, WALL_MS, deferred(3, b"short"))
    assert link.next_at == 104
    link.left()
    assert link.next_at == 104
    assert link.attempt() == Attempt(Intent.BACKGROUND, 3, b"short")


def test_a_forged_deferral_costs_a_wait_and_not_the_slot() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(600, b"good"))
    begin(link)
    link.deferred(600, WALL_MS, deferred(30, b"forged", authentic=False))
    assert link.next_at == 630
    assert link.deferral == Deferral(b"good", WALL_MS + 600_000, 600_000)


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
def test_a_forged_deferral_of_nothing_is_one_failed_attempt(kind: Kind) -> None:
    """It cannot make a device come sooner than silence would."""
    link = make(resume=RESUME if kind is Kind.RESUME else None)
    now = 0.0
    for waited_s in (1, 2, 4, 8, 16, 32, 60, 60):
        begin(link)
        link.deferred(now, WALL_MS, deferred(0, authentic=False))
        assert link.next_at == now + waited_s
        now = link.next_at
    begin(link)
    link.deferred(now, WALL_MS, deferred(30, authentic=False))
    assert link.next_at == now + 60


def test_a_longer_deferral_that_is_not_authentic_is_kept_and_back_off_does_not_grow() -> None:
    """As a login gets it from an honest server, which says 30 s again and again."""
    link = make(resume=None)
    now = 0.0
    for _ in range(20):
        begin(link)
        link.deferred(now, WALL_MS, deferred(30, authentic=False))
        assert link.next_at == now + 30
        now = link.next_at
    begin(link)
    link.failed(now)
    assert link.next_at == now + 1


def test_a_deferral_is_remembered_as_long_as_the_back_off_that_it_became() -> None:
    link = make(resume=None)
    for _ in range(4):
        begin(link)
        link.failed(0)
    begin(link)
    link.deferred(0, WALL_MS, deferred(3, b"slot", authentic=False))
    assert link.next_at == 16
    assert link.deferral == Deferral(b"slot", WALL_MS + 16_000, 16_000)


@pytest.mark.parametrize("user_waits", [True, False])
@pytest.mark.parametrize("authentic", [True, False])
@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
def test_a_server_that_says_now_again_and_again_ends_in_back_off(
    kind: Kind, authentic: bool, user_waits: bool
) -> None:
    link = make(resume=RESUME if kind is Kind.RESUME else None, rng=Random(1))
    if user_waits:
        link.opened(0)
    attempts = 0
    while link.next_at < 60:
        attempts += 1
        begin(link)
        link.deferred(link.next_at, WALL_MS, deferred(0, authentic=authentic))
    most = 60 * 2 if user_waits else 15  # there were 1,200
    assert SHORT_DEFERRALS_MAX < attempts < most


def test_a_few_short_slots_are_kept_and_a_longer_one_begins_the_count_anew() -> None:
    link = make()
    now = 0.0
    for wait_s in [0.2] * SHORT_DEFERRALS_MAX + [1.0] + [0.2] * SHORT_DEFERRALS_MAX:
        begin(link)
        link.deferred(now, WALL_MS, deferred(wait_s))
        assert link.next_at == now + wait_s
        now = link.next_at
    begin(link)
    link.deferred(now, WALL_MS, deferred(0.2))
    assert link.next_at == now + 1
    begin(link)
    link.welcomed(now, WALL_MS, welcome())
    link.ended(now, None)
    begin(link)
    link.deferred(now, WALL_MS, deferred(0.2))
    assert link.next_at == now + 0.2, "a session was ready in between"


def test_a_login_takes_the_deferral_it_is_given() -> None:
    """There is nothing to authenticate it with, and its ticket is the only one that counts."""
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(60, b"of the resume"))
    begin(link, RESUME.expires_at_ms)
    link.deferred(60, WALL_MS, deferred(30, b"of the login", authentic=False))
    assert link.deferral == Deferral(b"of the login", WALL_MS + 30_000, 30_000)


def test_a_hint_of_a_refusal_is_cut_and_followed_by_a_back_off_as_long() -> None:
    link = make()
    begin(link)
    link.refused(0, Refused(RefuseReason.FULL, 5))
    assert link.next_at == 5 + 2.5
    begin(link)
    link.refused(10, Refused(RefuseReason.SHUTTING_DOWN, 9_999))
    assert link.next_at == 10 + RETRY_AFTER_MAX_S + 30


@pytest.mark.parametrize("kind", [FullJitter, DecorrelatedJitter])
@pytest.mark.parametrize("hint_s", [5, 30])
def test_devices_refused_together_come_back_apart(
    kind: type[FullJitter | DecorrelatedJitter], hint_s: float
) -> None:
    rng = Random(7)
    back_at = []
    for _ in range(200):
        link = Link(IDENTITY, kind(rng), FullJitter(rng), 0, WALL_MS, enrolled=True)
        begin(link)
        link.refused(0, Refused(RefuseReason.FULL, hint_s))
        back_at.append(link.next_at)
    assert min(back_at) >= hint_s
    assert max(back_at) - min(back_at) > 0.45 * hint_s
    assert max(back_at) <= 2.5 * hint_s


def test_a_user_who_waits_is_held_up_by_the_hint_alone() -> None:
    link = make()
    link.opened(0)
    begin(link)
    link.refused(0, Refused(RefuseReason.FULL, 5))
    assert link.next_at == 5 + 1


def test_a_push_wakes_but_not_before_a_wait_is_over() -> None:
    link = make()
    link.woken(5)
    assert link.next_at == 5
    begin(link)
    link.deferred(5, WALL_MS, deferred(100))
    link.woken(6)
    assert link.next_at == 105


def test_when_the_radio_is_back_the_last_back_off_begins_there() -> None:
    link = make()
    begin(link)
    link.welcomed(0, WALL_MS, welcome())
    link.ended(20, None)
    assert link.next_at == 21
    link.radio_back(500)
    assert link.next_at == 501


def test_when_the_radio_is_back_a_slot_holds_and_a_user_waits_no_longer() -> None:
    link = make()
    begin(link)
    link.deferred(0, WALL_MS, deferred(600))
    link.radio_back(500)
    assert link.next_at == 600
    link.opened(510)
    link.radio_back(520)
    assert link.next_at == 520


def test_devices_whose_slots_have_passed_without_a_radio_do_not_come_back_together() -> None:
    link = make()
    begin(link)
    link.welcomed(0, WALL_MS, welcome())
    link.ended(20, None)
    begin(link)
    link.deferred(21, WALL_MS, deferred(600))
    link.radio_back(5_000)
    assert link.next_at == 5_001, "the back-off before the deferral sets it apart"


def test_a_back_off_that_goes_on_when_the_radio_is_back_is_not_begun_anew() -> None:
    link = make()
    for _ in range(5):
        begin(link)
        link.failed(0)
    assert link.next_at == 16
    link.radio_back(10)
    assert link.next_at == 16


def test_a_session_that_the_device_closed_leaves_no_wait() -> None:
    link = make()
    begin(link)
    link.welcomed(0, WALL_MS, welcome())
    link.closed(5)
    assert link.next_at == 5


# What each answer means


@pytest.mark.parametrize("code", sorted(FINAL))
def test_final_answers_stop_the_device(code: ErrorCode) -> None:
    link = make()
    begin(link)
    link.denied(0, code, "why")
    assert link.stopped == Stopped(code, "why")


@pytest.mark.parametrize("code", sorted(set(ErrorCode) - FINAL))
def test_other_answers_are_tried_again(code: ErrorCode) -> None:
    link = make()
    begin(link)
    link.denied(0, code, "")
    assert link.stopped is None
    assert link.next_at == 1


TICKET_TROUBLE = [RefuseReason.TICKET_INVALID, RefuseReason.HANDSHAKE_FAILED]


@pytest.mark.parametrize("reason", TICKET_TROUBLE)
def test_a_ticket_that_is_no_good_is_dropped_for_a_login(reason: RefuseReason) -> None:
    link = make()
    begin(link)
    link.refused(0, Refused(reason, 0))
    assert link.kind(WALL_MS) is Kind.LOGIN
    assert link.next_at == 1, "by itself, with back-off"


@pytest.mark.parametrize("reason", TICKET_TROUBLE)
def test_a_user_who_waits_gets_the_login_at_once_but_only_once(reason: RefuseReason) -> None:
    link = make()
    link.opened(0)
    begin(link)
    link.refused(3, Refused(reason, 0))
    assert (link.kind(WALL_MS), link.next_at) == (Kind.LOGIN, 3)
    begin(link)
    link.refused(4, Refused(reason, 0))
    assert link.next_at > 4


def test_an_answer_that_breaks_the_handshake_costs_the_ticket_too() -> None:
    link = make()
    begin(link)
    link.failed(0, Fault.HANDSHAKE_FAILED)
    assert link.kind(WALL_MS) is Kind.LOGIN
    begin(link)
    link.failed(0, Fault.HANDSHAKE_FAILED)
    assert link.kind(WALL_MS) is Kind.LOGIN, "a key is never forgotten"


@pytest.mark.parametrize("reason", sorted(set(RefuseReason) - set(TICKET_TROUBLE)))
def test_other_refusals_are_one_failed_attempt(reason: RefuseReason) -> None:
    link = make()
    begin(link)
    link.refused(0, Refused(reason, 0))
    assert link.kind(WALL_MS) is Kind.RESUME
    assert link.stopped is None
    assert link.next_at == 1


@pytest.mark.parametrize("fault", [None, *sorted(set(Fault) - {Fault.HANDSHAKE_FAILED})])
def test_other_failures_keep_the_ticket(fault: Fault | None) -> None:
    link = make()
    begin(link)
    link.failed(0, fault)
    assert link.kind(WALL_MS) is Kind.RESUME
    assert link.next_at == 1


def ready(link: Link) -> None:
    begin(link)
    link.welcomed(0, WALL_MS, welcome())


def test_a_replaced_phone_stays_off_until_its_user_opens_the_app() -> None:
    link = make()
    ready(link)
    link.ended(5, ByeReason.REPLACED)
    assert (link.replaced, link.next_at) == (True, inf)
    link.woken(6)
    link.radio_back(7)
    assert link.next_at == inf
    link.opened(8)
    assert (link.replaced, link.next_at) == (False, 8)


def test_a_revoked_phone_stops() -> None:
    link = make()
    ready(link)
    link.ended(5, ByeReason.REVOKED)
    assert link.stopped == Stopped(ErrorCode.DEVICE_REVOKED)


ENDS = [None, *sorted(set(ByeReason) - {ByeReason.REPLACED, ByeReason.REVOKED})]


@pytest.mark.parametrize("reason", ENDS)
def test_any_other_end_brings_a_reconnect_by_back_off(reason: ByeReason | None) -> None:
    link = make()
    ready(link)
    link.ended(5, reason)
    assert link.next_at == 6
    assert link.intent is Intent.BACKGROUND


@pytest.mark.parametrize("reason", [*ENDS, ByeReason.REPLACED])
def test_a_user_who_waited_for_that_session_gets_another_at_once(
    reason: ByeReason | None,
) -> None:
    link = make()
    ready(link)
    link.opened(5)
    link.ended(6, reason)
    assert link.next_at == 6
    assert link.intent is Intent.FOREGROUND
    assert not link.replaced


class LinkMachine(RuleBasedStateMachine):
    """Whatever happens: what is due at once is the user's, or follows what the device did."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.link = make(rng=Random(seed))
        self.now = 0.0
        self.user_waits = False
        self.live = False
        self.slot_at = -inf
        self.short = 0

    def attempt(self) -> None:
        attempt = self.link.attempt()
        assert attempt.number >= 1
        assert attempt.deferral_ticket == (b"" if self.slot_at == -inf else b"deferral")
        self.link.credentials(WALL_MS, Login(0))

    def waits_by_back_off(self, at_least_s: float = 0) -> None:
        earliest, most_s = self.now + at_least_s, 60.0
        if self.user_waits:
            most_s = FOREGROUND_CAP_S
        else:
            earliest = max(earliest, self.slot_at)
        assert earliest <= self.link.next_at <= earliest + most_s

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def open(self) -> None:
        before = self.link.next_at
        self.link.opened(self.now)
        assert self.link.next_at == (before if self.user_waits else self.now)
        self.user_waits = True

    @rule()
    def leave(self) -> None:
        self.link.left()
        self.user_waits = False

    @rule()
    def wake(self) -> None:
        before = self.link.next_at
        self.link.woken(self.now)
        assert self.link.next_at == max(before, self.now)

    @rule()
    def radio_back(self) -> None:
        before = self.link.next_at
        self.link.radio_back(self.now)
        assert self.link.next_at >= max(before, self.now)
        if before >= self.now or self.user_waits:
            assert self.link.next_at == max(before, self.now)

    @precondition(lambda self: not self.live)
    @rule()
    def welcome(self) -> None:
        self.attempt()
        self.link.welcomed(self.now, WALL_MS, welcome())
        self.slot_at = -inf
        self.short = 0
        self.leave()
        self.live = True
        assert self.link.deferral is None

    @precondition(lambda self: not self.live)
    @rule()
    def deny(self) -> None:
        self.attempt()
        self.link.denied(self.now, ErrorCode.BUSY, "")
        self.waits_by_back_off()

    @precondition(lambda self: not self.live)
    @rule(
        wait_s=st.one_of(st.floats(0, 2), st.floats(0, 2 * DEFERRAL_MAX_S)),
        authentic=st.booleans(),
    )
    def defer(self, wait_s: float, authentic: bool) -> None:
        self.attempt()
        resumes, before = self.link.kind(WALL_MS) is Kind.RESUME, self.slot_at
        self.link.deferred(self.now, WALL_MS, deferred(wait_s, authentic=authentic))
        wait_s = min(max(wait_s, DEFERRAL_MIN_S), DEFERRAL_MAX_S)
        self.short = self.short + 1 if wait_s < 1 else 0
        earliest = latest = self.now + wait_s
        if not authentic or self.short > SHORT_DEFERRALS_MAX:
            latest = max(latest, self.now + (FOREGROUND_CAP_S if self.user_waits else 60))
        if resumes and not authentic and before != -inf:
            if not self.user_waits:
                earliest, latest = max(earliest, before), max(latest, before)
        else:
            self.slot_at = self.link.next_at
        assert earliest <= self.link.next_at <= latest

    @precondition(lambda self: not self.live)
    @rule(hint_s=st.floats(0, 2 * RETRY_AFTER_MAX_S))
    def refuse(self, hint_s: float) -> None:
        self.attempt()
        self.link.refused(self.now, Refused(RefuseReason.FULL, hint_s))
        self.waits_by_back_off(min(hint_s, RETRY_AFTER_MAX_S))

    @precondition(lambda self: not self.live)
    @rule()
    def refuse_ticket(self) -> None:
        self.attempt()
        at_once = self.user_waits and self.link.kind(WALL_MS) is Kind.RESUME
        self.link.refused(self.now, Refused(RefuseReason.TICKET_INVALID, 0))
        assert self.link.resume is None
        if at_once:
            assert self.link.next_at == self.now
        self.waits_by_back_off()

    @precondition(lambda self: not self.live)
    @rule()
    def fail(self) -> None:
        self.attempt()
        self.link.failed(self.now)
        self.waits_by_back_off()

    @precondition(lambda self: self.live)
    @rule(reason=st.sampled_from([None, ByeReason.IDLE, ByeReason.SHUTTING_DOWN]))
    def lose(self, reason: ByeReason | None) -> None:
        self.link.ended(self.now, reason)
        self.live = False
        self.waits_by_back_off()

    @precondition(lambda self: self.live)
    @rule()
    def replace(self) -> None:
        self.link.ended(self.now, ByeReason.REPLACED)
        self.live = False
        assert self.link.replaced or self.user_waits

    @precondition(lambda self: self.live)
    @rule()
    def close(self) -> None:
        self.link.closed(self.now)
        self.live = False
        assert self.link.next_at == self.now

    @invariant()
    def by_itself_it_does_not_come_before_its_slot(self) -> None:
        assert self.user_waits or self.link.next_at >= self.slot_at

    @invariant()
    def only_the_user_is_foreground(self) -> None:
        assert self.link.user_waits == self.user_waits
        assert self.link.intent is (Intent.FOREGROUND if self.user_waits else Intent.BACKGROUND)
        assert self.link.stopped is None
        assert self.link.enrolled


TestLinkMachine = LinkMachine.TestCase
