"""One run of `hwangso bench storm`: two servers, one after the other, and what is done with each.

Control on: how fast is a resume when the server has nothing else to do; how fast an app opens on a
calm day; then the storms; last, what a DEFER costs. Control off: a calm day, and one storm.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Final

import msgspec

from hwangso_server.admission import Stage
from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.bench.fixture import make_fixture
from hwangso_tools.bench.lines import Lines
from hwangso_tools.bench.logins import connect_all
from hwangso_tools.bench.meter import wait_quiet
from hwangso_tools.bench.runs import PINNED_S, SEED, Place, Run
from hwangso_tools.bench.storm.defer import defer_all, resumes
from hwangso_tools.bench.storm.figures import Measured
from hwangso_tools.bench.storm.plan import (
    DISOBEDIENT_SHARE,
    IMPATIENT,
    PATIENT,
    HeldTicket,
    Part,
    Start,
    app_opens,
)
from hwangso_tools.bench.storm.site import Site, site
from hwangso_tools.bench.storm.tickets import issue_tickets

OPENS_PER_S: Final = 20.0
STORM_S: Final = 30.0
"""People open the app for so long from the cut on."""
CALM_S: Final = 20.0
"""And so long before it: 400 opens."""

DEFERRALS: Final = 5_000
"""For the cost of one."""

CONTROL_ON: Final = ("--control", "on")
CONTROL_OFF: Final = ("--control", "off", "--port", "0")

WITH_CONTROL: Final = (Part.BASE, Part.IMPATIENT, Part.DISOBEDIENT)

Streams = Mapping[str, Sequence[Start]]
"""When people open the app, by occasion: the name of a part, or `calm`, or `calm off`."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to do in a run; `say` hears of it, a line at a time."""

    parts: Collection[Part]
    without: Collection[Mechanism]
    say: Callable[[str], None]

    async def run(self, place: Place) -> Run:
        """Do it. Raises BenchFailed."""
        streams = self._streams()
        opens = sum(map(len, streams.values()))
        fixture = await make_fixture(place.folder, place.devices + opens)
        tickets = issue_tickets(fixture, Random(SEED))
        measured = Measured(place.devices)
        if any(part is not Part.OFF for part in self.parts):
            flags = [*CONTROL_ON, *(f"--without={mechanism}" for mechanism in self.without)]
            async with site(place.folder, tickets, place.devices, flags, place.cores) as on:
                await self._with_control(on, tickets[: place.devices], streams, measured)
        if Part.OFF in self.parts:
            async with site(place.folder, tickets, place.devices, CONTROL_OFF, place.cores) as off:
                await self._without_control(off, streams, measured)
        return Run(measured.figures(), measured.limit)

    def _streams(self) -> Streams:
        streams: dict[str, Sequence[Start]] = {}
        first = 0
        for occasion in ("calm", "calm off", *(part.value for part in self.parts)):
            seconds = CALM_S if occasion.startswith("calm") else STORM_S
            # The same times on each occasion, and nobody twice: a device that opens its app again
            # and again would not be believed that a person does that.
            streams[occasion] = app_opens(first, OPENS_PER_S, seconds, Random(SEED))
            first += len(streams[occasion])
        return streams

    async def _with_control(
        self, on: Site, tickets: Sequence[HeldTicket], streams: Streams, measured: Measured
    ) -> None:
        self._look_at(on, measured)
        self.say("control on: all devices resume, 64 in flight")
        await on.admin.set_stage(Stage.NORMAL, PINNED_S)
        with closing(Lines(on.server.address)) as lines:
            measured.resume = connect_all(lines, resumes(tickets), on.server.pid).usage
        wait_quiet(on.server.pid)
        await on.gather()
        await on.admin.free_stage()
        await on.wait_until_calm()
        self.say("a calm day")
        measured.calm = await on.open_apps(streams["calm"])
        for part in WITH_CONTROL:
            if part in self.parts:
                await on.gather()
                await on.wait_until_calm()
                self.say(f"the {part.value} storm")
                await self._storm(on, part, streams, measured)
        if Mechanism.SPOKEN_DEFER in self.without:
            return  # nobody is deferred, so there is no cost to measure
        self.say("what a DEFER costs")
        await on.admin.set_stage(Stage.SHIELD, PINNED_S)
        with closing(Lines(on.server.address)) as lines:
            connections = resumes(tickets[:DEFERRALS])
            measured.defer = defer_all(lines, connections, on.server.pid)
            measured.deferrals = len(connections)

    async def _without_control(self, off: Site, streams: Streams, measured: Measured) -> None:
        self._look_at(off, measured)
        self.say("control off: a calm day")
        await off.gather()
        wait_quiet(off.server.pid)
        measured.calm_off = await off.open_apps(streams["calm off"])
        self.say("the storm with control off")
        await self._storm(off, Part.OFF, streams, measured)

    def _look_at(self, here: Site, measured: Measured) -> None:
        measured.realtime = here.is_realtime
        if not here.is_realtime:
            self.say(
                "the system gives the foreground generator no real-time priority: what it measures "
                "is the crowd's generator, too"
            )

    async def _storm(self, at: Site, part: Part, streams: Streams, measured: Measured) -> None:
        patience = IMPATIENT if part is Part.IMPATIENT else PATIENT
        disobedient: Sequence[int] = ()
        if part is Part.DISOBEDIENT:
            share = round(DISOBEDIENT_SHARE * at.devices)
            disobedient = Random(SEED).sample(range(at.devices), share)
        if Mechanism.CLIENT_JITTER in self.without:
            patience = msgspec.structs.replace(patience, jitter=False)
        measured.storms[part] = await at.storm(streams[part.value], patience, disobedient)
