"""The generator against a real server: `fixture`, `lines`, `logins`, `messages`."""

import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_client.address import ServerAddress
from hwangso_server.administration import RemoteAdministration
from hwangso_server.folder import DataFolder
from hwangso_tools.bench import messages as module
from hwangso_tools.bench.fixture import Fixture, user_name
from hwangso_tools.bench.lines import BenchFailed, Deadline, Line, Lines
from hwangso_tools.bench.logins import connect_all, login_connections, resume_connections
from hwangso_tools.bench.messages import OpenLoop, Pairs, Saturated
from hwangso_tools.childserver import ChildServer

DEVICE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = DEVICE.public_key().public_bytes_raw()


async def counts(fixture: Fixture) -> dict[str, int | float]:
    stats = await RemoteAdministration(DataFolder(fixture.folder).admin_socket).stats()
    return stats.figures


async def test_logins_then_resumes(fixture: Fixture, server: ChildServer) -> None:
    with closing(Lines(server.address)) as lines:
        logged_in = connect_all(lines, login_connections(fixture), server.pid)
        assert len(lines) == 6
        assert [welcome.user for welcome in logged_in.welcomes] == [user_name(n) for n in range(6)]
        assert (await counts(fixture))["now.sessions"] == 6
    assert logged_in.usage.elapsed_s > 0
    with closing(Lines(server.address)) as lines:
        resumed = connect_all(lines, resume_connections(logged_in.welcomes), server.pid)
        assert [welcome.device for welcome in resumed.welcomes] == [
            welcome.device for welcome in logged_in.welcomes
        ]
    found = await counts(fixture)
    assert found["session.login.BG"] == found["session.resume.BG"] == 6


async def test_a_stranger_is_not_measured(fixture: Fixture, server: ChildServer) -> None:
    with (
        closing(Lines(server.address)) as lines,
        pytest.raises(BenchFailed, match=r"a login was denied: .*device_unknown"),
    ):
        connect_all(lines, login_connections(replace(fixture, device_keys=(DEVICE,))), server.pid)


def test_no_server() -> None:
    lines = Lines(ServerAddress("127.0.0.1", 1, 1))
    (connection,) = login_connections(Fixture(Path(), PUBLIC, (DEVICE,), ()))
    with closing(lines), pytest.raises(BenchFailed, match="cannot connect to the server"):
        lines.open(Line(connection, 0))


async def test_a_server_that_goes_away(fixture: Fixture, server: ChildServer) -> None:
    with closing(Lines(server.address)) as lines:
        connect_all(lines, login_connections(fixture), server.pid)
        await server.kill()
        with pytest.raises(BenchFailed, match=r"closed a connection|broke a connection"):
            list(lines.poll(10.0))


async def messages_between_pairs(
    fixture: Fixture, server: ChildServer
) -> tuple[Saturated, OpenLoop]:
    with closing(Lines(server.address)) as lines:
        connect_all(lines, login_connections(fixture), server.pid)
        pairs = Pairs(lines, sorted(lines, key=lambda line: line.number), server.pid)
        return pairs.saturate(), pairs.open_loop(100.0, random.Random(1))


async def test_every_message_is_stored_and_delivered_once(
    fixture: Fixture, server: ChildServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WARM_UP_S", 0.05)
    monkeypatch.setattr(module, "SATURATED_S", 0.2)
    monkeypatch.setattr(module, "OPEN_LOOP_S", 0.5)
    saturated, open_loop = await messages_between_pairs(fixture, server)
    found = await counts(fixture)
    assert found["stored"] == found["delivered"]
    assert found["stored"] >= saturated.messages + len(open_loop.delivery)
    assert saturated.messages > 0
    assert 20 <= len(open_loop.delivery) <= 100  # 50 on average
    assert len(open_loop.lateness) == len(open_loop.delivery)


def test_a_deadline() -> None:
    Deadline(60.0, "x").check()
    with pytest.raises(BenchFailed, match="5 logins: not done after -1 s"):
        Deadline(-1.0, "5 logins").check()
