"""`hwangso demo`: the main job, what `make run` runs."""

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from rich.console import Console

from hwangso_client.errors import ClientError
from hwangso_client.network import TcpNetwork
from hwangso_tools.childserver import ChildServer, child_server
from hwangso_tools.demo.report import as_figures, phase_table, sentence
from hwangso_tools.demo.script import CHAT_S, Demo, DemoOutcome, Phase
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.machine import raise_descriptor_limit
from hwangso_tools.results import Figure, results_file
from hwangso_tools.swarm.outcome import saturation_line
from hwangso_tools.swarm.plan import DEVICES_PER_USER, Plan, check
from hwangso_tools.swarm.status import Display, open_display, show_until_cancelled

ARGON2: Final = {"memory-kib": 8_192, "iterations": 1}
"""Each phone's enrolment is one password check. With the server's default (19 MiB, 2 passes) 1,000
of them keep two cores busy for a quarter of a minute, half of the demo; this server and its
accounts live no longer than that. Never for real passwords."""

MESSAGE_RATE: Final = 0.1
"""Messages a phone sends in a second. Each goes to the 8 devices of its recipient and the 7 others
of its sender: with 1,000 phones that is 100 messages and 1,500 copies a second."""

CHAT_MAX_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Choice:
    devices: int
    chat_s: float
    seed: int


def demo(
    *,
    devices: int = 1_000,
    chat_seconds: float = CHAT_S,
    seed: int = 0,
    json: Path | None = None,
) -> int:
    """Start a server, enrol phones, let them chat, cut them all, and count what arrived.

    Exits with 0 only if every phone came back by a background resume, and every acknowledged
    message was received exactly once by every device it was for.

    Parameters
    ----------
    devices
        Emulated phones, eight a user.
    chat_seconds
        How long they chat before the cut, and again once all radio cells are back.
    seed
        Of who writes to whom, and when.
    json
        Write the results to this file.
    """
    console = Console()
    if devices < 2:
        raise CommandError("--devices: at least 2")
    if not 0 < chat_seconds <= CHAT_MAX_S:
        raise CommandError(f"--chat-seconds: above 0, at most {CHAT_MAX_S:,.0f}")
    with results_file(json) as results:
        try:
            played = trio.run(_run, console, _Choice(devices, chat_seconds, seed))
        except ExceptionGroup as group:
            raise _explained(first_of(group)) from group
        except ClientError as error:
            raise _explained(error) from error
        _report(console, played)
        config: dict[str, Figure] = {
            "devices": devices,
            "chat_seconds": chat_seconds,
            "seed": seed,
            "message_rate": MESSAGE_RATE,
            "argon2": dict(ARGON2),
        }
        results.write("demo", as_figures(played), config)
    return ExitCode.VERDICT if played.complaints() else ExitCode.OK


async def _run(console: Console, choice: _Choice) -> DemoOutcome:
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="hwangso-demo-") as folder:
        argon2 = [f"--argon2-{key}={value}" for key, value in ARGON2.items()]
        arguments = ["--data=data", "--registration=open", *argon2]
        async with child_server(arguments, cwd=Path(folder)) as server:
            plan = _plan(server, choice)
            demo = Demo(plan, TcpNetwork(server.address), choice.chat_s)
            with open_display(console) as display:
                _introduce(display, server, plan)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(demo.watch.run)
                    nursery.start_soon(show_until_cancelled, display, demo.status)
                    played = await demo.play(lambda phase: _say_phase(display, phase))
                    nursery.cancel_scope.cancel()
            if server.exit_code is not None:
                raise CommandError(
                    f"the server ended by itself with exit code {server.exit_code}: "
                    f"{server.log[-1] if server.log else 'it said nothing'}",
                    ExitCode.VERDICT,
                )
            return played


def _plan(server: ChildServer, choice: _Choice) -> Plan:
    plan = Plan(
        run="demo",
        password=secrets.token_urlsafe(),
        host=server.address.host,
        foreground_port=server.address.foreground_port,
        background_port=server.address.background_port,
        server_key=server.server_key,
        devices=choice.devices,
        users=max(2, -(-choice.devices // DEVICES_PER_USER)),
        message_rate=MESSAGE_RATE,
        seconds=3 * choice.chat_s,
        seed=choice.seed,
    )
    check(plan)
    return plan


def _introduce(display: Display, server: ChildServer, plan: Plan) -> None:
    display.say(
        f"server on {server.address}, pid {server.pid}, data in {server.data}; "
        f"{plan.devices:,} phones of {plan.users:,} users in this process, pid {os.getpid()}"
    )
    display.say(
        f"passwords are hashed with Argon2id at {ARGON2['memory-kib'] // 1024} MiB and "
        f"{ARGON2['iterations']} pass, for this demo only: each phone's enrolment is one hash, "
        "and the server's default (19 MiB, 2 passes) costs six times as much"
    )


def _say_phase(display: Display, phase: Phase) -> None:
    display.say(f"{phase.name}: done in {phase.seconds:.1f} s")


def _report(console: Console, played: DemoOutcome) -> None:
    audit = played.audit
    console.print(phase_table(played))
    console.print(
        "sent, acked, lost: messages; got: copies, one for each device; late: those written while "
        "the device was away; p50 and p99: milliseconds of a login, from when it should have begun",
        highlight=False,
        soft_wrap=not console.is_terminal,
    )
    console.print(
        f"{audit.acknowledged:,} acknowledged messages should make {audit.expected:,} copies: "
        f"{audit.missing:,} are missing",
        highlight=False,
        soft_wrap=not console.is_terminal,
    )
    line = saturation_line(played.outcome.load)
    if line is not None:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    console.print(sentence(played), highlight=False, soft_wrap=not console.is_terminal)


def _explained(error: Exception) -> Exception:
    if isinstance(error, ClientError):
        return CommandError(f"the phones could not use the server: {error}", ExitCode.UNREACHABLE)
    return error
