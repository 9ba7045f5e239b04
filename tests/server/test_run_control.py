"""How a configuration becomes the dispatcher, lanes and admission of a whole server."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from tests.server.test_run import READY, WITHIN_S

from hwangso_protocol.hello import Intent
from hwangso_server import run
from hwangso_server.admission import CapacityAdmission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.config import Config, Control
from hwangso_server.core import Core
from hwangso_server.dispatcher import Dispatcher, Order, Turn
from hwangso_server.processor import Processor, RealProcessor, SlowedProcessor
from hwangso_server.sockets import SocketGround


class Made:
    """What `run` has made of a configuration."""

    def __init__(
        self, core: Core, ground: SocketGround, processor: Processor, options: dict[str, Any]
    ) -> None:
        self.core = core
        self.processor = processor
        self.turn = options["turn"]
        self.lanes = tuple(ground.lanes)
        self.order = options["order"]
        self.peer_check = options["peer_check"]
        self.connections_max = options["connections_max"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data=str(tmp_path / "data"), foreground_port=0, background_port=0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Made]:
    """Grows with each server that is started."""
    made: list[Made] = []

    def make(core: Core, ground: SocketGround, processor: Processor, **options: Any) -> Dispatcher:
        made.append(Made(core, ground, processor, options))
        return Dispatcher(core, ground, processor, **options)

    monkeypatch.setattr("hwangso_server.assembly.Dispatcher", make)
    return made


async def ports(config: Config) -> tuple[int, int]:
    """Start a server, and end it when it is ready."""
    lines: list[str] = []
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:

            def ready(line: str) -> None:
                lines.append(line)
                nursery.cancel_scope.cancel()

            async def serve() -> None:
                await run.serve(config, announce=ready)

            nursery.start_soon(serve)
    match = READY.fullmatch(lines[0])
    assert match is not None
    return int(match[1]), int(match[2])


async def test_people_come_first(config: Config, made: list[Made]) -> None:
    foreground, background = await ports(config)
    assert foreground != background
    (server,) = made
    assert (server.order, server.peer_check) == (Order.INTENT, True)
    assert server.lanes == (Intent.FOREGROUND, Intent.BACKGROUND)
    assert isinstance(server.core.admission, AdmissionController)


async def test_control_off_is_first_come_first_served(config: Config, made: list[Made]) -> None:
    """Nobody is looked at, nobody deferred: the negative control of every storm."""
    await ports(msgspec.structs.replace(config, control=Control.OFF))
    (server,) = made
    assert (server.order, server.peer_check) == (Order.ARRIVAL, False)
    assert isinstance(server.core.admission, CapacityAdmission)


async def test_without_the_peer_check(config: Config, made: list[Made]) -> None:
    await ports(msgspec.structs.replace(config, without=(Mechanism.PEER_CHECK,)))
    (server,) = made
    assert (server.order, server.peer_check) == (Order.INTENT, False)


@pytest.mark.parametrize("changes", [{"without": (Mechanism.LANES,)}, {"port": 0}])
async def test_without_lanes_all_come_through_one(
    config: Config, made: list[Made], changes: dict[str, Any]
) -> None:
    """The ready line names it twice, so that phones need not know."""
    foreground, background = await ports(msgspec.structs.replace(config, **changes))
    assert foreground == background
    (server,) = made
    assert server.lanes == (None,)
    assert server.order is Order.INTENT


async def test_a_server_is_as_fast_as_its_machine(config: Config, made: list[Made]) -> None:
    await ports(config)
    assert isinstance(made[0].processor, RealProcessor)
    assert made[0].turn is None


async def test_a_server_that_behaves_as_a_slower_machine(config: Config, made: list[Made]) -> None:
    await ports(msgspec.structs.replace(config, slowed_to=10.0))
    assert isinstance(made[0].processor, SlowedProcessor)
    assert made[0].turn == Turn.of_modelled(10.0)


async def test_connections_are_bounded_by_the_operator(config: Config, made: list[Made]) -> None:
    await ports(msgspec.structs.replace(config, connections_max=17))
    assert made[0].connections_max == 17
