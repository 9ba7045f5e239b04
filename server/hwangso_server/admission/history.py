"""The last decision about each device: to explain it, and to know what the device was promised.

Bounded: whose last decision is the longest ago makes room. Nothing is lost with it that the
device's deferral ticket does not prove.
"""

from collections import OrderedDict

from msgspec import Struct

from hwangso_protocol.hello import Intent
from hwangso_server.admission.explanation import Explanation, Rule
from hwangso_server.admission.promises import Promise
from hwangso_server.admission.stage import Stage


class Record(Struct, frozen=True, gc=False):
    """A decision. `promise` is the one that the device holds since."""

    at_s: float
    claimed: Intent
    served_as: Intent
    stage: Stage
    rule: Rule
    deferrals: int
    promise: Promise | None
    foreground_at_s: float
    """When it was last let in as foreground; minus infinity if it was not, or nobody cares: only
    in SHIELD does it matter."""

    @property
    def has_used_promise(self) -> bool:
        """Whether the device was let in, and a promise was used up for that."""
        return self.promise is None and self.deferrals > 0


class History:
    """Of at most `devices_max` devices; `decisions` counts all of them, by their rule."""

    def __init__(self, devices_max: int) -> None:
        self._devices_max = devices_max
        self._records: OrderedDict[int, Record] = OrderedDict()
        """In the order of the decisions. A plain dict, asked for its first key, looks through all
        that were deleted before it: up to 41 us a decision at 100,000 devices, instead of 0.4."""
        self.decisions = dict.fromkeys(Rule, 0)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, device_id: int | None, record: Record) -> None:
        """A decision was made; `device_id` is None where it is not known who it was about."""
        self.decisions[record.rule] += 1
        if device_id is None:
            return
        records = self._records
        records[device_id] = record
        records.move_to_end(device_id)
        if len(records) > self._devices_max:
            records.popitem(last=False)

    def last(self, device_id: int | None) -> Record | None:
        """The last decision about a device; None if there is none, or it is forgotten."""
        return None if device_id is None else self._records.get(device_id)

    def explain(self, device_id: int) -> Explanation | None:
        """The same for operators."""
        record = self._records.get(device_id)
        if record is None:
            return None
        return Explanation(
            device_id=device_id,
            at_s=record.at_s,
            claimed=record.claimed,
            served_as=record.served_as,
            stage=record.stage,
            rule=record.rule,
            until_s=None if record.promise is None else record.promise.slot_s,
            deferrals=record.deferrals,
        )
