"""A storm made by hand: a calm baseline of 10 s, and a story of 20 s."""

from datetime import UTC, datetime

import msgspec

from hwangso_protocol.hello import Intent
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.admission.stage import Stage
from hwangso_tools.machine import Machine
from hwangso_tools.report.provenance import Provenance
from hwangso_tools.report.series import run_of
from hwangso_tools.report.story import Story
from hwangso_tools.storm.figures import figures
from hwangso_tools.storm.names import FigureName
from hwangso_tools.storm.recording import Open, Recording, StageChange
from hwangso_tools.storm.report import Outcome
from hwangso_tools.storm.scenario import About, Alert, Published, Scenario

BG, FG = Intent.BACKGROUND, Intent.FOREGROUND

SCENARIO = Scenario(
    scenario=About(
        name="small",
        title="A <script>alert(1)</script> & its end",
        about="</script><img src=http://example.com/x.png>",
        seconds=20.0,
        calm_seconds=10.0,
    ),
    event=(Alert(at_s=2.0),),
    published=(Published(FigureName.CONNECT_PEAK_RATIO, 'papers "<b>"', at_least=5.0),),
)


def recording(*, control: bool = True, seconds: int = 20, calm_seconds: int = 10) -> Recording:
    """With a little of everything."""
    made = Recording(
        calm_seconds=calm_seconds,
        seconds=seconds,
        devices=4,
        capacity_per_s=3.0,
        triggers_end_s=7.0,
        first_event_s=2.0,
        controlled=control,
    )
    series = made.series
    series.connects[BG][0] = 1
    series.connects[BG][12] = 6
    series.connects[FG][13] = 3
    series.welcomed[BG][12] = 2
    series.welcomed[FG][13] = 1
    series.deferred[14] = 4
    series.failed[19] = 5
    for second in range(10, 15):
        series.sessions[second] = second
        series.waiting[second] = 20 - second
    series.responses[BG][12] = 2
    series.response_s[BG][12] = 0.5
    series.responses[FG][13] = 1
    series.response_s[FG][13] = 0.125
    series.busy_s[12] = 1.0
    series.useful_s[12] = 0.5
    made.opens += [
        Open(0.5, 0.25, ready=True),
        Open(1.5, 0.75, ready=True),
        Open(2.5, 40.0, ready=False),
        Open(3.5, 2.0, ready=False),  # a short look
        Open(6.0, 31.0, ready=True),
    ]
    if control:
        made.stages += [StageChange(3.25, Stage.EMERGENCY), StageChange(12.0, Stage.BUSY)]
    return made


def story(scenario: Scenario = SCENARIO) -> Story:
    """Both runs."""
    off, on = recording(control=False), recording(control=True)
    return Story(
        Outcome(scenario, figures(off), figures(on)), (run_of(off), run_of(on)), PROVENANCE
    )


def renamed(title: str) -> Scenario:
    """The scenario with another title."""
    about = msgspec.structs.replace(SCENARIO.scenario, title=title)
    return msgspec.structs.replace(SCENARIO, scenario=about)


PROVENANCE = Provenance(
    command=("hwangso", "storm", "my storm.toml", "--seed", "7"),
    made_at=datetime(2026, 11, 22, 15, 30, 1, tzinfo=UTC),
    seed=7,
    without=(Mechanism.LANES,),
    real_speed=6.0,
    machine=Machine("Linux 6.1", "a <fast> one", 2, 2 * 2**30),
    versions={"hwangso": "0.1.0", "python": "3.11.7"},
)
