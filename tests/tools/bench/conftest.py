"""A server with prepared devices, for tests of the generator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hwangso_tools.bench.fixture import Fixture, make_fixture
from hwangso_tools.childserver import ChildServer, child_server

DEVICES = 6


@pytest.fixture
async def fixture(tmp_path: Path) -> Fixture:
    return await make_fixture(tmp_path / "data", DEVICES)


@pytest.fixture
async def server(fixture: Fixture) -> AsyncIterator[ChildServer]:
    async with child_server(["--data", "data"], cwd=fixture.folder.parent) as running:
        yield running
