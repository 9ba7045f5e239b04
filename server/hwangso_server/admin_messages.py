"""What goes over the admin socket (`admin`): every request, and what it is answered with.

| request | fields | answer |
|---|---|---|
| `add_user` | `name`, `password` | `done` |
| `list_users` | `after`, `limit` | `users` |
| `disable_user`, `enable_user` | `name` | `done` |
| `list_devices` | `user` | `devices` |
| `revoke_device` | `user`, `device` | `done` |
| `rotate_ticket_key` | | `ticket_key_rotated` |
| `stats` | | `stats` |
| `status` | | `status` |
| `set_stage` | `stage`, `for_s` | `admission` |
| `free_stage` | | `admission` |
| `explain` | `device` | `explained` |
| `calendar` | | `calendar` |
| `stop` | | `done` |

Any may be answered with `error` instead. Old and new peers: a request, or a field of one, that is
not known is refused with a line that names it; unknown fields of an answer are ignored.

A stage is its number. Rules and outcomes are the texts of their enums in `admission`, and may be
others of a newer server. Times are seconds from now, to come (`_in_s`, `_left_s`) or past
(`_ago_s`): no clock leaves the server.
"""

from typing import Annotated, Final, TypeAlias, get_args

import msgspec

from hwangso_server.accounts import DeviceListing, UserListing
from hwangso_server.admission.signals import Signals
from hwangso_server.admission.stage import Reading, Stage
from hwangso_server.limits import STAGE_PIN_MAX_S, STAGE_PIN_MIN_S, USERS_LISTED_MAX


class _Request(msgspec.Struct, frozen=True, tag_field="request", forbid_unknown_fields=True):
    """Common to all requests. An unknown field is refused: ignoring it could do the wrong thing."""


class _Answer(msgspec.Struct, frozen=True, tag_field="answer"):
    """Common to all answers."""


class AddUser(_Request, frozen=True, tag="add_user"):
    """Answered with Done."""

    name: str
    password: str


class ListUsers(_Request, frozen=True, tag="list_users"):
    """Answered with UserListing: at most `limit` users after the name `after`."""

    after: str = ""
    limit: int = USERS_LISTED_MAX


class DisableUser(_Request, frozen=True, tag="disable_user"):
    """Answered with Done; sessions of the user have been ended."""

    name: str


class EnableUser(_Request, frozen=True, tag="enable_user"):
    """Answered with Done."""

    name: str


class ListDevices(_Request, frozen=True, tag="list_devices"):
    """Answered with DeviceListing."""

    user: str


class RevokeDevice(_Request, frozen=True, tag="revoke_device"):
    """Answered with Done; the device's session has been ended."""

    user: str
    device: int


class RotateTicketKey(_Request, frozen=True, tag="rotate_ticket_key"):
    """Answered with TicketKeyRotated."""


class Stats(_Request, frozen=True, tag="stats"):
    """Answered with ServerStats."""


class Status(_Request, frozen=True, tag="status"):
    """Answered with ServerStatus: all that a screen shows, for programs that ask once a second. It
    costs the server 0.2 ms, however many devices and slots there are."""


class SetStage(_Request, frozen=True, tag="set_stage"):
    """Answered with AdmissionStatus: the stage is pinned for `for_s` seconds, also when it was
    pinned before."""

    stage: Stage
    for_s: Annotated[float, msgspec.Meta(ge=STAGE_PIN_MIN_S, le=STAGE_PIN_MAX_S)]


class FreeStage(_Request, frozen=True, tag="free_stage"):
    """Answered with AdmissionStatus: the stage follows from pressure, also when it did before."""


class Explain(_Request, frozen=True, tag="explain"):
    """Answered with Explained."""

    device: int


class ShowCalendar(_Request, frozen=True, tag="calendar"):
    """Answered with CalendarListing. A full calendar of 10 minutes costs the server 2 ms."""


class Stop(_Request, frozen=True, tag="stop"):
    """Answered with Done; the server then begins to shut down."""


class Done(_Answer, frozen=True, tag="done"):
    """It is done, and durable."""


class TicketKeyRotated(_Answer, frozen=True, tag="ticket_key_rotated"):
    """`keys_held`: the new key and those whose tickets may still be about."""

    keys_held: int


class ServerStats(_Answer, frozen=True, tag="stats"):
    """Figures by name: `now.` what is, all others totals since start (`counts`)."""

    figures: dict[str, int | float]


class ServerStatus(_Answer, frozen=True, tag="status"):
    """The figures of ServerStats, and how admission stands; None when its control is off."""

    figures: dict[str, int | float]
    admission: "AdmissionStatus | None"


class AdmissionStatus(_Answer, frozen=True, tag="admission"):
    """How admission stands now."""

    stage: Stage
    rule: str
    """What put it there: a StageRule."""
    entered_ago_s: float | None
    """None: it was never another one."""
    pinned_left_s: float | None
    """How long an operator has pinned it for; None: it follows from pressure."""
    readings: tuple[Reading, ...]
    """What it follows from, each beside its limit."""
    signals: Signals
    """All that was measured in the last window."""
    background_per_s: float
    """The budget: background resumes that foreground leaves room for."""
    foreground_waiting: int
    background_waiting: int
    """Admitted, their handshake not yet begun."""
    slots: int
    """Handed out and still to come; CalendarListing has them by the second."""
    last_slot_in_s: float | None
    overbooked: int
    """Slots handed out for which the calendar had no room, since start."""
    foreign_tickets: int
    """Deferral tickets that were forged, altered or another device's, since start."""
    spent_tickets: int
    """Deferral tickets that came a second time, since start."""
    decisions: dict[str, int]
    """How often each Rule has decided about a hello, since start."""


class Explanation(msgspec.Struct, frozen=True):
    """Why a device was last admitted, deferred or refused."""

    ago_s: float
    intent: str
    """What its hello claimed, `FG` or `BG`."""
    served_as: str
    """`FG` or `BG`."""
    stage: Stage
    rule: str
    """A Rule."""
    outcome: str
    """An Outcome: `admitted`, `deferred` or `refused`."""
    slot_in_s: float | None
    """Until when it was deferred; negative when that has passed, None without a slot."""
    deferrals: int
    """In a row, this one counted; early returns are not."""


class Explained(_Answer, frozen=True, tag="explained"):
    """None: the device has not connected since the server started, or so many others have since."""

    explanation: Explanation | None


class CalendarListing(_Answer, frozen=True, tag="calendar"):
    """How many slots were handed out for each second that has any: (whole seconds from now, slots),
    in order."""

    slots: tuple[tuple[int, int], ...]


class AdminError(_Answer, frozen=True, tag="error"):
    """The request was not carried out; `text` is one line."""

    text: str


DataRequest: TypeAlias = (
    AddUser | ListUsers | DisableUser | EnableUser | ListDevices | RevokeDevice | RotateTicketKey
)
"""What can be done whether a server runs or not."""
RunningRequest: TypeAlias = Stats | Status | SetStage | FreeStage | Explain | ShowCalendar | Stop
"""What only a running server can do."""
Request: TypeAlias = DataRequest | RunningRequest
Answer: TypeAlias = (
    Done
    | UserListing
    | DeviceListing
    | TicketKeyRotated
    | ServerStats
    | ServerStatus
    | AdmissionStatus
    | Explained
    | CalendarListing
    | AdminError
)

REQUEST_NAMES: Final = frozenset(kind.__struct_config__.tag for kind in get_args(Request))
CONTROL_OFF: Final = "this server runs with its admission control off"
"""The text of the error that admission's requests are answered with then."""
