"""The demo's phases in virtual time, against the client's fake server."""

import pytest
from tests.client.fakeserver import DenyWith, FakeServer, RefuseWith, open_server
from trio.testing import MockClock

from hwangso_client.errors import DeviceStopped
from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.messages import ErrorCode
from hwangso_tools.demo.report import as_figures, logins, sentence
from hwangso_tools.demo.script import Demo, DemoOutcome, Phase
from hwangso_tools.swarm.plan import Plan


def demo_for(server: FakeServer, devices: int = 8, users: int = 8) -> Demo:
    plan = Plan(
        run="demo",
        password="x",
        host="nowhere",
        foreground_port=1,
        background_port=2,
        server_key=server.key,
        devices=devices,
        users=users,
        message_rate=1.0,
    )
    return Demo(plan, server)


async def played(server: FakeServer, demo: Demo) -> tuple[DemoOutcome, list[Phase]]:
    ended: list[Phase] = []
    outcome = await demo.play(ended.append)
    return outcome, ended


async def test_all_is_well(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        demo = demo_for(server)
        outcome, ended = await played(server, demo)
    assert outcome.complaints() == []
    assert [phase.name for phase in ended] == ["enrol", "chat", "return"]
    assert [logins(phase) for phase in ended] == ["8 enrol FG", "", "8 resume BG"]
    assert outcome.returned.complete
    assert outcome.outcome.figures.counts["caught_up"] > 0
    assert sentence(outcome).startswith("All 8 phones were cut off at once and each came back")
    figures = as_figures(outcome)
    assert figures["lost"] == figures["duplicated"] == figures["errors"] == 0
    assert figures["came_back_by_background_resume"] == 8
    assert demo.status().phase == "return"


async def test_the_returns_are_spread(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        await played(server, demo_for(server))
        resumed = [hello.at for hello in server.hellos if hello.kind.name == "RESUME"]
    assert len(set(resumed)) == 8
    assert max(resumed) - min(resumed) > 1.0


async def test_a_lost_copy_is_no_success(autojump_clock: MockClock) -> None:
    """Negative control: this server forgets the sender's other devices."""
    async with open_server() as server:
        outcome, _ = await played(server, demo_for(server, devices=8, users=4))
    assert not outcome.settled
    (complaint,) = outcome.complaints()
    assert "are lost on some device" in complaint
    assert sentence(outcome).startswith("Not as it should be: ")


async def test_coming_back_by_login_is_no_success(autojump_clock: MockClock) -> None:
    """Negative control: a server that has forgotten its ticket keys."""

    async with open_server() as server:

        def forget(phase: Phase) -> None:
            if phase.name == "chat":
                server.tickets.clear()

        outcome = await demo_for(server).play(forget)
    assert any("otherwise than by a background resume" in said for said in outcome.complaints())


async def test_not_coming_back_is_no_success(autojump_clock: MockClock) -> None:
    async with open_server() as server:

        def refuse(phase: Phase) -> None:
            if phase.name == "chat":
                server.answers.extend([RefuseWith(RefuseReason.FULL, 30.0)] * 500)

        outcome = await demo_for(server).play(refuse)
    assert "8 devices did not come back" in outcome.complaints()


async def test_a_server_that_refuses_the_phones(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.answers.append(DenyWith(ErrorCode.REGISTRATION_CLOSED))
        with pytest.raises(ExceptionGroup) as caught:
            await demo_for(server).play(lambda _: None)
    assert caught.group_contains(DeviceStopped)
