"""The connection is cut at every step of sending and receiving; nothing is lost or doubled."""

import pytest
from tests.e2e.phones import Diary, phone, within
from tests.e2e.proxy import Direction, places_to_cut, proxy_to
from tests.e2e.servers import Server

from hwangso_client.events import DeviceEvent, MessageAcknowledged, SessionEnd, SessionEnded
from hwangso_protocol.hello import Intent, Kind

PIPELINED = 3
"""Messages that are on their way at the same time."""


@pytest.mark.parametrize("direction", list(Direction), ids=lambda one: one.name)
@within(60)
async def test_a_cut_while_sending(server: Server, direction: Direction) -> None:
    """A cut to the server loses sends, a cut to the phone loses acknowledgements of what is stored
    already, and messages from bob that are on their way."""
    diary = Diary()
    rounds = 0

    async def chat() -> None:
        nonlocal rounds
        rounds += 1
        to_bob = [f"{rounds:03}.{number}" for number in range(PIPELINED)]
        for body in to_bob:
            alice.post("bob", body)
        await bob.send("alice", f"{rounds:03}")
        await alice.wait_sent()
        assert [(await bob.next_message()).body for _ in to_bob] == to_bob
        assert (await alice.next_message()).body == f"{rounds:03}"

    async with (
        proxy_to(server.network) as proxy,
        phone(server, "bob") as bob,
        phone(server, "alice", network=proxy.network, observer=diary) as alice,
    ):
        (conversation,) = proxy.conversations
        before = conversation.boundaries(direction)
        await chat()
        begin = before[-1]
        boundaries = [end - begin for end in conversation.boundaries(direction) if end > begin]
        for place in places_to_cut(boundaries):
            proxy.cut(direction, after_bytes=place)
            await chat()
            await diary.until(lambda: len(diary.ended) == rounds - 1)
            await alice.open_app()
        assert alice.inbox == ()
        assert bob.inbox == ()
        # Each was stored once, however often it was sent.
        assert await server.count("stored") == rounds * (PIPELINED + 1)
    assert diary.logins[0] == (Kind.ENROL, Intent.FOREGROUND)
    assert {kind for kind, _ in diary.logins[1:]} == {Kind.RESUME}
    assert {ended.end for ended in diary.ended[:-1]} <= {SessionEnd.LOST, SessionEnd.DEAD_PEER}
    tries = [event.tries for event in diary.events if isinstance(event, MessageAcknowledged)]
    assert max(tries) > 1, "no cut fell on a message that was on its way"


@within(30)
async def test_the_answer_is_lost_every_time(server: Server) -> None:
    """Stored at the first try, acknowledged at the last: the server knows the retries by their id.

    Each new connection is cut right behind the answer to its hello, before it can carry a Sent.
    """
    diary, lost, answer_bytes = Diary(), 5, 0

    def observe(event: DeviceEvent) -> None:
        if isinstance(event, SessionEnded) and answer_bytes and len(diary.ended) < lost:
            proxy.cut(Direction.TO_PHONE, after_bytes=answer_bytes)
        diary(event)

    async with (
        proxy_to(server.network) as proxy,
        phone(server, "bob") as bob,
        phone(server, "alice", network=proxy.network, observer=observe) as alice,
    ):
        alice.radio.handover()
        await diary.until(lambda: len(diary.logins) == 2)
        answer_bytes = proxy.conversations[-1].boundaries(Direction.TO_PHONE)[0]
        proxy.cut(Direction.TO_PHONE, after_bytes=0)
        await alice.send("bob", "once")
        assert (await bob.next_message()).body == "once"
        assert bob.inbox == ()
        assert await server.count("stored") == 1
    (acknowledged,) = [event for event in diary.events if isinstance(event, MessageAcknowledged)]
    assert acknowledged.tries == lost + 1
