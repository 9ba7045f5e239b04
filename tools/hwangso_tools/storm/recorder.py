"""Takes what devices report and what the script does to them, and writes a `Recording`. Pure.

All times given to it are Trio's; `origin_s` is the one at which the story's 0 is, and `speed` how
much faster than told the run is. The recording has the story's time. What happens before the calm
baseline is not written down.
"""

from math import inf

from hwangso_client.events import (
    AppReady,
    AttemptEnded,
    AttemptStarted,
    DeviceEvent,
    MessageAcknowledged,
    Outcome,
    SessionEnded,
)
from hwangso_protocol.hello import Intent
from hwangso_server.admission.stage import Stage
from hwangso_tools.storm.recording import Open, Recording, StageChange

_NO_ANSWER = frozenset({Outcome.CONNECT_TIMEOUT, Outcome.ANSWER_TIMEOUT})
"""Their time counts as a response time: it would have been longer still."""


class _Phone:
    """What is known of one device."""

    __slots__ = ("deferrals", "live", "opened_at_s", "service_since_s", "waits_since_s")

    def __init__(self) -> None:
        self.live = False
        self.service_since_s = -inf
        """Infinity while it has none."""
        self.opened_at_s: float | None = None
        """Since when a person waits for a session."""
        self.waits_since_s: float | None = None
        """Since its first background attempt without a session."""
        self.deferrals = 0


class Recorder:
    """See the module's docstring. Call `finish` at the end."""

    def __init__(self, recording: Recording, origin_s: float, speed: float = 1.0) -> None:
        self._recording = recording
        self._origin_s = origin_s
        self._speed = speed
        self._phones = [_Phone() for _ in range(recording.devices)]
        self._places = range(recording.calm_seconds + recording.seconds)
        self.sessions = 0
        """Phones with a session now."""
        self._waiting = 0
        """Phones whose background attempt has brought no session yet."""
        self._known_to = 0

    # What devices report

    def take(self, device: int, event: DeviceEvent) -> None:
        """Write down what a device reports."""
        phone = self._phones[device]
        match event:
            case AttemptStarted():
                self._attempt_started(phone, event)
            case AttemptEnded():
                self._attempt_ended(phone, event)
            case SessionEnded(ended_at=ended_at):
                self._session_changed(phone, False, ended_at)
            case AppReady(ready_at=ready_at):
                self._person_served(phone, ready_at)
            case MessageAcknowledged():
                self._recording.acknowledged += 1
            case _:
                pass

    # What the script does

    def opened(self, device: int, at_s: float) -> None:
        """A person opens the app, and waits from now on."""
        self._phones[device].opened_at_s = at_s

    def left(self, device: int, at_s: float) -> None:
        """The person leaves it."""
        self._person_gone(self._phones[device], at_s)

    def service(self, device: int, on: bool, at_s: float) -> None:
        """The carrier's service comes or goes."""
        phone = self._phones[device]
        phone.service_since_s = at_s if on else inf
        if on and phone.waits_since_s is not None:
            phone.waits_since_s = at_s

    def posted(self) -> None:
        """A person has written a message."""
        self._recording.messages += 1

    def stage_changed(self, stage: Stage, at_s: float) -> None:
        """The server is in another stage."""
        self._recording.stages.append(StageChange(self._told(at_s), stage))

    def worked(self, busy_s: float, useful_s: float, at_s: float) -> None:
        """The server's processor has done so much since it was asked last."""
        place = self._place(at_s)
        if place is not None:
            self._recording.series.busy_s[place] += busy_s
            self._recording.series.useful_s[place] += useful_s

    def finish(self, at_s: float) -> Recording:
        """The run is over; what is still waited for has taken until now."""
        self._fill(len(self._places))
        for phone in self._phones:
            self._person_gone(phone, at_s)
            self._waited(phone, at_s)
        return self._recording

    # Inside

    def _told(self, at_s: float) -> float:
        """The time in the story."""
        return (at_s - self._origin_s) * self._speed

    def _place(self, at_s: float) -> int | None:
        """Of a time in the series; None outside."""
        place = self._recording.index(self._told(at_s))
        return place if place in self._places else None

    def _attempt_started(self, phone: _Phone, attempt: AttemptStarted) -> None:
        if attempt.intent is Intent.BACKGROUND and phone.waits_since_s is None:
            self._fill_before(attempt.started_at)
            self._waiting += 1
            phone.waits_since_s = attempt.intended_at
        place = self._place(attempt.started_at)
        if place is not None:
            self._recording.series.connects[attempt.intent][place] += 1

    def _attempt_ended(self, phone: _Phone, ended: AttemptEnded) -> None:
        attempt, at_s = ended.attempt, ended.ended_at
        if ended.outcome is Outcome.WELCOMED:
            self._session_changed(phone, True, at_s)
            self._waited(phone, at_s)
        elif ended.outcome is Outcome.DEFERRED:
            phone.deferrals += 1
        place = self._place(at_s)
        if place is None:
            return
        recording, series = self._recording, self._recording.series
        if ended.outcome is Outcome.WELCOMED:
            series.welcomed[attempt.intent][place] += 1
        elif ended.outcome is Outcome.DEFERRED:
            series.deferred[place] += 1
            recording.max_deferrals = max(recording.max_deferrals, phone.deferrals)
        elif ended.outcome is not Outcome.ABANDONED:
            series.failed[place] += 1
        answered = ended.outcome is Outcome.WELCOMED or ended.outcome in _NO_ANSWER
        if answered and attempt.started_at >= phone.service_since_s:
            response_s = (at_s - attempt.started_at) * self._speed
            series.responses[attempt.intent][place] += 1
            series.response_s[attempt.intent][place] += response_s
            if at_s < self._origin_s:
                recording.calm_responses_s.append(response_s)

    def _waited(self, phone: _Phone, at_s: float) -> None:
        """A background wait is over."""
        since_s, phone.waits_since_s, phone.deferrals = phone.waits_since_s, None, 0
        if since_s is not None:
            self._fill_before(at_s)
            self._waiting -= 1
        if since_s is not None and at_s >= self._origin_s and phone.service_since_s < inf:
            recording, waited_s = self._recording, (at_s - since_s) * self._speed
            recording.max_background_wait_s = max(recording.max_background_wait_s, waited_s)

    def _session_changed(self, phone: _Phone, live: bool, at_s: float) -> None:
        if phone.live is not live:
            self._fill_before(at_s)
            phone.live = live
            self.sessions += 1 if live else -1

    def _fill_before(self, at_s: float) -> None:
        """The numbers of now are about to change."""
        place = self._place(at_s)
        if place is not None:
            self._fill(place)

    def _fill(self, until: int) -> None:
        """The numbers of now hold for all seconds before `until` that are not written yet."""
        series = self._recording.series
        for place in range(self._known_to, until):
            series.sessions[place] = self.sessions
            series.waiting[place] = self._waiting
        self._known_to = max(self._known_to, until)

    def _person_served(self, phone: _Phone, at_s: float) -> None:
        if phone.opened_at_s is not None:
            since_s = max(phone.opened_at_s, phone.service_since_s)
            phone.opened_at_s = None
            self._write_open(since_s, at_s, ready=True)

    def _person_gone(self, phone: _Phone, at_s: float) -> None:
        if phone.opened_at_s is None:
            return
        since_s = max(phone.opened_at_s, phone.service_since_s)
        phone.opened_at_s = None
        if since_s < inf:
            self._write_open(since_s, at_s, ready=False)
        elif at_s >= self._origin_s:
            self._recording.opens_without_service += 1

    def _write_open(self, since_s: float, until_s: float, *, ready: bool) -> None:
        recording, at_s = self._recording, self._told(since_s)
        waited_s = (until_s - since_s) * self._speed
        if at_s >= 0:
            recording.opens.append(Open(at_s, waited_s, ready))
        elif ready and at_s >= -recording.calm_seconds:
            recording.calm_opens_s.append(waited_s)
