"""What happens in the demo, phase by phase.

enrol    each phone enrols with its user's password, app open, then goes to the background
chat     they write to each other
return   every connection is cut at once, and the phones have no network; they go on writing, into
         their outboxes. The radio cells come back one after another, phones reconnect by
         themselves, and write to those that are still away. Then nobody writes, and everything on
         its way arrives, or never does
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from hwangso_client.network import Network
from hwangso_protocol.hello import Intent, Kind
from hwangso_tools.swarm.crowd import Crowd, Member, open_crowd
from hwangso_tools.swarm.figures import Figures
from hwangso_tools.swarm.ledger import Audit
from hwangso_tools.swarm.outcome import Outcome
from hwangso_tools.swarm.plan import Plan
from hwangso_tools.swarm.saturation import SaturationWatch
from hwangso_tools.swarm.status import Status

CHAT_S: Final = 5.0
"""How long they chat before the cut, and again once the last cell is back."""

CELLS: Final = 4
"""Radio cells that the phones are in; a user's phones are spread over them."""

FIRST_CELL_BACK_S: Final = 1.0
"""From the cut until the first cell works again."""

CELL_EVERY_S: Final = 0.75
"""Between two cells; three times the mean of the first back-off, so that most phones of a cell are
back and write while those of the next are away."""

SETTLE_WITHIN_S: Final = 15.0
"""As long as the longest back-off of a phone whose first tries failed."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase that is over, with what was counted in it."""

    name: str
    seconds: float
    figures: Figures


@dataclass(frozen=True, slots=True)
class Return:
    """How the phones came back after the cut."""

    devices: int
    resumed: int
    """Came back by resume, tagged BACKGROUND, and by nothing else."""
    logged_in: int
    """Came back with another kind or intent, even once."""

    @property
    def complete(self) -> bool:
        """All came back as they should."""
        return self.resumed == self.devices


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """All of it."""

    outcome: Outcome
    phases: list[Phase]
    returned: Return
    settled: bool

    @property
    def audit(self) -> Audit:
        """The books."""
        return self.outcome.audit

    def complaints(self) -> list[str]:
        """What is not as it should be, in words; empty if all is well."""
        returned = self.returned
        away = returned.devices - returned.resumed - returned.logged_in
        found = {
            "no message was acknowledged": not self.audit.acknowledged,
            f"{away:,} devices did not come back": away,
            f"{returned.logged_in:,} devices came back otherwise than by a background resume": (
                returned.logged_in
            ),
        }
        demos_own = [complaint for complaint, wrong in found.items() if wrong]
        return self.outcome.complaints() + demos_own


@dataclass(slots=True)
class Demo:
    """Run `play` once; `status` tells how far it is."""

    plan: Plan
    network: Network
    chat_s: float = CHAT_S
    watch: SaturationWatch = field(default_factory=SaturationWatch)
    _phase: str = "starting"
    _started: float = field(default_factory=time.perf_counter)
    _crowd: Crowd | None = None
    _phases: list[Phase] = field(default_factory=list)

    def status(self) -> Status:
        """This moment. Counts are those of the phase."""
        crowd = self._crowd
        return Status(
            phase=self._phase,
            elapsed_s=time.perf_counter() - self._started,
            devices=self.plan.devices,
            ready=crowd.ready if crowd else 0,
            counts=dict(crowd.figures.counts) if crowd else {},
            saturated=self.watch.saturated_now,
        )

    async def play(self, ended: Callable[[Phase], None]) -> DemoOutcome:
        """All phases; `ended` hears of each. Raises DeviceStopped if the server refuses a phone."""
        epoch_s = time.perf_counter() - trio.current_time()
        plan = self.plan
        async with open_crowd(plan, plan.share(0), self.network, epoch_s=epoch_s) as crowd:
            self._crowd = crowd
            self._begin("enrol")
            await crowd.enrol()
            if crowd.refusal is not None:
                raise crowd.refusal
            crowd.present = crowd.enrolled()
            self._end(ended)

            self._begin("chat")
            await crowd.chat(self.chat_s)
            self._end(ended)

            self._begin("return")
            await _cut_and_restore(crowd, self.chat_s)
            settled = await crowd.settle(
                SETTLE_WITHIN_S,
                lambda: crowd.arrivals >= crowd.expected and crowd.ready == len(crowd.members),
            )
            self._end(ended)

            total = Figures()
            for phase in self._phases:
                total.merge(phase.figures.snapshot())
            enrolled = sum(bits.bit_count() for bits in crowd.present.values())
            audit = crowd.ledger.audit(crowd.devices_of)
            return DemoOutcome(
                Outcome(
                    devices=plan.devices,
                    enrolled=enrolled,
                    audit=audit,
                    figures=total,
                    load=self.watch.load,
                    connected=crowd.ready,
                    unanswered=crowd.unanswered,
                ),
                self._phases,
                how_they_returned(crowd.members),
                settled,
            )

    def _begin(self, name: str) -> None:
        self._phase = name
        self._started = time.perf_counter()
        if self._crowd is not None:
            self._crowd.figures = Figures()

    def _end(self, ended: Callable[[Phase], None]) -> None:
        if self._crowd is not None:
            seconds = time.perf_counter() - self._started
            phase = Phase(self._phase, seconds, self._crowd.figures)
            self._phases.append(phase)
            ended(phase)


def how_they_returned(members: list[Member]) -> Return:
    """From the logins of each since the cut."""
    expected = {(Kind.RESUME, Intent.BACKGROUND)}
    resumed = sum(set(member.logins) == expected for member in members)
    returned = sum(bool(member.logins) for member in members)
    return Return(len(members), resumed, returned - resumed)


async def _cut_and_restore(crowd: Crowd, chat_s: float) -> None:
    for member in crowd.members:
        member.logins.clear()
        if member.phone is not None:
            member.phone.radio.cut(silently=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_restore_cells, crowd)
        await crowd.chat(FIRST_CELL_BACK_S + (CELLS - 1) * CELL_EVERY_S + chat_s)


async def _restore_cells(crowd: Crowd) -> None:
    await trio.sleep(FIRST_CELL_BACK_S)
    for cell in range(CELLS):
        for member in crowd.members[cell::CELLS]:
            if member.phone is not None:
                member.phone.radio.restore()
        await trio.sleep(CELL_EVERY_S)
