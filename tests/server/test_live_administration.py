"""What an operator's word does to a running server: to its sessions and its tickets."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.server.harness import Server, running_server
from trio.testing import MockClock

from hwangso_protocol.events import Deferred
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ByeReason, ErrorCode
from hwangso_server.accounts import AdministrationError
from hwangso_server.admin_messages import CONTROL_OFF
from hwangso_server.admission import Admission
from hwangso_server.admission.controller import AdmissionController
from hwangso_server.admission.settings import Settings
from hwangso_server.admission.stage import Stage
from hwangso_server.folder import DataFolder
from hwangso_server.keys import Keys
from hwangso_server.live_administration import LiveAdministration
from hwangso_server.store import UserExists


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@asynccontextmanager
async def administered(
    path: Path, admission: Admission | None = None
) -> AsyncIterator[tuple[Server, LiveAdministration, trio.Event]]:
    """A running server with alice on two phones; its control is off without an `admission`."""
    with DataFolder.open(path) as folder:
        async with running_server(admission=admission) as server:
            keys = Keys.open(folder, server.core.random_bytes, server.core.clock.wall_ms())
            stop_asked = trio.Event()
            await server.add_user("alice", "bob")
            for user in ("alice", "alice", "bob"):
                await server.enrol(user)
            yield server, LiveAdministration(server.core, keys, stop_asked), stop_asked


async def test_disabling_a_user_ends_sessions_and_tickets(
    autojump_clock: MockClock, folder: Path
) -> None:
    async with administered(folder) as (server, admin, _):
        first, second, other = server.phones
        await admin.disable_user("alice")
        assert first.goodbye is second.goodbye is ByeReason.REVOKED
        assert other.is_live
        for kind in (Kind.LOGIN, Kind.RESUME):
            late = server.connect(kind, first.identity)
            await server.settle()
            assert late.denial.code is ErrorCode.USER_DISABLED
        await admin.enable_user("alice")
        await server.resume(first.identity)


async def test_revoking_a_device_ends_its_session_and_tickets(
    autojump_clock: MockClock, folder: Path
) -> None:
    async with administered(folder) as (server, admin, _):
        first, second, _other = server.phones
        await admin.revoke_device("alice", first.identity.device)
        assert first.goodbye is ByeReason.REVOKED
        assert second.is_live
        late = server.connect(Kind.RESUME, first.identity)
        await server.settle()
        assert late.denial.code is ErrorCode.DEVICE_REVOKED
        listed = (await admin.list_devices("alice")).devices
        assert [device.revoked_at_ms is None for device in listed] == [True, False]


async def test_another_users_device_is_not_revoked(autojump_clock: MockClock, folder: Path) -> None:
    async with administered(folder) as (server, admin, _):
        bob = server.phones[2]
        with pytest.raises(AdministrationError):
            await admin.revoke_device("alice", bob.identity.device)
        assert bob.is_live


async def test_users(autojump_clock: MockClock, folder: Path) -> None:
    async with administered(folder) as (server, admin, _):
        await admin.add_user("carol", "correct horse")
        with pytest.raises(UserExists):
            await admin.add_user("carol", "other")
        await server.enrol("carol")
        users = (await admin.list_users("", 10)).users
        assert [(user.name, user.devices) for user in users] == [
            ("alice", 2),
            ("bob", 1),
            ("carol", 1),
        ]


async def test_rotating_the_ticket_key(autojump_clock: MockClock, folder: Path) -> None:
    async with administered(folder) as (_, admin, _stop):
        assert (await admin.rotate_ticket_key()).keys_held == 2
        assert (await admin.rotate_ticket_key()).keys_held == 3


async def test_stats(autojump_clock: MockClock, folder: Path) -> None:
    async with administered(folder) as (server, admin, _):
        await server.send(server.phones[0], 1, "bob")
        server.replay(b"", server.new_identity("x"))
        figures = (await admin.stats()).figures
        assert figures["now.connections"] == 4
        assert figures["now.sessions"] == 3
        assert figures["stored"] == figures["store.appended"] == 1
        assert figures["session.enrol.FG"] == 3


def controller() -> AdmissionController:
    chance = random.Random(1)
    return AdmissionController(
        Settings(handshakes_max=100, sessions_max=100),
        uniform=chance.uniform,
        random_bytes=chance.randbytes,
        ticket_key=bytes(32),
    )


async def test_an_operator_pins_the_stage_and_asks_why(
    autojump_clock: MockClock, folder: Path
) -> None:
    async with administered(folder, controller()) as (server, admin, _):
        assert (await admin.set_stage(Stage.SHIELD, 600)).stage is Stage.SHIELD
        phone = server.phones[0]
        phone.lose()
        late = server.connect(Kind.RESUME, phone.identity, intent=Intent.BACKGROUND)
        await server.settle()
        assert isinstance(late.answer, Deferred)
        explanation = (await admin.explain(phone.identity.device)).explanation
        assert explanation is not None
        assert (explanation.outcome, explanation.rule) == ("deferred", "over-budget")
        assert sum(count for _, count in (await admin.calendar()).slots) == 1
        status = await admin.status()
        assert status.admission is not None
        assert status.admission.slots == 1
        assert status.figures["now.sessions"] == 2
        figures = (await admin.stats()).figures
        assert (figures["now.stage"], figures["now.slots"]) == (3, 1)
        assert (await admin.free_stage()).pinned_left_s is None


async def test_with_control_off(autojump_clock: MockClock, folder: Path) -> None:
    async with administered(folder) as (_, admin, _stop):
        status = await admin.status()
        assert status.admission is None
        assert status.figures["now.sessions"] == 3
        assert "now.stage" not in (await admin.stats()).figures
        with pytest.raises(AdministrationError, match=CONTROL_OFF):
            await admin.set_stage(Stage.SHIELD, 600)


async def test_stop(autojump_clock: MockClock, folder: Path) -> None:
    async with administered(folder) as (server, admin, stop_asked):
        await admin.stop()
        assert stop_asked.is_set()
        assert server.phones[0].is_live  # the stopping itself is `run`'s
