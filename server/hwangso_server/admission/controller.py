"""The admission controller: who is admitted, who is deferred until when, in which stage.

It joins the parts, each of which has its own module and can be used alone: `pressure` measures,
`stage` follows from it, `background` has the rate that is left over, `calendar` the slots,
`foreground` the trust, `promises` who was promised what. Here is what they add up to:

- *Foreground* is admitted at once, in every stage, while its own queue is short. Beyond that the
  stage is SHIELD, and who finds the queue full gets a short slot. Background is never asked.
- *Background* is admitted at once in NORMAL. A full queue is the surest sign of overload, and ends
  NORMAL at once. In BUSY as many are admitted as the budget says, the others get slots at the same
  rate. In EMERGENCY and SHIELD only slots count; but EMERGENCY takes who is there before it idles.
- Who comes early keeps the slot. Who comes when it is due, or later, is admitted if there is room,
  else gets another slot, and after a few of those is admitted anyway: age wins.

The idea to answer early with a time to come back is Breakwater's (OSDI '20: credits beat guessing);
to let people through and put machines off by stages is the story's, and Netflix' (prioritized load
shedding). One ledger for all: whatever lane a hello came through, `decide` is the only way in.

Pure: `now_s` is an argument and never goes back; chance is injected.
"""

from collections.abc import Callable
from math import ceil, inf

from msgspec.structs import replace

from hwangso_protocol.answer import DeferReason, RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.limits import UNAUTHENTICATED_DEFER_MAX_S
from hwangso_server.admission.background import BackgroundBudget, RateController
from hwangso_server.admission.calendar import SlotCalendar
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS, CapacityAdmission
from hwangso_server.admission.decision import Admit, Arrival, Decision, Deferral, Load, Refusal
from hwangso_server.admission.deferral import DeferralTickets
from hwangso_server.admission.explanation import Explanation, Outcome, Rule, Status
from hwangso_server.admission.foreground import ForegroundBudget
from hwangso_server.admission.history import History, Record
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.pressure import Pressure
from hwangso_server.admission.promises import Promise, Promises
from hwangso_server.admission.queueing import Queue
from hwangso_server.admission.rates import default_controller
from hwangso_server.admission.settings import Settings
from hwangso_server.admission.stage import Stage, StageMachine, StageRule, readings
from hwangso_server.admission.treatment import TREATMENTS, Treatment

ANYBODY = 0
"""Device id of who has no resume ticket; devices have ids from 1 on."""

_FOREGROUND, _BACKGROUND = Intent.FOREGROUND, Intent.BACKGROUND
_ADMIT_FOREGROUND, _ADMIT_BACKGROUND = Admit(_FOREGROUND), Admit(_BACKGROUND)
_FULL = Refusal(RefuseReason.FULL, FULL_RETRY_AFTER_MS)
_REASONS = (DeferReason.BUSY, DeferReason.BUSY, DeferReason.EMERGENCY, DeferReason.SHIELD)
_UNAUTHENTICATED_MAX_MS = int(UNAUTHENTICATED_DEFER_MAX_S * 1000)


class AdmissionController:
    """See the module's docstring, and `Admission` for how to use it.

    `uniform(low, high)` and `random_bytes(count)` are its chance. Deferral tickets are sealed under
    `ticket_key` and hold wall time, `now_s + wall_offset_s` in seconds since the epoch.
    `controller` finds the background rate. Mechanisms in `without` are switched off, to see what
    each buys.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        uniform: Callable[[float, float], float],
        random_bytes: Callable[[int], bytes],
        ticket_key: bytes,
        wall_offset_s: float = 0.0,
        without: frozenset[Mechanism] = frozenset(),
        controller: RateController | None = None,
    ) -> None:
        self._settings = settings
        self._uniform = uniform
        self._capacity = CapacityAdmission(
            handshakes_max=settings.handshakes_max,
            sessions_max=settings.sessions_max,
            foreground_reserve=settings.foreground_reserve,
        )
        self._pressure = Pressure(settings)
        self._governed = Mechanism.RECOVERY_GOVERNOR not in without
        self._stages = StageMachine(
            settings, hysteresis=Mechanism.HYSTERESIS not in without, governed=self._governed
        )
        self._spoken = Mechanism.SPOKEN_DEFER not in without
        self._budgeted = Mechanism.FOREGROUND_BUDGET not in without
        self._trust = ForegroundBudget(settings)
        self._budget = BackgroundBudget(
            controller or default_controller(1 / (2 * settings.handshake_cost_s))
        )
        self._calendar = self._empty_calendar()
        self._people = self._empty_calendar()
        """The calendar for people, in SHIELD."""
        self._strangers_from_s = 0.0
        """When the next slot may be for somebody without a resume ticket."""
        self._promises = Promises(
            settings, DeferralTickets(ticket_key), random_bytes, wall_offset_s
        )
        self._history = History(settings.devices_remembered)
        self._weights = {
            Kind.RESUME: 1.0,
            Kind.LOGIN: settings.login_weight,
            Kind.ENROL: settings.enrol_weight,
        }
        self._foreground_limit = self._shield_limit = self._background_limit = 0.0
        """Weight that the queues hold."""
        self._slots_per_s = self._people_per_s = 0.0
        """Rates at which slots are handed out."""
        self._set_limits()

    # Admission

    @property
    def stage(self) -> Stage:
        """The stage of now."""
        return self._stages.stage

    @property
    def treatment(self) -> Treatment:
        """What the stage asks of everything that is not a connect."""
        return TREATMENTS[self._stages.stage]

    @property
    def newest_first(self) -> bool:
        """In SHIELD."""
        return self._stages.stage is Stage.SHIELD

    @property
    def background_per_s(self) -> float:
        """The budget."""
        return self._budget.rate_per_s

    @property
    def next_deadline_s(self) -> float:
        """When the window ends, or a pin."""
        until_s = self._stages.pinned_until_s
        close_s = self._pressure.next_close_s
        return close_s if until_s is None else min(close_s, until_s)

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        """Decide about one hello."""
        pressure = self._pressure
        foreground = arrival.intent is _FOREGROUND
        pressure.arrived(pressure.foreground if foreground else pressure.background, now_s)
        if foreground and self._capacity.is_full:
            return self._refuse(arrival, _FOREGROUND, now_s)
        device_id = arrival.device_id
        record = self._history.last(device_id)
        promise = None if record is None else record.promise
        if promise is not None or arrival.deferral_ticket:
            promise = self._promises.find(
                device_id or ANYBODY, arrival.deferral_ticket, promise, now_s
            )
        if foreground and (promise is None or promise.intent is not _FOREGROUND):
            foreground = self._is_believed(arrival, now_s)
        if promise is not None and (promise.intent is _FOREGROUND) != foreground:
            if foreground:  # the app was opened while it had a slot as background; its age stays
                self._promises.keep(promise)
                promise = replace(promise, intent=_FOREGROUND, slot_s=now_s)
            else:
                promise = None
        if foreground:
            return self._decide_foreground(arrival, record, promise, now_s)
        return self._decide_background(arrival, promise, now_s)

    def caller_gone(
        self,
        intent: Intent,
        waited_s: float,
        now_s: float,
        *,
        device_id: int | None = None,
        deferral_ticket: bytes = b"",
    ) -> None:
        """An admitted caller hung up before its handshake was started."""
        self._queue(intent).leave(waited_s)
        self._capacity.handshakes -= 1
        record = self._history.last(device_id)
        if device_id is not None and record is not None and record.has_used_promise:
            self._promises.give_back(device_id, deferral_ticket)

    def handshake_started(self, intent: Intent, waited_s: float, now_s: float) -> None:
        """An admitted caller's turn has come."""
        self._queue(intent).start(waited_s)

    def answered(self, intent: Intent, response_s: float, now_s: float) -> None:
        """An admitted caller has its answer."""
        self._queue(intent).answer(response_s)

    def handshake_failed(self) -> None:
        """A started handshake ended before its session went online."""
        self._capacity.handshake_failed()

    def session_started(self) -> None:
        """An admitted connection proved its keys."""
        self._capacity.session_started()

    def session_ended(self) -> None:
        """A session is over."""
        self._capacity.session_ended()
        self._pressure.session_ended()

    def worked(self, load: Load, now_s: float) -> None:
        """A turn is over."""
        self._pressure.worked(load)
        if now_s >= self.next_deadline_s:
            self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """Close the window if its time is up, and let the stage follow."""
        stages = self._stages
        stages.expire_pin(now_s)
        if now_s < self._pressure.next_close_s:
            return
        sample = self._pressure.close(now_s, is_calm=stages.stage is Stage.NORMAL)
        if sample is None:
            return
        self._budget.observe(sample, now_s)
        self._set_limits()
        before = stages.stage
        stages.update(self._pressure.signals, self._backlog_s(now_s), now_s)
        if stages.stage < before and not self._governed:
            self._calendar = self._empty_calendar()

    # For operators

    def pin(self, stage: Stage, until_s: float, now_s: float) -> None:
        """Stay in this stage until then, whatever the signals say."""
        self._stages.pin(stage, until_s, now_s)

    def unpin(self, now_s: float) -> None:
        """Let the stage follow from pressure again."""
        self._stages.unpin(now_s)

    def explain(self, device_id: int, now_s: float) -> Explanation | None:
        """The last decision about a device; None if it has not come, or is forgotten."""
        return self._history.explain(device_id)

    def status(self, now_s: float) -> Status:
        """How admission stands."""
        stages, signals = self._stages, self._pressure.signals
        found = readings(signals, self._backlog_s(now_s), self._settings)
        return Status(
            stage=stages.stage,
            since_s=stages.since_s,
            rule=stages.rule,
            pinned_until_s=stages.pinned_until_s,
            signals=signals,
            readings=tuple(found.values()),
            background_per_s=self._budget.rate_per_s,
            foreground_waiting=self._pressure.foreground.waiting,
            background_waiting=self._pressure.background.waiting,
            slots=self._calendar.outstanding(now_s),
            last_slot_s=self._calendar.last_slot_s(now_s),
            overbooked=self._calendar.overbooked,
            foreign_tickets=self._promises.foreign,
            spent_tickets=self._promises.spent,
            decisions=dict(self._history.decisions),
        )

    def calendar(self, now_s: float) -> list[tuple[int, int]]:
        """(whole seconds from now, slots in that second), in order."""
        return self._calendar.dump(now_s)

    # Decisions

    def _is_believed(self, arrival: Arrival, now_s: float) -> bool:
        """Whether a claim without a slot for people is served as one. Those over their budget are,
        too, in NORMAL, but they do not bring the shield on."""
        if not self._budgeted:
            return True
        queue = self._pressure.foreground
        if arrival.device_id is not None:
            believed = self._trust.believes(arrival.device_id, arrival.attempt, now_s)
        else:
            cost_s = self._weights[arrival.kind] * queue.cost_s
            believed = self._trust.believes_stranger(cost_s, now_s)
        return believed or (
            self._stages.stage is Stage.NORMAL
            and queue.weight < self._foreground_limit * self._settings.newcomers_factor
        )

    def _decide_foreground(
        self, arrival: Arrival, record: Record | None, promise: Promise | None, now_s: float
    ) -> Decision:
        rule = self._rule_for_person(record, promise, now_s)
        if rule.outcome is Outcome.ADMITTED:
            return self._admit(arrival, _FOREGROUND, rule, promise, now_s)
        if not self._spoken:
            return self._admit(arrival, _FOREGROUND, Rule.SILENT, promise, now_s)
        if promise is not None and now_s < promise.slot_s:
            return self._defer(arrival, _FOREGROUND, Rule.EARLY, promise, now_s)
        earliest_s = now_s + self._settings.people_slot_min_s
        slot_s = self._people.take(
            now_s, self._people_per_s, earliest_s, self._weights[arrival.kind]
        )
        promise = self._promises.make(
            arrival.device_id or ANYBODY, _FOREGROUND, slot_s, promise, now_s
        )
        return self._defer(arrival, _FOREGROUND, rule, promise, now_s)

    def _rule_for_person(
        self, record: Record | None, promise: Promise | None, now_s: float
    ) -> Rule:
        """For people: at once, while their queue is short. In SHIELD who comes for a slot finds
        room kept, and newcomers have what is left."""
        stages, settings = self._stages, self._settings
        weight = self._pressure.foreground.weight
        if stages.stage is not Stage.SHIELD:
            if weight < self._foreground_limit:
                return Rule.FOREGROUND
            if stages.overflow(StageRule.FOREGROUND_FULL, now_s) is not Stage.SHIELD:
                return Rule.FOREGROUND  # pinned lower by an operator
        limit = self._shield_limit
        if self._has_one_waiting(record, now_s):
            return Rule.ONE_ATTEMPT
        if promise is not None and self._is_due(promise, now_s):
            is_aged = promise.count >= settings.deferrals_max
            factor = settings.limit_factor if is_aged else settings.aged_factor
            return Rule.DUE if weight < limit * factor else Rule.FOREGROUND_FULL
        if self._people.outstanding(now_s):
            limit *= settings.newcomers_factor
        return Rule.FOREGROUND if weight < limit else Rule.FOREGROUND_FULL

    def _is_due(self, promise: Promise, now_s: float) -> bool:
        return promise.slot_s <= now_s + self._settings.slot_tolerance_s

    def _decide_background(
        self, arrival: Arrival, promise: Promise | None, now_s: float
    ) -> Decision:
        stages = self._stages
        if self._capacity.is_full_for_background:
            return self._refuse(arrival, _BACKGROUND, now_s)
        stage = stages.stage
        if stage is Stage.NORMAL:
            if self._pressure.background.weight >= self._background_limit:
                stage = stages.overflow(StageRule.BACKGROUND_FULL, now_s)
            if stage is Stage.NORMAL:
                return self._admit(arrival, _BACKGROUND, Rule.NORMAL, promise, now_s)
        if not self._spoken:
            return self._admit(arrival, _BACKGROUND, Rule.SILENT, promise, now_s)
        if promise is None:
            rule = self._rule_for_new(stage, self._weights[arrival.kind], now_s)
        elif self._is_due(promise, now_s):
            rule = self._rule_for_due(promise, now_s)
        else:
            rule = Rule.EARLY
            if arrival.device_id is None:
                # It was told to come this early: for who is not known no wait may be longer.
                rule = self._rule_for_new(stage, self._weights[arrival.kind], now_s)
            if rule is not Rule.SPARE:
                return self._defer(arrival, _BACKGROUND, Rule.EARLY, promise, now_s)
        if rule is Rule.OVER_BUDGET or rule is Rule.QUEUE_FULL:
            slot_s = self._take_slot(arrival, now_s)
            promise = self._promises.make(
                arrival.device_id or ANYBODY, _BACKGROUND, slot_s, promise, now_s
            )
            return self._defer(arrival, _BACKGROUND, rule, promise, now_s)
        if rule is not Rule.SPARE:
            # Its slot was counted when it was handed out; what is left over is for the others.
            self._budget.take(now_s, self._weights[arrival.kind])
        return self._admit(arrival, _BACKGROUND, rule, promise, now_s)

    def _rule_for_new(self, stage: Stage, weight: float, now_s: float) -> Rule:
        """For background without a slot, above NORMAL."""
        queue = self._pressure.background
        if stage is Stage.BUSY:
            has_room = queue.weight < self._background_limit
        else:
            # The processor would idle: rather than a slot it gets what the calendar leaves.
            has_room = stage is Stage.EMERGENCY and not queue.waiting
        return Rule.SPARE if has_room and self._budget.take(now_s, weight) else Rule.OVER_BUDGET

    def _rule_for_due(self, promise: Promise, now_s: float) -> Rule:
        """For background whose slot has come, above NORMAL: with age there is more room."""
        settings = self._settings
        weight, limit = self._pressure.background.weight, self._background_limit
        if weight < limit:
            return Rule.DUE
        if promise.count >= settings.deferrals_max:
            limit *= settings.limit_factor
        elif (
            promise.count >= settings.aged_deferrals
            or now_s - promise.first_deferred_s >= settings.horizon_s
        ):
            limit *= settings.aged_factor
        return Rule.AGE if weight < limit else Rule.QUEUE_FULL

    def _has_one_waiting(self, record: Record | None, now_s: float) -> bool:
        """Whether a device's last foreground attempt may still be waiting for its turn."""
        return (
            record is not None and now_s - record.foreground_at_s < self._settings.foreground_hold_s
        )

    def _take_slot(self, arrival: Arrival, now_s: float) -> float:
        """The next slot with room, when the queue of now has been served."""
        settings, rate_per_s = self._settings, self._slots_per_s
        weight = self._weights[arrival.kind]
        queued_s = self._pressure.background.weight / rate_per_s
        earliest_s = now_s + max(settings.slot_min_s, queued_s)
        if arrival.device_id is None:
            # As the calendar has it, slots of strangers are apart by their share of the rate.
            earliest_s = max(earliest_s, self._strangers_from_s)
            apart_s = weight / (rate_per_s * settings.strangers_slot_share)
            self._strangers_from_s = min(earliest_s + apart_s, now_s + settings.horizon_s)
        return self._calendar.take(now_s, rate_per_s, earliest_s, weight)

    # Answers

    def _admit(
        self, arrival: Arrival, intent: Intent, rule: Rule, promise: Promise | None, now_s: float
    ) -> Admit:
        self._capacity.handshakes += 1
        deferrals = 0
        if promise is not None:
            self._promises.keep(promise)
            deferrals = promise.count
        self._record(arrival, intent, rule, deferrals, None, now_s)
        weight = self._weights[arrival.kind]
        if intent is _FOREGROUND:
            self._pressure.foreground.admit(weight)
            return _ADMIT_FOREGROUND
        self._pressure.background.admit(weight)
        return _ADMIT_BACKGROUND

    def _defer(
        self, arrival: Arrival, intent: Intent, rule: Rule, promise: Promise, now_s: float
    ) -> Deferral:
        self._record(arrival, intent, rule, promise.count, promise, now_s)
        wait_ms = ceil((promise.slot_s - now_s) * 1000)
        if arrival.device_id is None:
            wait_ms = min(wait_ms, _UNAUTHENTICATED_MAX_MS)
        return Deferral(wait_ms, _REASONS[self._stages.stage], promise.sealed)

    def _refuse(self, arrival: Arrival, intent: Intent, now_s: float) -> Refusal:
        self._record(arrival, intent, Rule.FULL, 0, None, now_s)
        return _FULL

    def _record(
        self,
        arrival: Arrival,
        intent: Intent,
        rule: Rule,
        deferrals: int,
        promise: Promise | None,
        now_s: float,
    ) -> None:
        stage = self._stages.stage
        foreground_at_s = -inf
        if stage is Stage.SHIELD:
            former = self._history.last(arrival.device_id)
            if intent is _FOREGROUND and promise is None:
                foreground_at_s = now_s
            elif former is not None:
                foreground_at_s = former.foreground_at_s
        record = Record(
            now_s, arrival.intent, intent, stage, rule, deferrals, promise, foreground_at_s
        )
        self._history.add(arrival.device_id, record)

    # Small parts

    def _queue(self, intent: Intent) -> Queue:
        pressure = self._pressure
        return pressure.foreground if intent is _FOREGROUND else pressure.background

    def _set_limits(self) -> None:
        """What follows from the measured cost and rate, once a window."""
        settings, signals = self._settings, self._pressure.signals
        foreground_s, background_s = signals.foreground.cost_s, signals.background.cost_s
        least = settings.foreground_hold_handshakes
        self._foreground_limit = max(settings.foreground_hold_s / foreground_s, least)
        self._shield_limit = max(settings.shield_hold_s / foreground_s, least)
        background_share = settings.background_min_share
        self._slots_per_s = max(background_share / background_s, self._budget.rate_per_s)
        self._background_limit = max(settings.hold_s / background_s, settings.hold_handshakes)
        if self._stages.stage is not Stage.NORMAL:
            served = max(1.0, self._slots_per_s * settings.background_wait_s)
            self._background_limit = min(self._background_limit, served)
        spare_share = 1 - signals.live_share - signals.door_share - background_share
        self._people_per_s = max(settings.people_min_share, spare_share) / foreground_s

    def _backlog_s(self, now_s: float) -> float:
        return self._calendar.last_slot_s(now_s) - now_s

    def _empty_calendar(self) -> SlotCalendar:
        settings = self._settings
        return SlotCalendar(
            bucket_s=settings.bucket_s, horizon_s=settings.horizon_s, uniform=self._uniform
        )
