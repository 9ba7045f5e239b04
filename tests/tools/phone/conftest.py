"""One server for all the screens: users are told apart by name."""

from collections.abc import Iterator

import pytest
from tests.tools.phone.hands import served

from hwangso_tools.childserver import Ready


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """A server in a process of its own; registration is open."""
    with served(tmp_path_factory.mktemp("served")) as ready:
        yield ready
