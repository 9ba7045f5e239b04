"""`hwangso storm`: a scenario, with the control off and on."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.errors import CommandError, ExitCode, first_of
from hwangso_tools.report.files import paths, report_files
from hwangso_tools.report.provenance import Provenance, provenance
from hwangso_tools.report.series import run_of
from hwangso_tools.report.story import Story
from hwangso_tools.results import Figure, results_file
from hwangso_tools.storm.figures import figures
from hwangso_tools.storm.library import find, shipped, with_devices
from hwangso_tools.storm.pace import cut, faster
from hwangso_tools.storm.place import Place, Terms
from hwangso_tools.storm.progress import control_name, open_progress
from hwangso_tools.storm.really import RealPlace
from hwangso_tools.storm.recording import Recording
from hwangso_tools.storm.report import Outcome, as_figures, sentences, sources, table
from hwangso_tools.storm.run import run
from hwangso_tools.storm.scenario import Scenario, load
from hwangso_tools.storm.virtually import VirtualPlace
from hwangso_tools.swarm.outcome import saturation_line


class Controls(StrEnum):
    """Which runs to make."""

    ON = "on"
    OFF = "off"
    BOTH = "both"


RUNS: Final = {Controls.ON: (True,), Controls.OFF: (False,), Controls.BOTH: (False, True)}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """How to play it."""

    control: Controls = Controls.BOTH
    """With the server's control on, off, or first off, then on."""
    devices: int | None = None
    """Phones [as the scenario says, 1,000]."""
    real: Annotated[bool, Parameter(name=["--real"], negative=["--virtual"])] = False
    """On real sockets, where a second takes a second; or in virtual time."""
    seed: int = 0
    """Of everything that is drawn at random. In virtual time the same seed gives the same run."""
    without: Annotated[tuple[Mechanism, ...], Parameter(consume_multiple=True)] = ()
    """Mechanisms of the control that are switched off."""
    json: Path | None = None
    """Write the results to this file."""
    report: Path | None = None
    """Write one page with charts to this file, FILE.html, and its series to FILE.json and
    FILE.csv."""


def storm(name: str | None = None, /, *, options: Options | None = None) -> int:
    """Play a scenario against a server, and set what was published beside what happens here.

    Parameters
    ----------
    name
        One of the scenarios that come along, or the file of your own; without one they are listed.
    """
    options = options or Options()
    console = Console()
    if name is None:
        _list(console)
        return ExitCode.OK
    scenario = with_devices(find(name), options.devices)
    if options.real:
        scenario = cut(scenario)
    _check_files(options)
    with results_file(options.json) as results, report_files(options.report) as report:
        recordings = _play(console, scenario, options)
        judged = {control: figures(recording) for control, recording in recordings.items()}
        outcome = Outcome(scenario, judged.get(False), judged.get(True))
        _report(console, outcome)
        config: dict[str, Figure] = {
            "scenario": scenario.scenario.name,
            "devices": scenario.population.devices,
            "seed": options.seed,
            "real": options.real,
            "real_speed": scenario.scenario.real_speed if options.real else None,
            "without": [mechanism.value for mechanism in options.without],
        }
        results.write("storm", as_figures(outcome), config)
        runs = tuple(map(run_of, recordings.values()))
        report.write(Story(outcome, runs, _provenance(name, scenario, options)), config)
    if options.report is not None:
        _say(console, f"the report is in {options.report}")
    return ExitCode.OK


def _check_files(options: Options) -> None:
    """Before anything is opened. Raises CommandError."""
    if options.report is None or options.json is None:
        return
    if options.json.resolve() in (file.resolve() for file in paths(options.report)):
        raise CommandError(
            f"--json {options.json}: --report {options.report} writes that file, too; choose "
            "another name for one of them"
        )


def _provenance(name: str, scenario: Scenario, options: Options) -> Provenance:
    """Spells out what may be another default some day."""
    without = [word for mechanism in options.without for word in ("--without", mechanism.value)]
    words = (
        *("hwangso", "storm", name),
        *("--control", options.control.value),
        *("--devices", str(scenario.population.devices)),
        *("--seed", str(options.seed)),
        "--real" if options.real else "--virtual",
        *without,
    )
    speed = scenario.scenario.real_speed if options.real else None
    return provenance(words, options.seed, options.without, speed)


def _list(console: Console) -> None:
    files = shipped()
    width = max(map(len, files))
    for name, file in files.items():
        title = Text(f"{name:<{width}}  {load(file).scenario.title}", no_wrap=True)
        console.print(title, soft_wrap=not console.is_terminal)
    folder = next(iter(files.values())).parent
    _say(console, f"Their files are in {folder}; copy one to make your own.")


def _play(console: Console, scenario: Scenario, options: Options) -> dict[bool, Recording]:
    """The runs, by whether the control was on; off first."""
    real = RealPlace() if options.real else None
    place: Place = real or VirtualPlace()
    _introduce(console, scenario, options)
    played = faster(scenario) if options.real else scenario
    speed = scenario.scenario.real_speed if options.real else 1.0
    runs: dict[bool, Recording] = {}
    for control in RUNS[options.control]:
        without = frozenset(options.without) if control else frozenset[Mechanism]()
        terms = Terms(played, control, options.seed, without, speed)
        with open_progress(console) as show:
            try:
                runs[control] = run(place, terms, show)
            except ExceptionGroup as group:
                raise first_of(group) from group
        _say(console, f"{control_name(control)}: played")
    if real is not None:
        line = saturation_line(real.load)
        if line is not None:
            _say(console, line)
    return runs


def _introduce(console: Console, scenario: Scenario, options: Options) -> None:
    devices, speed = scenario.population.devices, scenario.scenario.real_speed
    capacity_per_s = scenario.server.capacity_per_s * devices / 1_000
    if options.real:
        _say(
            console,
            f"{devices:,} phones and a server on real sockets, on loopback. The server is made "
            f"smaller on purpose: hwangso serve --slowed-to {capacity_per_s * speed:g}, which is "
            f"so many resumes a second. The story is played {speed:g} times as fast as told; all "
            "times here are those of the story.",
        )
    else:
        _say(
            console,
            f"{devices:,} phones and a server in virtual time, with a modelled processor of "
            f"{capacity_per_s:g} resumes a second",
        )
    if options.without:
        _say(console, f"control on is without {', '.join(options.without)}")


def _report(console: Console, outcome: Outcome) -> None:
    console.print(table(outcome))
    for line in (*sources(outcome.scenario), *sentences(outcome)):
        _say(console, line)


def _say(console: Console, line: str) -> None:
    """Wrapped at words on a terminal, whole in a pipe."""
    console.print(Text(line), soft_wrap=not console.is_terminal)
