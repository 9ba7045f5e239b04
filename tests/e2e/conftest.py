"""Fixtures of the end-to-end tests."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.servers import Server, running_server


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a data folder can be made: a short path, for a Unix socket will lie in it."""
    with tempfile.TemporaryDirectory(prefix="hwangso-") as parent:
        yield Path(parent) / "data"


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[Server]:
    """A running server; it must stop in order, without an error in its log."""
    async with running_server(folder) as running:
        yield running
