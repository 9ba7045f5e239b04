"""The task that keeps a device connected: it waits until an attempt is due, makes it, holds the
session, and begins again. Every decision is `Link`'s; this adapts it to clock, network and profile.
"""

from collections.abc import Callable
from math import inf

import trio

from hwangso_client import memory
from hwangso_client.attempt import ABANDONED, AttemptTask, Denied, Failed, Welcomed
from hwangso_client.backoff import Backoff
from hwangso_client.config import AGENT, AppState, DeviceConfig, LinkState, Sources
from hwangso_client.doorbell import Doorbell
from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    Observer,
    Outcome,
    SessionEnd,
    SessionEnded,
)
from hwangso_client.keepalive import Keepalive
from hwangso_client.network import RADIO_LOST, Radio
from hwangso_client.profile import Profile
from hwangso_client.session import Session
from hwangso_protocol.client import ClientConnection
from hwangso_protocol.events import Deferred, Refused
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Login


class Connector:
    """A device's connection, for as long as the device lives. `run` it; then tell it what the user
    and the radio do. `on_change` is called whenever `link_state` or `link.user_waits` has changed.

    Raises ProfileError if the profile cannot be used.
    """

    def __init__(
        self,
        config: DeviceConfig,
        radio: Radio,
        profile: Profile,
        sources: Sources,
        backoff: Backoff,
        observer: Observer,
        on_change: Callable[[], None],
    ) -> None:
        now = trio.current_time()
        self._config = config
        self._radio = radio
        self._profile = profile
        self._sources = sources
        self._observer = observer
        self._on_change = on_change
        self._state = memory.load_or_create(profile, config, sources)
        self.link = memory.build_link(self._state, config, backoff, sources, now)
        self.mailbox = memory.build_mailbox(self._state, config, sources.rng, now, observer)
        self.app_state = AppState.CLOSED
        self.link_state = LinkState.OFF
        self.last_failure = "no attempt yet"
        self.session: Session | None = None
        self._task: AttemptTask | None = None
        self._intent = Intent.BACKGROUND
        self._changed = Doorbell()
        self._leaving = False
        self._opened_at = now

    async def run(self) -> None:
        """Until the device is left, or the server does not want it any more."""
        while await self._attempt_is_due():
            await self._attempt()
        self._set_state(LinkState.STOPPED if self.link.stopped else LinkState.OFF)

    def save(self) -> None:
        """Make link and mailbox durable. Raises ProfileError."""
        self._profile.save(memory.snapshot(self._state, self.link, self.mailbox))
        self.mailbox.changed = False

    # What the user and the radio do

    def open(self, intended_at: float) -> None:
        """The app is opened: have a session as FOREGROUND, or see that the one there is alive."""
        link = self.link
        if not link.user_waits:
            self._opened_at = intended_at
        if self._task is not None and self._intent is Intent.BACKGROUND:
            self._task.give_up()
        self.app_state = AppState.FOREGROUND
        link.opened(intended_at)
        if self.session is not None:
            self.session.set_foreground(True)
            self.session.confirm()
        self._changed.ring()

    def leave(self) -> None:
        """The app goes to the background."""
        self.app_state = AppState.BACKGROUND
        self._nobody_waits()
        if self.session is not None:
            self.session.set_foreground(False)

    def kill(self) -> None:
        """The app is closed, without a word to the server."""
        self.app_state = AppState.CLOSED
        self._nobody_waits()
        if self.session is not None:
            self.session.kill()
        if self._task is not None:
            self._task.give_up()
        self._changed.ring()

    def wake(self) -> None:
        """A closed app is started in the background."""
        self.app_state = AppState.BACKGROUND
        self.link.woken(trio.current_time())
        self._changed.ring()

    def radio_changed(self, lost: bool) -> None:
        """Service came or went; `lost`: the phone has seen its connection break."""
        if lost and self.session is not None:
            self.session.lose(RADIO_LOST)
            self._set_state(LinkState.WAITING)
        elif lost and self._task is not None:
            self._task.give_up(Failed(Outcome.LOST, RADIO_LOST))
        self._changed.ring()

    def end(self) -> None:
        """The device is left: say Bye if there is a session, and let `run` return."""
        self._leaving = True
        if self.session is not None:
            self.session.close()
        if self._task is not None:
            self._task.give_up()
        self._changed.ring()

    # The task

    async def _attempt_is_due(self) -> bool:
        """Wait until an attempt is due; False if there will be none."""
        link = self.link
        had_service = True
        while not self._leaving and link.stopped is None:
            now = trio.current_time()
            wake_at = inf
            if not self._wanted:
                self._set_state(LinkState.OFF)
            elif not self._radio.service:
                had_service = False
                self._set_state(LinkState.WAITING)
            else:
                if not had_service:
                    had_service = True
                    link.radio_back(now)
                if now >= link.next_at:
                    return True
                wake_at = link.next_at
                self._set_state(LinkState.WAITING)
            with trio.CancelScope(deadline=wake_at):
                await self._changed.wait()
        return False

    async def _attempt(self) -> None:
        config, link, now = self._config, self.link, trio.current_time()
        wall_ms = self._sources.wall_ms()
        self._set_state(LinkState.CONNECTING)
        intended_at, kind = link.next_at, link.kind(wall_ms)
        hello = link.attempt()
        self._intent = hello.intent
        inbox = self.mailbox.inbox
        credentials = link.credentials(wall_ms, Login(inbox.since, inbox.room, AGENT))
        started = AttemptStarted(hello.intent, kind, hello.number, intended_at, now)
        self._observer(started)
        self._task = AttemptTask()
        answer = await self._task.run(
            self._radio,
            hello.intent,
            lambda: ClientConnection(credentials, hello, self._sources.random_bytes),
            connect_timeout_s=config.connect_timeout_s,
            answer_timeout_s=config.answer_timeout_s,
        )
        self._task = None
        if not isinstance(answer, Welcomed):
            self._attempt_ended(started, *self._take(answer))
            return
        async with answer.stream:
            self._welcomed(answer)
            self._attempt_ended(started, Outcome.WELCOMED)
            if self._wanted:
                await self._hold(answer, kind)

    @property
    def _wanted(self) -> bool:
        """Whether there should be a session at all: the app may be closed at any moment."""
        return not (self._leaving or self.app_state is AppState.CLOSED or self.link.replaced)

    def _attempt_ended(
        self,
        started: AttemptStarted,
        outcome: Outcome,
        detail: str = "",
        wait_s: float | None = None,
    ) -> None:
        if detail:
            self.last_failure = f"{outcome.value}: {detail}"
        self._observer(AttemptEnded(started, outcome, trio.current_time(), detail, wait_s))

    def _take(
        self, answer: Deferred | Refused | Denied | Failed
    ) -> tuple[Outcome, str, float | None]:
        """Tell the link about an attempt that brought no session; gives what to report."""
        link, now = self.link, trio.current_time()
        match answer:
            case Denied(error):
                link.denied(now, error.code, error.detail)
                return Outcome.DENIED, error.code.value, None
            case Deferred():
                link.deferred(now, self._sources.wall_ms(), answer)
                self.save()
                return Outcome.DEFERRED, answer.reason.name.lower(), answer.wait_s
            case Refused():
                link.refused(now, answer)
                return Outcome.REFUSED, answer.reason.name.lower(), None
            case Failed():
                if answer is not ABANDONED:
                    link.failed(now, answer.fault)
                return answer.outcome, answer.detail, None

    def _welcomed(self, answer: Welcomed) -> None:
        """Take the Welcome in, and save before anything is said about it."""
        now, enrolled = trio.current_time(), not self.link.enrolled
        self.link.welcomed(now, self._sources.wall_ms(), answer.welcome)
        on_screen = self.app_state is AppState.FOREGROUND
        self.mailbox.begin(now, answer.welcome, enrolled=enrolled, on_screen=on_screen)
        self.save()

    async def _hold(self, answer: Welcomed, kind: Kind) -> None:
        """Run a session to its end."""
        ready_at = trio.current_time()
        interval_s = answer.welcome.policy.keepalive_ms / 1000
        session = self.session = Session(
            answer.stream,
            answer.connection,
            self.mailbox,
            Keepalive(ready_at, interval_s, self._state.phase),
            proved=kind is Kind.ENROL,
            foreground=self._intent is Intent.FOREGROUND,
            save=self.save,
            on_confirmed=self._ready,
        )
        session.set_foreground(self.app_state is AppState.FOREGROUND)
        self._set_state(LinkState.READY)
        self._ready()
        try:
            ended = await session.run(answer.rest)
        finally:
            self.session = None
            self._set_state(LinkState.WAITING)
        now = trio.current_time()
        if ended.end is SessionEnd.CLOSED:
            self.link.closed(now)
        else:
            if not self.link.user_waits:
                self._opened_at = now
            on_screen = self.app_state is AppState.FOREGROUND
            self.link.ended(now, ended.reason, on_screen=on_screen)
            self.last_failure = f"{ended.end.value}: {ended.detail}"
        self._observer(SessionEnded(ready_at, now, ended.end, ended.detail))

    def _ready(self) -> None:
        """A session is ready, or has shown that it is alive."""
        if self.link.user_waits:
            self._nobody_waits()
            self._observer(AppReady(self._opened_at, trio.current_time()))

    def _nobody_waits(self) -> None:
        self.link.left()
        self._on_change()

    def _set_state(self, state: LinkState) -> None:
        if state is not self.link_state:
            self.link_state = state
            self._on_change()
