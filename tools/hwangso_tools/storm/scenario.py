"""What a scenario file says: people, phones, server, network, events, and what was published.

    scenario = load(Path("my.toml"))

The defaults are the calm day, calibrated so that over 80 % of connects are BACKGROUND; scenarios
that tell of storms leave them alone, so that what a storm does is found and not chosen. All times
are seconds; `at_s` counts from 0, which is where the story begins, after the calm baseline.
"""

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hwangso_tools.errors import CommandError
from hwangso_tools.storm.checking import Mistake, checked
from hwangso_tools.storm.names import FigureName

FILE_MAX_BYTES: Final = 65_536
"""A scenario is read whole; the longest of ours has 3 kB."""

SECONDS_MAX: Final = 86_400.0
"""A day."""

EVENTS_MAX: Final = 100

Moment = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]
Length = Annotated[float, Meta(ge=0.001, le=SECONDS_MAX)]
Factor = Annotated[float, Meta(ge=0.001, le=1_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Line = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")  # it is printed
]
Text = Annotated[str, Meta(min_length=1, max_length=2_000)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class About(_Table, frozen=True):
    """`[scenario]`: what it tells, and for how long."""

    name: Line
    title: Line
    about: Text
    """For people: what happened, and how it is told here."""
    seconds: Length
    """From 0 to the end."""
    calm_seconds: Length = 600.0
    """The measured baseline before 0."""
    real_seconds: Length | None = None
    """Instead of `seconds` on real sockets, where a second takes a second."""
    real_calm_seconds: Length | None = None
    real_speed: Annotated[float, Meta(ge=1, le=100)] = 1.0
    """On real sockets everything that has a time happens so many times as fast (see `pace`)."""


class Background(_Table, frozen=True):
    """`[population.background]`: how connections that nobody looks at end, and begin anew."""

    idle_s: Length = 900.0
    """A connection that lies idle for so long is gone: the carrier's address translation has
    forgotten it, or the phone has put the app to sleep."""
    idle_spread: Share = 0.25
    """Up to this share shorter or longer, drawn for each connection."""
    sleep_s: Length = 360.0
    """Then the phone sleeps, and connects again by itself when a push or its own timer wakes it;
    this is the mean of an exponential wait. `idle_s / (idle_s + sleep_s)` of the phones have a
    connection."""


class Foreground(_Table, frozen=True):
    """`[population.foreground]`: people."""

    opens_per_hour: Annotated[float, Meta(ge=0, le=1_000)] = 2.0
    """How often a person opens the app, a Poisson process; on the whole day it is less."""
    stay_s: Annotated[float, Meta(ge=5, le=SECONDS_MAX)] = 60.0
    """How long the app stays open: at least 5 s, the rest exponential, this in the mean."""
    messages_per_open: Annotated[float, Meta(ge=0, le=1_000)] = 2.0
    """Messages written in that time, in the mean (Poisson)."""


class Population(_Table, frozen=True):
    """`[population]`: who is there."""

    devices: Annotated[int, Meta(ge=10, le=100_000)] = 1_000
    background: Background = Background()
    foreground: Foreground = Foreground()
    liars: Share = 0.0
    """Of the devices, whose app claims FOREGROUND whenever it connects by itself. Nobody ever opens
    it, so that what people meet is told of honest ones."""


class Jitter(StrEnum):
    """How back-off is spread (`hwangso_client.backoff`); NONE always waits as long as it may."""

    FULL = "full"
    DECORRELATED = "decorrelated"
    NONE = "none"


class Phones(_Table, frozen=True):
    """`[phones]`: how phones behave towards a server that says nothing."""

    connect_timeout_s: Length = 10.0
    answer_timeout_s: Length = 10.0
    backoff_base_s: Length = 1.0
    backoff_cap_s: Length = 60.0
    jitter: Jitter = Jitter.FULL
    keepalive_s: Annotated[float, Meta(ge=1, le=SECONDS_MAX)] = 300.0
    """A silent connection is pinged this often."""


class ServerModel(_Table, frozen=True):
    """`[server]`: how much the modelled processor can do, for each 1,000 devices."""

    capacity_per_s: Annotated[float, Meta(ge=0.1, le=100_000)] = 15.0
    """Resumes a second. Connects on a calm day take a twentieth of it."""


class NetworkModel(_Table, frozen=True):
    """`[network]`: between a phone and the server, one way. The default is LTE."""

    latency_s: Annotated[float, Meta(ge=0, le=10)] = 0.02
    jitter_s: Annotated[float, Meta(ge=0, le=10)] = 0.01
    """A packet takes up to this longer."""
    loss: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    """Share of the packets that are lost, and sent again."""


class _Event(_Table, frozen=True, tag_field="kind"):
    """Something happens."""

    at_s: Moment


class Alert(_Event, frozen=True, tag="alert"):
    """A disaster alert wakes every phone, within `spread_s`: sleeping apps connect."""

    spread_s: Moment = 5.0


class Quake(_Event, frozen=True, tag="quake"):
    """People open the app, `factor` times as often; what is above 1 falls to a third (1/e) every
    `decay_s`."""

    factor: Factor
    decay_s: Length


class Outage(_Event, frozen=True, tag="outage"):
    """A carrier fails for a share of the devices. Service comes back for all of them in the same
    second, or within `spread_s`. `silently`: phones are not told, and go on trying."""

    share: Share
    duration_s: Length
    silently: bool = False
    spread_s: Moment = 0.0


class Messages(_Event, frozen=True, tag="messages"):
    """People who open the app write `factor` times as many messages."""

    factor: Factor
    duration_s: Length


class Slowdown(_Event, frozen=True, tag="slowdown"):
    """The server takes `factor` times as long for everything."""

    factor: Factor
    duration_s: Length


class Restart(_Event, frozen=True, tag="restart"):
    """The server goes down, and is back after `down_s`."""

    down_s: Length


class Action(StrEnum):
    """What an operator can do. RELIEVE: turn all phones away at the edge of the network, restart
    the server, so that nobody waits in any queue, and let the phones in again one after another."""

    RELIEVE = "relieve"


class Operator(_Event, frozen=True, tag="operator"):
    """The operator steps in, where the control is off. Phones are let in evenly over
    `duration_s`."""

    action: Action
    duration_s: Length


Event = Alert | Quake | Outage | Messages | Slowdown | Restart | Operator


class Published(_Table, frozen=True):
    """`[[published]]`: what was told about the event, beside one of our figures: exactly one of
    `value`, `range` and `at_least`."""

    figure: FigureName
    source: Line
    value: float | None = None
    range: tuple[float, float] | None = None
    at_least: float | None = None


class Scenario(_Table, frozen=True):
    """A whole file. `load` checks it; one made by hand is trusted."""

    scenario: About
    population: Population = Population()
    phones: Phones = Phones()
    server: ServerModel = ServerModel()
    network: NetworkModel = NetworkModel()
    event: tuple[Event, ...] = ()
    published: tuple[Published, ...] = ()

    @property
    def first_event_s(self) -> float:
        """When it all begins; what comes after is told from here."""
        return min((event.at_s for event in self.event), default=0.0)

    @property
    def triggers_end_s(self) -> float:
        """When everything that disturbs is over, people's own excitement aside."""
        return max((_end_s(event) for event in self.event), default=0.0)


class ScenarioError(CommandError):
    """A scenario that cannot be read or played."""


def load(file: Path) -> Scenario:
    """Read and check a scenario. Raises ScenarioError: one line with the file, the key, its value
    and what is allowed."""
    try:
        with file.open("rb") as stream:
            content = stream.read(FILE_MAX_BYTES + 1)
        if len(content) > FILE_MAX_BYTES:
            raise ScenarioError(f"{file}: larger than {FILE_MAX_BYTES:,} bytes")
        table = tomllib.loads(content.decode())
    except OSError as error:
        raise ScenarioError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{file}: is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(f"{file}: is not TOML: {error}") from None
    try:
        scenario = checked(table, Scenario, str(file))
        _check_together(scenario, str(file))
    except Mistake as mistake:
        raise ScenarioError(str(mistake)) from None
    return scenario


def _end_s(event: Event) -> float:
    match event:
        case Alert(at_s=at_s, spread_s=spread_s):
            return at_s + spread_s
        case Outage(at_s=at_s, duration_s=duration_s, spread_s=spread_s):
            return at_s + duration_s + spread_s
        case Messages(at_s=at_s, duration_s=duration_s):
            return at_s + duration_s
        case Slowdown(at_s=at_s, duration_s=duration_s):
            return at_s + duration_s
        case Restart(at_s=at_s, down_s=down_s):
            return at_s + down_s
        case Quake(at_s=at_s):
            return at_s
        case Operator():
            return 0.0


def _check_together(scenario: Scenario, where: str) -> None:
    """What a single value cannot show."""
    if len(scenario.event) > EVENTS_MAX:
        raise Mistake(
            f"{where}: event: {len(scenario.event)} of them, expected at most {EVENTS_MAX}"
        )
    for number, event in enumerate(scenario.event, start=1):
        if event.at_s >= scenario.scenario.seconds:
            raise Mistake(
                f"{where}: event {number}: at_s: {event.at_s:g} is not allowed, expected less than "
                f"scenario: seconds, which is {scenario.scenario.seconds:g}"
            )
    phones = scenario.phones
    if phones.backoff_base_s > phones.backoff_cap_s:
        raise Mistake(
            f"{where}: phones: backoff_base_s: {phones.backoff_base_s:g} is not allowed, expected "
            f"at most phones: backoff_cap_s, which is {phones.backoff_cap_s:g}"
        )
    seen: set[FigureName] = set()
    for number, published in enumerate(scenario.published, start=1):
        if published.figure in seen:
            raise Mistake(
                f"{where}: published {number}: figure: '{published.figure}' has been published "
                "already"
            )
        seen.add(published.figure)
        given = (published.value, published.range, published.at_least)
        if sum(one is not None for one in given) != 1:
            raise Mistake(
                f"{where}: published {number}: expected exactly one of value, range and at_least"
            )
        if published.range is not None and published.range[0] > published.range[1]:
            raise Mistake(
                f"{where}: published {number}: range: {list(published.range)} is not allowed, "
                "expected [low, high]"
            )
