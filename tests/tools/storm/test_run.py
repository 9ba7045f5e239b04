"""A run in a place, and a small storm in the virtual one."""

from tests.tools.storm.fakeworld import FakePlace
from tests.tools.storm.test_play import NOBODY

from hwangso_tools.storm.place import Terms
from hwangso_tools.storm.play import Moment
from hwangso_tools.storm.run import run
from hwangso_tools.storm.scenario import About, Alert, Population, Scenario

SCENARIO = Scenario(
    About("x", "x", "x", 3_600.0),
    population=Population(devices=20, foreground=NOBODY),
    event=(Alert(at_s=0),),
)


def test_a_run_and_its_moments() -> None:
    moments: list[Moment] = []
    recording = run(FakePlace(), Terms(SCENARIO, control=True, seed=1), moments.append)
    assert recording.series.sessions[-1] > 0
    assert moments
    assert not moments[0].at_s > moments[-1].at_s
