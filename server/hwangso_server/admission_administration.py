"""What an operator asks of the running server's admission: its stage, its reasons, its calendar.

Times of the controller are by the server's clock; those of the answers are seconds from now.
"""

from math import isfinite

import structlog
from structlog.typing import FilteringBoundLogger

from hwangso_server.accounts import AdministrationError
from hwangso_server.admin_messages import (
    CONTROL_OFF,
    AdmissionStatus,
    CalendarListing,
    Explained,
    Explanation,
)
from hwangso_server.admission import Admission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.stage import Stage
from hwangso_server.environment import Clock

log: FilteringBoundLogger = structlog.get_logger()


class AdmissionAdministration:
    """Asks `admission`. Methods raise AdministrationError when that controls nothing, unless they
    say otherwise."""

    def __init__(self, admission: Admission, clock: Clock) -> None:
        self._admission = admission
        self._clock = clock

    def status(self) -> AdmissionStatus | None:
        """How admission stands; None when its control is off."""
        if not isinstance(self._admission, AdmissionController):
            return None
        return self._status(self._admission)

    def figures(self) -> dict[str, int | float]:
        """The part of `status` that is numbers, by name; empty when control is off."""
        status = self.status()
        if status is None:
            return {}
        return {
            "now.stage": status.stage.value,
            "now.background_per_s": status.background_per_s,
            "now.foreground_waiting": status.foreground_waiting,
            "now.background_waiting": status.background_waiting,
            "now.slots": status.slots,
            "slots.overbooked": status.overbooked,
            "deferral_tickets.foreign": status.foreign_tickets,
            "deferral_tickets.spent": status.spent_tickets,
            **{f"decided.{rule}": count for rule, count in status.decisions.items() if count},
        }

    def set_stage(self, stage: Stage, for_s: float) -> AdmissionStatus:
        """Pin the stage."""
        controller = self._controller()
        now_s = self._clock.now_s()
        controller.pin(stage, now_s + for_s, now_s)
        log.info("stage pinned by an operator", stage=stage.name, for_s=for_s)
        return self._status(controller)

    def free_stage(self) -> AdmissionStatus:
        """Let the stage follow from pressure."""
        controller = self._controller()
        controller.unpin(self._clock.now_s())
        log.info("stage freed by an operator")
        return self._status(controller)

    def explain(self, device: int) -> Explained:
        """The last decision about a device."""
        now_s = self._clock.now_s()
        found = self._controller().explain(device, now_s)
        if found is None:
            return Explained(None)
        return Explained(
            Explanation(
                ago_s=now_s - found.at_s,
                intent=found.claimed.tag,
                served_as=found.served_as.tag,
                stage=found.stage,
                rule=found.rule,
                outcome=found.outcome,
                slot_in_s=None if found.until_s is None else found.until_s - now_s,
                deferrals=found.deferrals,
            )
        )

    def calendar(self) -> CalendarListing:
        """The slots to come."""
        return CalendarListing(tuple(self._controller().calendar(self._clock.now_s())))

    def _controller(self) -> AdmissionController:
        if not isinstance(self._admission, AdmissionController):
            raise AdministrationError(CONTROL_OFF)
        return self._admission

    def _status(self, controller: AdmissionController) -> AdmissionStatus:
        now_s = self._clock.now_s()
        status = controller.status(now_s)
        pinned_until_s, since_s = status.pinned_until_s, status.since_s
        return AdmissionStatus(
            stage=status.stage,
            rule=status.rule,
            entered_ago_s=now_s - since_s if isfinite(since_s) else None,
            pinned_left_s=None if pinned_until_s is None else max(pinned_until_s - now_s, 0.0),
            readings=status.readings,
            signals=status.signals,
            background_per_s=status.background_per_s,
            foreground_waiting=status.foreground_waiting,
            background_waiting=status.background_waiting,
            slots=status.slots,
            last_slot_in_s=status.last_slot_s - now_s if status.slots else None,
            overbooked=status.overbooked,
            foreign_tickets=status.foreign_tickets,
            spent_tickets=status.spent_tickets,
            decisions={rule.value: count for rule, count in status.decisions.items()},
        )
