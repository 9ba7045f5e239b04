"""Connections that have proved nothing, without the connections."""

import pytest
from tests.server.fakes import static_key

from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import Enrol
from hwangso_protocol.server import ServerConnection
from hwangso_server.strangers import Strangers


class Somebody:
    """A session as far as strangers know it."""

    def __init__(self, *, heard: bool = False) -> None:
        self.connection = ServerConnection(static_key(1), bytes)
        if heard:
            self.say_hello()

    def say_hello(self) -> None:
        key = static_key(1).public_key().public_bytes_raw()
        enrol = Enrol(user="alice", password="password1", device="d", key=key, register=True)
        device = ClientConnection(
            EnrolWith(key, enrol), Attempt(Intent.FOREGROUND), lambda size: bytes([7]) * size
        )
        list(self.connection.receive_data(device.data_to_send()))


def test_nobody() -> None:
    strangers = Strangers[Somebody]()
    assert strangers.oldest() is None
    assert strangers.oldest_unheard() is None
    strangers.pop(Somebody())
    assert len(strangers) == 0


def test_the_oldest_and_the_oldest_without_a_hello() -> None:
    strangers = Strangers[Somebody]()
    heard, silent, last = Somebody(heard=True), Somebody(), Somebody()
    for somebody in (heard, silent, last):
        strangers.add(somebody)
    assert (strangers.oldest(), strangers.oldest_unheard()) == (heard, silent)
    strangers.pop(heard)
    assert heard not in strangers
    assert (strangers.oldest(), strangers.oldest_unheard()) == (silent, silent)
    strangers.pop(silent)
    assert (strangers.oldest(), strangers.oldest_unheard()) == (last, last)
    strangers.pop(last)
    assert (strangers.oldest(), strangers.oldest_unheard()) == (None, None)


@pytest.mark.parametrize("ends", [True, False])
def test_who_has_said_the_hello_since_is_no_longer_unheard(ends: bool) -> None:
    strangers = Strangers[Somebody]()
    first, second = Somebody(), Somebody()
    strangers.add(first)
    strangers.add(second)
    if ends:
        first.connection.receive_eof()
    else:
        first.say_hello()
    assert strangers.oldest_unheard() is second
    assert strangers.oldest() is first
    assert len(strangers) == 2
    second.say_hello()
    assert strangers.oldest_unheard() is None
    assert len(strangers) == 2
