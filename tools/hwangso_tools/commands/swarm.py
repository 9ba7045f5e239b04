"""`hwangso swarm`: many emulated phones for a server that runs elsewhere."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import trio
from cyclopts import Parameter
from rich.console import Console

from hwangso_client.address import ServerAddress, parse_server_key
from hwangso_client.errors import AddressError
from hwangso_client.network import TcpNetwork
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.results import Figure, results_file
from hwangso_tools.swarm.coordinator import Coordinator
from hwangso_tools.swarm.outcome import Outcome, complaint_line, latency_table, saturation_line
from hwangso_tools.swarm.plan import DEVICES_PER_USER, Plan, check
from hwangso_tools.swarm.probe import probe
from hwangso_tools.swarm.status import open_display, show_until_cancelled

KEY_VARIABLE = "HWANGSO_SERVER_KEY"
KEY_FILE = Path("hwangso-data/server.pub")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """A swarm, and where its results go."""

    devices: int
    """Emulated phones."""
    seconds: float
    """How long they chat, once all are enrolled."""
    server: str
    """HOST:PORT of the foreground lane, the background lane on the next port; or HOST:FG,BG."""
    server_key: str | None = None
    """Public key of the server, 64 hex digits [$HWANGSO_SERVER_KEY, or hwangso-data/server.pub]."""
    processes: int = 1
    """Processes to spread the phones over; one core each is what they can use."""
    users: int | None = None
    """Users that the phones belong to [one for each 8 phones]."""
    message_rate: float = 0.1
    """Messages a phone sends in a second; each goes to all phones of its recipient."""
    seed: int = 0
    """Of who writes to whom, and when."""
    json: Path | None = None
    """Write the results to this file."""


def swarm(*, options: Options) -> int:
    """Enrol many emulated phones, let them chat, and follow every message to every phone.

    The server must make accounts for them (--registration open). Exits with 1 if a phone could not
    enrol; if an acknowledged message is lost, came twice, or came to a phone it was not for; if,
    20 s after the chat, a message is still not acknowledged, or most phones have no session: then
    the server is gone. Exits with 3 if it cannot be reached at the start.
    """
    plan, network = _plan(options)
    console = Console()
    with results_file(options.json) as results:
        try:
            outcome = trio.run(_run, console, plan, network)
        except ExceptionGroup as group:
            raise first_of(group) from group
        _report(console, outcome)
        results.write("swarm", outcome.as_figures(), _config(options, plan))
    return ExitCode.VERDICT if outcome.complaints() else ExitCode.OK


async def _run(console: Console, plan: Plan, network: TcpNetwork) -> Outcome:
    await probe(network, plan.server_key)
    coordinator = Coordinator(plan)
    with open_display(console) as display:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show_until_cancelled, display, coordinator.status)
            outcome = await coordinator.run()
            nursery.cancel_scope.cancel()
    return outcome


def _plan(options: Options) -> tuple[Plan, TcpNetwork]:
    try:
        address = ServerAddress.parse(options.server)
        server_key = parse_server_key(options.server_key or _known_key())
    except AddressError as error:
        raise CommandError(str(error)) from None
    users = options.users
    if users is None:
        users = max(-(-options.devices // DEVICES_PER_USER), min(2, options.devices))
    plan = Plan(
        run=f"swarm-{secrets.token_hex(4)}",
        password=secrets.token_urlsafe(),
        host=address.host,
        foreground_port=address.foreground_port,
        background_port=address.background_port,
        server_key=server_key,
        devices=options.devices,
        users=users,
        processes=options.processes,
        seconds=options.seconds,
        message_rate=options.message_rate if options.devices > 1 else 0.0,
        seed=options.seed,
    )
    check(plan)
    return plan, TcpNetwork(address)


def _known_key() -> str:
    """The key from the environment, or from a server's data folder beneath this one."""
    key = os.environ.get(KEY_VARIABLE)
    if key:
        return key
    try:
        return KEY_FILE.read_text()
    except OSError:
        raise CommandError(
            f"the server's key is not known: give --server-key with what the server printed when "
            f"it was ready, or set {KEY_VARIABLE}, or run this where {KEY_FILE} is",
            ExitCode.UNREACHABLE,
        ) from None


def _config(options: Options, plan: Plan) -> dict[str, Figure]:
    return {
        "server": options.server,
        "devices": plan.devices,
        "users": plan.users,
        "processes": plan.processes,
        "seconds": plan.seconds,
        "message_rate": plan.message_rate,
        "seed": plan.seed,
    }


def _report(console: Console, outcome: Outcome) -> None:
    audit, figures = outcome.audit, outcome.figures
    counts = figures.counts
    console.print(latency_table(figures))
    logins = figures.by_prefix("login")
    lines = [
        f"devices: {outcome.enrolled:,} of {outcome.devices:,} enrolled",
        f"with a session at the end: {outcome.connected:,}",
        "logins: " + ", ".join(f"{name.replace('.', ' ')} {n:,}" for name, n in logins.items()),
        f"messages: sent {counts['sent']:,}, acknowledged {audit.acknowledged:,}",
        f"lost: {audit.lost:,}; copies, one a device: received {counts['received']:,}",
        f"duplicated: {audit.duplicated:,}; astray: {audit.strays:,}",
        f"reconnects: {counts['reconnects']:,}",
    ]
    errors = figures.by_prefix("error")
    if errors:
        lines.append("errors: " + ", ".join(f"{name} {count:,}" for name, count in errors.items()))
    saturation = saturation_line(outcome.load)
    if saturation is not None:
        lines.append(saturation)
    complaints = outcome.complaints()
    if complaints:
        lines.append(complaint_line(complaints))
    for line in lines:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
