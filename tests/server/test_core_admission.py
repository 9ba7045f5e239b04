"""What the core does for admission, and for people who wait: its windows are closed in time, a
core without a dispatcher begins handshakes at once, and who waits for the store is known."""

from math import inf

import pytest
import trio
from tests.server.fakes import ScriptedAdmission
from tests.server.harness import running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ListDevices, Sent
from hwangso_server.admission import Admit
from hwangso_server.limits import ADMISSION_TICK_S


class Windows(ScriptedAdmission):
    """Has windows of `length_s`."""

    def __init__(self, length_s: float, served_as: Intent = Intent.FOREGROUND) -> None:
        super().__init__(Admit(served_as))
        self._length_s = length_s
        self.next_deadline_s = length_s
        self.ticks_s: list[float] = []

    def tick(self, now_s: float) -> None:
        self.ticks_s.append(now_s)
        self.next_deadline_s = now_s + self._length_s


# Windows


async def test_windows_are_closed_when_they_end(autojump_clock: MockClock) -> None:
    admission = Windows(0.25)
    async with running_server(admission=admission):
        await trio.sleep(1.1)
        assert admission.ticks_s == pytest.approx([0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("length_s", [0.0, -5.0])
async def test_however_soon_the_next_one_ends(autojump_clock: MockClock, length_s: float) -> None:
    """Nothing turns round and round."""
    admission = Windows(length_s)
    async with running_server(admission=admission):
        await trio.sleep(5.5 * ADMISSION_TICK_S)
        assert admission.ticks_s == pytest.approx([n * ADMISSION_TICK_S for n in range(1, 6)])


async def test_an_admission_without_windows(autojump_clock: MockClock) -> None:
    admission = Windows(inf)
    async with running_server(admission=admission):
        await trio.sleep(60)
        assert admission.ticks_s == []


# Handshakes


async def test_without_a_dispatcher_handshakes_begin_at_once(autojump_clock: MockClock) -> None:
    admission = Windows(inf, Intent.BACKGROUND)
    async with running_server(admission=admission) as server:
        await server.add_user("alice")
        known = await server.enrol("alice")
        server.connect(Kind.RESUME, known.identity)
        assert admission.waits == [(Intent.BACKGROUND, 0.0)] * 2


@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_admission_is_told_of_each_answer(autojump_clock: MockClock, kind: Kind) -> None:
    """How long it took since the hello reached the kernel, as what it was served."""
    admission = Windows(inf, Intent.BACKGROUND)
    async with running_server(admission=admission) as server:
        await server.add_user("alice", "bob")
        bob, alice = await server.enrol("bob"), await server.enrol("alice")
        alice.lose()
        await server.send(bob, 1, "alice")
        admission.responses.clear()
        with server.held("page"):
            phone = server.connect(kind, alice.identity, intent=Intent.FOREGROUND)
            await trio.sleep(0.25)
            assert admission.responses == []
        await server.prove(phone)
        assert admission.responses == [(Intent.BACKGROUND, 0.25)]


async def test_a_denial_is_no_answer_to_measure(autojump_clock: MockClock) -> None:
    admission = Windows(inf)
    async with running_server(admission=admission) as server:
        server.connect(Kind.LOGIN, server.new_identity("nobody"))
        await server.settle()
        assert admission.responses == []
        assert admission.told == ["handshake_failed"]


# Who waits for the store


@pytest.mark.parametrize("intent", Intent)
@pytest.mark.parametrize("kind", [Kind.LOGIN, Kind.RESUME])
async def test_a_person_who_waits_for_the_store_is_waited_for(
    autojump_clock: MockClock, kind: Kind, intent: Intent
) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        bob, alice = await server.enrol("bob"), await server.enrol("alice")
        alice.lose()
        await server.send(bob, 1, "alice")
        assert not server.core.is_waited_for
        with server.held("page"):
            phone = server.connect(kind, alice.identity, intent=intent)
            await server.settle()
            assert server.core.is_waited_for == (intent is Intent.FOREGROUND)
        await server.prove(phone)
        assert not server.core.is_waited_for


async def test_a_live_session_whose_request_is_at_the_store_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        alice = await server.enrol("alice")
        with server.held("devices"):
            alice.say(ListDevices())
            await server.settle()
            assert server.core.is_waited_for
        await server.settle()
        assert not server.core.is_waited_for


async def test_a_message_on_its_way_to_the_disk_is_waited_for(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        alice = await server.enrol("alice")
        alice.text(1, "alice")
        assert server.core.is_waited_for
        await server.settle()
        alice.take(Sent)
        assert not server.core.is_waited_for


async def test_nobody_is_waited_for_whose_connection_is_lost(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        alice = await server.enrol("alice")
        with server.held("devices"):
            alice.say(ListDevices())
            await server.settle()
            alice.lose()
        await server.settle()
        assert not server.core.is_waited_for
        assert not server.core.people_waiting
