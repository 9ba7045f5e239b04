import os
import time
from random import Random

import pytest

from hwangso_server.folder import DataFolder, DataFolderInUse
from hwangso_server.keys import Keys
from hwangso_tools.bench.fixture import Fixture
from hwangso_tools.bench.storm.tickets import issue_tickets


async def test_a_ticket_says_whose_it_is(fixture: Fixture) -> None:
    held = issue_tickets(fixture, Random(1))
    now_ms = round(time.time() * 1000)
    with DataFolder.open(fixture.folder) as folder:
        ring = Keys.open(folder, os.urandom, now_ms).ticket_ring
    opened = [ring.open(ticket.ticket, now_ms) for ticket in held]
    assert [(one.user_id, one.user_name, one.device_id) for one in opened] == [
        (identity.user_id, identity.user_name, identity.device_id)
        for identity in fixture.identities
    ]
    assert [one.psk for one in opened] == [ticket.psk for ticket in held]
    assert len({one.device_id for one in opened}) == len(held) == 6


async def test_not_while_a_server_has_the_folder(fixture: Fixture) -> None:
    with DataFolder.open(fixture.folder), pytest.raises(DataFolderInUse):
        issue_tickets(fixture, Random(1))
