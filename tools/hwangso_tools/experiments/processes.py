"""Trials in processes of their own: they need nothing of each other, and a core each."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
import trio

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.experiments.trial import Finding, Trial

AT_ONCE_MAX: Final = 2
"""More cores than these are left to whoever else works on the machine."""

COMMAND: Final = (sys.executable, "-m", "hwangso_tools.experiments.worker")
"""Takes the pid of its parent as well."""

Name = TypeVar("Name")


async def carry_out_all(
    trials: Mapping[Name, Trial], tell: Callable[[Name, Finding], None]
) -> dict[Name, Finding]:
    """Carry out all trials, `AT_ONCE_MAX` at a time; `tell` hears of each one that is done.

    Gives the findings in the order of the trials. When this is left early, by an error or Ctrl-C,
    the processes have ended. Raises CommandError for a trial that failed, in an exception group.
    """
    findings: dict[Name, Finding] = {}
    limiter = trio.CapacityLimiter(min(AT_ONCE_MAX, os.cpu_count() or 1))

    async def one(name: Name, trial: Trial) -> None:
        async with limiter:
            findings[name] = await _in_a_process(trial)
        tell(name, findings[name])

    async with trio.open_nursery() as nursery:
        for name, trial in trials.items():
            nursery.start_soon(one, name, trial)
            await trio.lowlevel.checkpoint()
    return {name: findings[name] for name in trials}


async def _in_a_process(trial: Trial) -> Finding:
    done = await trio.run_process(
        (*COMMAND, str(os.getpid())),
        stdin=msgspec.json.encode(trial),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        process_group=0,  # Ctrl-C reaches the parent alone, which ends this one
    )
    try:
        return msgspec.json.decode(done.stdout, type=Finding)
    except msgspec.DecodeError:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CommandError(
            f"a trial failed with exit code {done.returncode}: {said or 'it said nothing'}",
            ExitCode.VERDICT,
        ) from None
