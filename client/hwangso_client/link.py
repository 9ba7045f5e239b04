"""When to connect, with which credentials, and when to stop: the decisions of a device. Pure.

Times are seconds by the device's clock (`now`); `wall_ms` is wall-clock time in ms since 1970, for
what must hold across restarts of the process. What a device does on each answer is a table in the
README of this part; here it is code.

Everything that a device does by itself is BACKGROUND, and waits by back-off. Only a user who opened
the app makes an attempt FOREGROUND, and it stays that until a session is ready: the user still
waits.
"""

from dataclasses import dataclass
from math import inf

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_client.backoff import Backoff, bounds_s
from hwangso_client.profile import Deferral, ResumeCredentials
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
    Policy,
    Welcome,
)

HELD_AFTER_S = 10.0
"""A session that lasted this long has held, and back-off begins anew. A server that accepts phones
and drops them within seconds is failing too: connects must go on thinning out."""

DEFERRAL_MAX_S = 3_600.0
"""The longest slot a device waits for: beyond it, trying once more costs nobody anything."""

RETRY_AFTER_MAX_S = UNAUTHENTICATED_DEFER_MAX_S
"""A REFUSE is not authenticated: its hint is honoured as far as an unauthenticated DEFER is."""

DEFAULT_POLICY = Policy(keepalive_ms=60_000, backoff_base_ms=1_000, backoff_cap_ms=60_000)
"""Until the first Welcome brings the server's own."""

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

    Call `credentials` and `attempt` to connect, then exactly one of `welcomed`, `denied`,
    `deferred`, `refused`, `failed`, or none if the device gave the attempt up; after `welcomed`,
    `ended` or `closed` when the session is over.
    """

    __slots__ = (
        "_attempts",
        "_backoff",
        "_identity",
        "_kind",
        "_ready_at",
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
        now: float,
        wall_ms: int,
        *,
        enrolled: bool,
        resume: ResumeCredentials | None = None,
        deferral: Deferral | None = None,
    ) -> None:
        self._identity = identity
        self._backoff = backoff
        self._attempts = 0
        self._kind = Kind.ENROL
        self._ready_at = now
        self._wait_s = 0.0
        self.enrolled = enrolled
        self.resume = resume
        self.deferral = deferral
        self.policy = DEFAULT_POLICY
        self.user_waits = False
        """The user opened the app and has no ready session yet."""
        self.replaced = False
        """Another phone with the same key took over: two of them must not fight for the session,
        so this one stays off until its user opens the app."""
        self.stopped: Stopped | None = None
        """Why there will be no further attempt."""
        self.next_at = now
        """When the next attempt is due."""
        if deferral is not None:
            self.next_at += min(max(0.0, (deferral.slot_at_ms - wall_ms) / 1000), DEFERRAL_MAX_S)

    # What the user and the radio do

    def opened(self, intended_at: float) -> None:
        """The user opened the app: connect now, whatever was waited for."""
        self.user_waits = True
        self.replaced = False
        self.next_at = intended_at

    def left(self) -> None:
        """The user has left the app: nobody waits any more."""
        self.user_waits = False

    def woken(self, now: float) -> None:
        """A push wakes a closed app: connect, but not before a wait that was asked for is over."""
        self.next_at = max(self.next_at, now)

    def radio_back(self, now: float) -> None:
        """There is service again. Whole regions get it back in the same second, so a device by
        itself waits out its last back-off from here."""
        self.next_at = now if self.user_waits else max(self.next_at, now + self._wait_s)

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
        ticket = self.deferral.ticket if self.deferral else b""
        return Attempt(self.intent, self._attempts, ticket)

    # Answers

    def welcomed(self, now: float, wall_ms: int, welcome: Welcome) -> None:
        """A session is ready."""
        self.enrolled = True
        expires_at_ms = wall_ms + welcome.ticket_lifetime_ms
        self.resume = ResumeCredentials(welcome.ticket, welcome.psk, expires_at_ms)
        self.deferral = None
        self.policy = welcome.policy
        self._ready_at = now
        self._wait_s = 0.0
        self.next_at = now

    def denied(self, now: float, code: ErrorCode, detail: str) -> None:
        """The server answered with an Error, authenticated."""
        if code in FINAL:
            self.stopped = Stopped(code, detail)
        else:
            self._back_off(now)

    def deferred(self, now: float, wall_ms: int, answer: Deferred) -> None:
        """Come back at the slot: it overrides back-off, which neither grows nor begins anew."""
        wait_s = min(answer.wait_s, DEFERRAL_MAX_S)
        self.deferral = Deferral(answer.deferral_ticket, wall_ms + round(wait_s * 1000))
        self._wait_s = 0.0
        self.next_at = now + wait_s

    def refused(self, now: float, answer: Refused) -> None:
        """No session, said in clear: anybody on the path could have, so it is one failed attempt.
        A ticket that is said to be no good is given up all the same, which costs one login. The
        hint is added to the back-off: many devices were told the same."""
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

    def ended(self, now: float, reason: ByeReason | None) -> None:
        """The session is over, with the reason of the server's Bye if there was one."""
        self.closed(now)
        if reason is ByeReason.REVOKED:
            self.stopped = Stopped(ErrorCode.DEVICE_REVOKED)
        elif self.user_waits:
            self.next_at = now
        elif reason is ByeReason.REPLACED:
            self.replaced = True
            self.next_at = inf
        else:
            self._back_off(now)

    def closed(self, now: float) -> None:
        """The device ended the session itself, for good or until the phone is woken or opened."""
        self.next_at = now
        if now - self._ready_at >= HELD_AFTER_S:
            self._attempts = 0
            self._backoff.reset()

    def _resume_failed(self, now: float) -> None:
        """After a resume, log in: at once for a user who waits, else by back-off like any retry."""
        if self._kind is Kind.RESUME and self.user_waits:
            self.next_at = now
        else:
            self._back_off(now)
        if self._kind is Kind.RESUME:
            self.resume = None

    def _back_off(self, now: float, at_least_s: float = 0.0) -> None:
        self._wait_s = at_least_s + self._backoff.next_s(*bounds_s(self.policy))
        self.next_at = now + self._wait_s
