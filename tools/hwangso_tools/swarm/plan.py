"""What a swarm is to do, and which process does which part of it. Pure."""

import msgspec

from hwangso_protocol.limits import DEVICES_PER_USER_MAX
from hwangso_tools.errors import CommandError
from hwangso_tools.swarm.ledger import MESSAGES_MAX

DEVICES_PER_USER = 8
"""Unless `--users` says otherwise. Each user's devices share one inbox, so a message to a user is a
copy to each of them."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole swarm. Devices are numbered from 0; device `i` is device `i // users` of user
    `i % users`, so that devices of one user are in different processes."""

    run: str
    """Begins the names of this run's users, so that runs on one server do not meet."""
    password: str
    host: str
    foreground_port: int
    background_port: int
    server_key: bytes
    devices: int
    users: int
    processes: int = 1
    seconds: float = 10.0
    """How long the devices chat, once all are enrolled."""
    message_rate: float = 0.1
    """Messages a device sends in a second, on average."""
    seed: int = 0

    def user_name(self, user: int) -> str:
        """The name of a user."""
        return f"{self.run}-{user}"

    def user_number(self, name: str) -> int | None:
        """The user with this name; None if it is none of this run's."""
        run, _, number = name.rpartition("-")
        return int(number) if run == self.run and number.isdigit() else None

    def share(self, process: int) -> range:
        """The devices of one process, counted from 0."""
        return range(process, self.devices, self.processes)


def check(plan: Plan) -> None:
    """Raises CommandError for a plan that cannot be carried out."""
    if plan.devices < 1:
        raise CommandError("--devices: at least 1")
    if not 1 <= plan.processes <= plan.devices:
        raise CommandError("--processes: at least 1, at most one a device")
    if plan.seconds < 0:
        raise CommandError("--seconds: not below 0")
    if plan.message_rate < 0:
        raise CommandError("--message-rate: not below 0")
    if not 1 <= plan.users <= plan.devices:
        raise CommandError("--users: at least 1, at most one a device")
    if plan.message_rate and plan.users < 2:
        raise CommandError("--users: messages need at least 2; or give --message-rate 0")
    if plan.devices > plan.users * DEVICES_PER_USER_MAX:
        raise CommandError(f"--users: a user has at most {DEVICES_PER_USER_MAX} devices")
    messages = plan.devices * plan.seconds * plan.message_rate
    if messages > MESSAGES_MAX:
        raise CommandError(
            f"about {messages:,.0f} messages, at most {MESSAGES_MAX:,} can be followed to every "
            "device: lower --message-rate, --seconds or --devices"
        )
