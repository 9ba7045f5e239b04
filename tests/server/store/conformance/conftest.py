"""Every test here runs against every implementation."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from hwangso_server.store import Store, open_memory, open_sqlite


@pytest.fixture(params=["memory", "sqlite"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., AbstractAsyncContextManager[Store]]:
    """`async with open_store(on_batch_end=...) as store`: an empty one."""
    if request.param == "memory":
        return open_memory
    return partial(open_sqlite, tmp_path / "hwangso.db")
