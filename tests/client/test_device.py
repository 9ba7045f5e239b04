"""The phone against a fake server, in virtual time."""

import trio
from tests.client.fakeserver import open_server

from hwangso_client.config import LinkState


async def test_two_phones_chat(autojump_clock: trio.testing.MockClock) -> None:
    async with open_server() as server, server.phone("alice") as alice, server.phone("bob") as bob:
        await alice.open_app()
        await bob.open_app()
        await alice.send("bob", "안녕")
        message = await bob.next_message()
        assert (message.sender, message.to, message.body) == ("alice", "bob", "안녕")
        assert alice.link_state is LinkState.READY
        assert server.intents() == [("ENROL", "FG"), ("ENROL", "FG")]
