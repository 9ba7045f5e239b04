"""Is there a server, and has it the key? Asked once, before a swarm is started."""

import os
from typing import Final

import trio

from hwangso_client.network import Network
from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith
from hwangso_protocol.events import Answered, Deferred, PeerFault, Refused
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Enrol
from hwangso_tools.errors import CommandError, ExitCode

WITHIN_S: Final = 10.0
READ_BYTES: Final = 65_536
_WRONG_KEY: Final = (
    "the server has not the key that was given: take the one it prints when it is ready, or its "
    "server.pub"
)


async def probe(network: Network, server_key: bytes) -> None:
    """Return if the server proves `server_key`. Raises CommandError otherwise.

    Shakes hands for an enrolment (Noise NK), which proves the server, and leaves before the
    password would be sent.
    """
    line = f"no answer from the server within {WITHIN_S:.0f} s"
    with trio.move_on_after(WITHIN_S):
        try:
            stream = await network.connect(Intent.BACKGROUND)
            async with stream:
                line = await _shake_hands(stream, server_key)
        except OSError as error:
            line = f"cannot connect to the server: {error.strerror or error}"
        except trio.BrokenResourceError:
            line = "the server broke the connection"
    if line:
        raise CommandError(line, ExitCode.UNREACHABLE)


async def _shake_hands(stream: trio.abc.Stream, server_key: bytes) -> str:
    """What is wrong; empty if nothing is."""
    enrol = Enrol(user="probe", password="none", device="probe", key=bytes(32))
    connection = ClientConnection(
        EnrolWith(server_key, enrol), Attempt(Intent.BACKGROUND), os.urandom
    )
    await stream.send_all(connection.data_to_send())
    while True:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            return "the server closed the connection: is it a hwangso server?"
        for event in connection.receive_data(bytes(data)):
            match event:
                case Answered() | Deferred():
                    return ""  # a deferral says nothing about the key; the devices will see
                case Refused(reason):
                    if reason is RefuseReason.HANDSHAKE_FAILED:
                        return _WRONG_KEY
                    return f"the server refused: {reason.name.lower()}"
                case PeerFault(error):
                    return f"not a hwangso server, or not with this key: {error}"
                case _:
                    pass
