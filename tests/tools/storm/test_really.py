"""What a storm on real sockets asks of its server. (The storm itself is `hwangso storm --real`.)"""

from pathlib import Path

import pytest

from hwangso_client.address import ServerAddress
from hwangso_client.events import DeviceEvent
from hwangso_server.admission.mechanism import Mechanism
from hwangso_tools.errors import CommandError
from hwangso_tools.storm.place import Terms
from hwangso_tools.storm.really import RealPlace, RealServer, ports
from hwangso_tools.storm.scenario import About, Phones, Population, Scenario, Slowdown

SCENARIO = Scenario(
    About("x", "x", "x", 10.0),
    population=Population(devices=100),
    phones=Phones(keepalive_s=0.5 + 49.5, backoff_base_s=0.25, backoff_cap_s=10),
)


def observe(device: int, event: DeviceEvent) -> None:
    raise AssertionError("nothing is played here")


def test_the_server_is_as_the_terms_say() -> None:
    terms = Terms(SCENARIO, True, 1, frozenset({Mechanism.PEER_CHECK, Mechanism.LANES}))
    assert RealServer(terms, Path("there")).arguments() == [
        "--data=there",
        "--control=on",
        "--without=lanes",
        "--without=peer-check",
        "--slowed-to=1.5",
        "--keepalive-s=50",
        "--backoff-base-ms=250",
        "--backoff-cap-ms=10000",
    ]


def test_without_control_there_is_one_lane() -> None:
    arguments = RealServer(Terms(SCENARIO, False, 1), Path("there")).arguments()
    assert arguments[1] == "--control=off"
    assert arguments[-1] == "--port=0"


@pytest.mark.parametrize(
    ("address", "flags"),
    [
        (ServerAddress("127.0.0.1", 7, 8), ["--foreground-port=7", "--background-port=8"]),
        (ServerAddress("127.0.0.1", 7, 7), ["--port=7"]),
    ],
)
def test_the_next_server_listens_where_this_one_does(
    address: ServerAddress, flags: list[str]
) -> None:
    assert ports(address) == flags


async def test_a_slowdown_needs_the_modelled_processor() -> None:
    slow = Scenario(SCENARIO.scenario, event=(Slowdown(at_s=0, factor=2, duration_s=1),))
    with pytest.raises(CommandError, match="only the modelled processor of --virtual can"):
        async with RealPlace().open(Terms(slow, True, 1), observe):
            pass
