"""When to connect, with which credentials, and when to stop: the decisions of a device. Pure.

Times are seconds by the device's clock (`now`); `wall_ms` is wall-clock time in ms since 1970, for
what must hold across restarts of the process. What a device does on each answer is a table in the
README of this part; here it is code.

Everything that a device does by itself is BACKGROUND, and waits: for its slot if it was deferred,
else by back-off. Only a user who opened the app makes an attempt FOREGROUND, at once, and it stays
that until a session is ready: the user still waits. Who leaves the app before that leaves a device
that waits for its slot again.
"""

from dataclasses import dataclass
from math import inf

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_client.backoff import BASE_MIN_S, Backoff, bounds_s
from hwangso_client.profile import DEFAULT_POLICY, Deferral, ResumeCredentials
from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.client import Attempt, Credentials, EnrolWith, LoginWith, ResumeWith
from hwangso_protocol.errors import Fault
from hwangso_protocol.events import Deferred, Refused
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.limits import UNAUTHENTICATED_DEFER_MAX_S
from hwangso_protocol.messages import (
    ByeReason,
    Enrol,
    ErrorCode,
    Login,
    Welcome,
)

HELD_AFTER_S = 10.0
"""A session that lasted this long has held, and back-off begins anew. A server that accepts phones
and drops them within seconds is failing too: connects must go on thinning out."""

DEFERRAL_MAX_S = 3_600.0
"""The longest slot a device waits for: beyond it, trying once more costs nobody anything."""

DEFERRAL_MIN_S = BASE_MIN_S
"""The shortest: a slot of now, said again and again, would make a device a busy loop. Within the
100 ms to which a slot is kept."""

BACK_OFF_GROWTH = 3
"""No back-off is longer than so many times the last, or the base (decorrelated jitter)."""

SHORT_DEFERRALS_MAX = 3
"""Slots nearer than the policy's base that are kept one after the other. A server has no good
reason for more: beyond them back-off is waited as well."""

FOREGROUND_CAP_S = 2.0
"""Back-off ends here while a user waits, who else would look at a spinner for a cap made for crowds
of phones. People are few, and they give up."""

RETRY_AFTER_MAX_S = UNAUTHENTICATED_DEFER_MAX_S
"""A REFUSE is not authenticated: its hint is honoured as far as an unauthenticated DEFER is."""

FINAL = frozenset(
    {
        ErrorCode.ENROL_REFUSED,
        ErrorCode.REGISTRATION_CLOSED,
        ErrorCode.USER_DISABLED,
        ErrorCode.DEVICE_UNKNOWN,
        ErrorCode.DEVICE_REVOKED,
        ErrorCode.TOO_MANY_DEVICES,
        ErrorCode.KEY_IN_USE,
    }
)
"""Answers, all authenticated, after which another attempt cannot succeed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device says it is. `device_key` is its private X25519 key."""

    server_key: bytes
    device_key: bytes
    user: str
    password: str
    device_name: str
    register: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a device will not connect any more."""

    code: ErrorCode
    detail: str = ""


class Link:
    """What a device knows about its way to the server, and what it makes of each answer.

    `backoff` is for what the device does by itself, `foreground_backoff` for a user who waits.

    Call `credentials` and `attempt` to connect, then exactly one of `welcomed`, `denied`,
    `deferred`, `refused`, `failed`, or none if the device gave the attempt up; after `welcomed`,
    `ended` or `closed` when the session is over.
    """

    __slots__ = (
        "_attempts",
        "_backoff",
        "_foreground_backoff",
        "_identity",
        "_intent",
        "_kind",
        "_ready_at",
        "_short_deferrals",
        "_slot_at",
        "_wait_s",
        "deferral",
        "enrolled",
        "next_at",
        "policy",
        "replaced",
        "resume",
        "stopped",
        "user_waits",
    )

    def __init__(
        self,
        identity: Identity,
        backoff: Backoff,
        foreground_backoff: Backoff,
        now: float,
        wall_ms: int,
        *,
        enrolled: bool,
        resume: ResumeCredentials | None = None,
        deferral: Deferral | None = None,
    ) -> None:
        self._identity = identity
        self._backoff = backoff
        self._foreground_backoff = foreground_backoff
        self._attempts = 0
        self._intent = Intent.BACKGROUND
        self._kind = Kind.ENROL
        self._ready_at = now
        self._short_deferrals = 0
        self._slot_at = -inf
        self._wait_s = 0.0
        self.enrolled = enrolled
        self.resume = resume
        self.deferral = deferral
        self.policy = DEFAULT_POLICY
        """That of the last Welcome."""
        self.user_waits = False
        """The user looks at the app, and it has no ready session yet."""
        self.replaced = False
        """Another phone with the same key took over: two of them must not fight for the session,
        so this one stays off until its user opens the app."""
        self.stopped: Stopped | None = None
        """Why there will be no further attempt."""
        self.next_at = now
        """When the next attempt is due."""
        if deferral is not None:
            wait_ms = min(max(0, deferral.slot_at_ms - wall_ms), deferral.wait_ms)
            self._slot_at = self.next_at = now + min(wait_ms / 1000, DEFERRAL_MAX_S)

    # What the user and the radio do

    def opened(self, intended_at: float) -> None:
        """The user opened the app: connect now, whatever was waited for. One who waits already
        does not wait less for having said so twice."""
        if not self.user_waits:
            self.user_waits = True
            self.replaced = False
            self.next_at = intended_at
            self._foreground_backoff.reset()

    def left(self) -> None:
        """The user has left the app: nobody waits any more, and a slot holds again."""
        self.user_waits = False
        self.next_at = max(self.next_at, self._slot_at)

    def woken(self, now: float) -> None:
        """A push wakes a closed app: connect, but not before a wait that was asked for is over."""
        self.next_at = max(self.next_at, now)

    def radio_back(self, now: float) -> None:
        """There is service again. What is still waited for stays; but whole regions get service
        back in the same second, so a device that is late begins its last back-off anew here."""
        if self.next_at < now:
            self.next_at = now if self.user_waits else now + self._wait_s

    # Attempts

    @property
    def intent(self) -> Intent:
        """What the next attempt is for."""
        return Intent.FOREGROUND if self.user_waits else Intent.BACKGROUND

    def kind(self, wall_ms: int) -> Kind:
        """Resume, else login, else enrol."""
        if not self.enrolled:
            return Kind.ENROL
        if self.resume is not None and wall_ms < self.resume.expires_at_ms:
            return Kind.RESUME
        return Kind.LOGIN

    def credentials(self, wall_ms: int, login: Login) -> Credentials:
        """What to connect with; `login` says from where in the inbox."""
        identity = self._identity
        self._kind = self.kind(wall_ms)
        if self._kind is Kind.RESUME and self.resume is not None:
            return ResumeWith(self.resume.ticket, self.resume.psk, login)
        key = X25519PrivateKey.from_private_bytes(identity.device_key)
        if self._kind is Kind.LOGIN:
            return LoginWith(identity.server_key, key, login)
        enrol = Enrol(
            user=identity.user,
            password=identity.password,
            device=identity.device_name,
            key=key.public_key().public_bytes_raw(),
            register=identity.register,
        )
        return EnrolWith(identity.server_key, enrol)

    def attempt(self) -> Attempt:
        """What the hello says; counts the attempt. A deferral's ticket goes along until a session
        is ready: it tells the server how long this device has been waiting."""
        self._attempts += 1
        self._intent = self.intent
        ticket = self.deferral.ticket if self.deferral else b""
        return Attempt(self.intent, self._attempts, ticket)

    # Answers

    def welcomed(self, now: float, wall_ms: int, welcome: Welcome) -> None:
        """A session is ready."""
        self.enrolled = True
        expires_at_ms = wall_ms + welcome.ticket_lifetime_ms
        self.resume = ResumeCredentials(welcome.ticket, welcome.psk, expires_at_ms)
        self.deferral = None
        self._slot_at = -inf
        self.policy = welcome.policy
        self._ready_at = now
        self._short_deferrals = 0
        self._wait_s = 0.0
        self.next_at = now

    def denied(self, now: float, code: ErrorCode, detail: str) -> None:
        """The server answered with an Error, authenticated."""
        if code in FINAL:
            self.stopped = Stopped(code, detail)
        else:
            self._back_off(now)

    def deferred(self, now: float, wall_ms: int, answer: Deferred) -> None:
        """Come back at the slot: it overrides back-off, which neither grows nor begins anew.

        A DEFER that is not authentic can make a device wait, but not come sooner than a failed
        attempt does: anybody on the path could have said it, again and again. Nor can it take the
        slot and the ticket from a device that resumes, to which the server authenticates what it
        says.
        """
        wait_s = min(max(answer.wait_s, DEFERRAL_MIN_S), DEFERRAL_MAX_S)
        base_s, _ = bounds_s(self.policy)
        self._short_deferrals = self._short_deferrals + 1 if wait_s < base_s else 0
        if not answer.authentic or self._short_deferrals > SHORT_DEFERRALS_MAX:
            wait_s = self._or_back_off_s(wait_s)
        forged = self._kind is Kind.RESUME and not answer.authentic
        if not (forged and self.deferral is not None):
            wait_ms = round(wait_s * 1000)
            self.deferral = Deferral(answer.deferral_ticket, wall_ms + wait_ms, wait_ms)
            self._slot_at = now + wait_s
        self._come_at(now + wait_s)

    def refused(self, now: float, answer: Refused) -> None:
        """No session, said in clear: anybody on the path could have, so it is one failed attempt.
        A ticket that is said to be no good is given up all the same, which costs one login. The
        hint is added to the back-off, which by itself a device then begins no lower than at half of
        it: many were told the same, and are not to come back together."""
        if answer.reason in (RefuseReason.TICKET_INVALID, RefuseReason.HANDSHAKE_FAILED):
            self._resume_failed(now)
        else:
            self._back_off(now, min(answer.retry_after_s, RETRY_AFTER_MAX_S))

    def failed(self, now: float, fault: Fault | None = None) -> None:
        """No connection, no answer in time, or an answer that broke the protocol."""
        if fault is Fault.HANDSHAKE_FAILED:
            self._resume_failed(now)
        else:
            self._back_off(now)

    def ended(self, now: float, reason: ByeReason | None, *, on_screen: bool = False) -> None:
        """The session is over, with the reason of the server's Bye if there was one. `on_screen`:
        the user was looking at the app, and waits from now on."""
        self.closed(now)
        if reason is ByeReason.REVOKED:
            self.stopped = Stopped(ErrorCode.DEVICE_REVOKED)
        elif self.user_waits:
            self.next_at = now
        elif reason is ByeReason.REPLACED:
            self.replaced = True
            self.next_at = inf
        else:
            self.user_waits = on_screen
            self._back_off(now)

    def closed(self, now: float) -> None:
        """The device ended the session itself, for good or until the phone is woken or opened."""
        self.next_at = now
        if now - self._ready_at >= HELD_AFTER_S:
            self._attempts = 0
            self._backoff.reset()
            self._foreground_backoff.reset()

    def _resume_failed(self, now: float) -> None:
        """After a resume, log in: at once for a user who waits, else by back-off like any retry."""
        if self._kind is Kind.RESUME and self.user_waits:
            self._come_at(now)
        else:
            self._back_off(now)
        if self._kind is Kind.RESUME:
            self.resume = None

    def _back_off(self, now: float, hint_s: float = 0.0) -> None:
        base_s, cap_s = self._bounds_s()
        if self.user_waits:
            wait_s = self._foreground_backoff.next_s(base_s, cap_s)
        else:
            wait_s = self._backoff.next_s(max(base_s, hint_s / 2), max(cap_s, 2 * hint_s))
        self._wait_s = hint_s + wait_s
        self._come_at(now + self._wait_s)

    def _or_back_off_s(self, wait_s: float) -> float:
        """This wait, if the next back-off is no longer than that; else it is one failed attempt,
        and this is the longer of the two."""
        base_s, cap_s = self._bounds_s()
        if wait_s >= min(cap_s, BACK_OFF_GROWTH * max(base_s, self._wait_s)):
            return wait_s
        backoff = self._foreground_backoff if self.user_waits else self._backoff
        self._wait_s = backoff.next_s(base_s, cap_s)
        return max(wait_s, self._wait_s)

    def _bounds_s(self) -> tuple[float, float]:
        """Base and cap of whoever waits now."""
        base_s, cap_s = bounds_s(self.policy)
        return base_s, min(cap_s, max(base_s, FOREGROUND_CAP_S)) if self.user_waits else cap_s

    def _come_at(self, at: float) -> None:
        """The next attempt is due then. By itself a device does not come before its slot; a user
        who opened the app during a background attempt does not wait for what that brought."""
        if not self.user_waits:
            self.next_at = max(at, self._slot_at)
        elif self._intent is Intent.FOREGROUND:
            self.next_at = at
