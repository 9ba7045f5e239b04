"""One phone does not read what it is sent; that is its own affair."""

import socket

import trio
from tests.e2e.phones import phone, saved, within
from tests.e2e.servers import Server
from tests.e2e.strangers import RawClient, resume_with

from hwangso_client.profile import MemoryProfile
from hwangso_protocol.messages import Ready

BODY = "가" * 4_000
"""12 kB on the wire."""

MESSAGES_MAX = 1_000
"""12 MB: more than the kernel's buffers and the server's own together."""


@within(60)
async def test_a_slow_reader_delays_nobody_and_loses_nothing(server: Server) -> None:
    """Its session is closed when too much waits for it. The messages wait in the inbox."""
    profile = MemoryProfile()
    async with phone(server, "slow", profile=profile):
        pass
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        await stream.socket.connect((server.address.host, server.address.foreground_port))
        client = RawClient(stream, resume_with(saved(profile)))
        await client.flush()
        await client.next_event()
        await client.send(Ready())
        async with phone(server, "bob") as bob, phone(server, "carol") as carol:
            sent = 0
            while not await server.count("ended.slow_reader"):
                assert sent < MESSAGES_MAX
                for _ in range(20):
                    await bob.send("slow", BODY)
                    sent += 1
                await bob.send("carol", "meanwhile")
                assert (await carol.next_message()).body == "meanwhile"
            async with phone(server, "slow", profile=profile) as slow:
                seqs = [(await slow.next_message()).seq for _ in range(sent)]
                assert seqs == list(range(1, sent + 1))
                assert slow.inbox == ()
