"""A real server with its generators, and a crowd of fifty."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from hwangso_server.admission import Stage
from hwangso_tools.bench.fixture import make_fixture
from hwangso_tools.bench.lines import BenchFailed
from hwangso_tools.bench.storm import site as module
from hwangso_tools.bench.storm.plan import PATIENT, Start
from hwangso_tools.bench.storm.site import Site, site
from hwangso_tools.bench.storm.tickets import issue_tickets
from hwangso_tools.machine import separate_cores

DEVICES = 50
PEOPLE = 5
CORES = separate_cores()


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(module, "BEGIN_IN_S", 0.1)
    monkeypatch.setattr(module, "STAGE_LOOK_S", 0.01)
    fixture = await make_fixture(tmp_path / "data", DEVICES + 2 * PEOPLE)
    held = issue_tickets(fixture, Random(1))
    async with site(fixture.folder, held, DEVICES, ["--control", "on"], CORES) as running:
        yield running


async def until(here: Site, name: str, least: int) -> None:
    """Ask until the server has counted so many: it reads what a crowd has sent a moment later."""
    while (await here.admin.stats()).figures.get(name, 0) < least:
        pass


async def test_a_storm_over_a_gathered_crowd(here: Site) -> None:
    await here.gather()
    await until(here, "now.sessions", DEVICES)
    calm = await here.open_apps([Start(number, number / 100) for number in range(PEOPLE)])
    assert len(calm.ready_s) == PEOPLE
    assert calm.tally.attempts == PEOPLE

    opens = [Start(PEOPLE + number, number / 100) for number in range(PEOPLE)]
    storm = await here.storm(opens, PATIENT, disobedient=[])
    assert len(storm.foreground.ready_s) == PEOPLE
    assert len(storm.background.ready_s) == DEVICES
    tally = storm.background.tally
    assert tally.attempts == DEVICES + tally.deferrals + tally.timeouts + tally.broken + tally.lost
    shares = storm.shares  # of a moment so short that the system may have counted nothing yet
    assert min(shares.server, shares.background, shares.foreground) >= 0
    await until(here, "session.resume.BG", 2 * DEVICES)
    await until(here, "session.resume.FG", 2 * PEOPLE)


async def test_a_server_that_does_not_let_the_crowd_in(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned to SHIELD, it defers everybody for longer than there is time."""
    await here.wait_until_calm()
    await here.admin.set_stage(Stage.SHIELD, 60.0)
    monkeypatch.setattr(module, "CALM_WITHIN_S", 0.1)
    with pytest.raises(BenchFailed, match="the server stays in stage SHIELD"):
        await here.wait_until_calm()
    monkeypatch.setattr(module, "SET_UP_WITHIN_S", 0.0)
    with pytest.raises(BenchFailed, match="50 devices could not connect before the storm"):
        await here.gather()
