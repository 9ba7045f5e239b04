"""A crowd in virtual time, against the fake server of the client's tests.

That server keeps no copies for a sender's other devices, so most crowds here have one device a
user; where there are two, the books must notice.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from tests.client.fakeserver import DenyWith, FakeServer, open_server
from trio.testing import MockClock

from hwangso_client.config import LinkState
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import ErrorCode, Send
from hwangso_tools.swarm.crowd import STALLED_AFTER_S, START_RATE_PER_S, Crowd, open_crowd
from hwangso_tools.swarm.plan import Plan


def plan_for(server: FakeServer, devices: int, users: int, rate: float = 1.0) -> Plan:
    return Plan(
        run="crowd",
        password="x",
        host="nowhere",
        foreground_port=1,
        background_port=2,
        server_key=server.key,
        devices=devices,
        users=users,
        message_rate=rate,
        seed=5,
    )


@asynccontextmanager
async def crowd_of(
    devices: int, users: int | None = None, rate: float = 1.0
) -> AsyncIterator[tuple[FakeServer, Crowd]]:
    """An enrolled crowd and its server."""
    async with open_server() as server:
        plan = plan_for(server, devices, users or devices, rate)
        async with open_crowd(plan, plan.share(0), server, epoch_s=100.0) as crowd:
            await crowd.enrol()
            crowd.present = crowd.enrolled()
            yield server, crowd


def everything_arrived(crowd: Crowd) -> bool:
    return crowd.arrivals >= crowd.expected


async def test_enrols_in_the_foreground_and_leaves(autojump_clock: MockClock) -> None:
    async with crowd_of(3) as (server, crowd):
        assert server.intents() == [("ENROL", "FG")] * 3
        assert crowd.ready == 3
        assert crowd.enrolled() == {0: 1, 1: 1, 2: 1}
        assert crowd.figures.by_prefix("login") == {"enrol.FG": 3}
        assert crowd.figures.counts["error"] == 0


async def test_devices_of_one_user_are_bits(autojump_clock: MockClock) -> None:
    async with crowd_of(5, users=2) as (_, crowd):
        assert crowd.enrolled() == {0: 0b111, 1: 0b11}


async def test_the_start_is_spread(autojump_clock: MockClock) -> None:
    async with crowd_of(5) as (server, _):
        times = [hello.at for hello in server.hellos]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap == pytest.approx(1 / START_RATE_PER_S) for gap in gaps)


async def test_they_chat_and_everything_arrives_once(autojump_clock: MockClock) -> None:
    async with crowd_of(4) as (_, crowd):
        await crowd.chat(20.0)
        assert await crowd.settle(10.0, lambda: everything_arrived(crowd))
        audit = crowd.ledger.audit(crowd.devices_of)
        assert audit.exactly_once
        assert audit.acknowledged == crowd.figures.counts["sent"]
        assert 40 <= audit.acknowledged <= 120  # 80 on average
        assert crowd.figures.counts["received"] == audit.expected == audit.acknowledged
        assert len(crowd.figures.latencies["delivery"]) == audit.expected


async def test_the_same_seed_writes_the_same_messages(autojump_clock: MockClock) -> None:
    sent = []
    for _ in range(2):
        async with crowd_of(4) as (server, crowd):
            await crowd.chat(5.0)
            sent.append(
                [(m.to, m.body.partition(" ")[2]) for m in server.sent(Send) if isinstance(m, Send)]
            )
    assert sent[0] == sent[1] != []


async def test_a_missing_copy_is_noticed(autojump_clock: MockClock) -> None:
    """Negative control: this server forgets the sender's other device."""
    async with crowd_of(4, users=2) as (_, crowd):
        await crowd.chat(5.0)
        assert not await crowd.settle(5.0, lambda: everything_arrived(crowd))
        audit = crowd.ledger.audit(crowd.devices_of)
        assert audit.lost == audit.acknowledged == audit.missing > 0


async def test_a_copy_that_comes_twice_is_noticed(autojump_clock: MockClock) -> None:
    """Negative control: a server that stores a message twice."""
    async with crowd_of(2) as (server, crowd):
        await crowd.chat(3.0)
        entry = server.user("crowd-0").inbox[0]
        server.append(server.user("crowd-0"), entry.id, entry.sender, entry.body)
        assert await crowd.settle(5.0, lambda: crowd.ledger.audit(crowd.devices_of).duplicated == 1)


async def test_a_strangers_message_is_no_message_of_the_crowd(autojump_clock: MockClock) -> None:
    async with crowd_of(2) as (server, crowd):
        server.put("crowd-0", "hello", sender="eve")
        await crowd.settle(1.0, lambda: crowd.figures.counts["foreign"] == 1)
        assert crowd.figures.counts["foreign"] == 1
        assert crowd.arrivals == 0


async def test_cut_phones_resume_and_catch_up(autojump_clock: MockClock) -> None:
    async with crowd_of(4) as (_, crowd):
        for member in crowd.members:
            member.logins.clear()
        away = crowd.members[0]
        assert away.phone is not None
        away.phone.radio.cut(silently=False)
        await crowd.chat(10.0)
        assert away.phone.link_state is not LinkState.READY
        away.phone.radio.restore()
        assert await crowd.settle(60.0, lambda: everything_arrived(crowd))
        assert away.logins == [(Kind.RESUME, Intent.BACKGROUND)]
        assert crowd.members[1].logins == []
        assert crowd.ledger.audit(crowd.devices_of).exactly_once
        assert crowd.figures.counts["caught_up"] > 0


async def test_a_refusal_for_good_ends_the_enrolment(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.answers.extend([DenyWith(ErrorCode.REGISTRATION_CLOSED)] * 3)
        plan = plan_for(server, 3, 3)
        async with open_crowd(plan, plan.share(0), server, epoch_s=0.0) as crowd:
            await crowd.enrol()
            assert crowd.refusal is not None
            assert crowd.refusal.code is ErrorCode.REGISTRATION_CLOSED
            assert crowd.enrolled() == {}


async def test_a_server_that_is_not_there_ends_the_enrolment(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.reachable = False
        plan = plan_for(server, 3, 3)
        async with open_crowd(plan, plan.share(0), server, epoch_s=0.0) as crowd:
            await crowd.enrol()
            assert autojump_clock.current_time() >= STALLED_AFTER_S
            assert crowd.enrolled() == {}
            assert crowd.figures.by_prefix("error").keys() == {"connect failed"}


async def test_without_messages_a_chat_is_a_wait(autojump_clock: MockClock) -> None:
    async with crowd_of(1, rate=0.0) as (_, crowd):
        before = autojump_clock.current_time()
        await crowd.chat(7.0)
        assert autojump_clock.current_time() == before + 7.0
        assert crowd.figures.counts["sent"] == 0


async def test_a_message_that_the_server_refuses_is_counted(autojump_clock: MockClock) -> None:
    async with crowd_of(2) as (server, crowd):
        server.send_answers.append(ErrorCode.UNKNOWN_USER)
        await crowd.chat(5.0)
        assert await crowd.settle(5.0, lambda: everything_arrived(crowd))
        assert crowd.figures.counts["refused"] == 1
        assert crowd.ledger.audit(crowd.devices_of).exactly_once


async def test_who_is_not_enrolled_does_not_write(autojump_clock: MockClock) -> None:
    async with open_server() as server:
        server.reachable = False
        plan = plan_for(server, 2, 2)
        async with open_crowd(plan, plan.share(0), server, epoch_s=0.0) as crowd:
            await crowd.chat(5.0)
            assert crowd.figures.counts["not_sent"] > 0
            assert crowd.figures.counts["sent"] == 0
