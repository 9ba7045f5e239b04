"""Resume tickets of a fixture's devices, sealed with the keys of its folder.

So a crowd of thousands holds tickets without a login each, which no storm is about.
"""

import os
import time
from random import Random
from typing import Final

from hwangso_server.folder import DataFolder
from hwangso_server.keys import Keys
from hwangso_server.tickets import Tickets
from hwangso_tools.bench.fixture import Fixture
from hwangso_tools.bench.storm.plan import HeldTicket

LIFETIME_MS: Final = 86_400_000
"""Less than the server's own: it refuses tickets that live longer than those it issues."""


def issue_tickets(fixture: Fixture, rng: Random) -> list[HeldTicket]:
    """A ticket for each device. The folder must not be in use by a server."""
    now_ms = round(time.time() * 1000)
    with DataFolder.open(fixture.folder) as folder:
        tickets = Tickets(Keys.open(folder, os.urandom, now_ms), LIFETIME_MS)
        issued = [
            tickets.issue(
                identity.user_id,
                identity.user_name,
                identity.device_id,
                now_ms=now_ms,
                rng=rng,
                random_bytes=os.urandom,
            )
            for identity in fixture.identities
        ]
    return [HeldTicket(ticket.sealed, ticket.psk) for ticket in issued]
