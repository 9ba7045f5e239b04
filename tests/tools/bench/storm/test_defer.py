import os
from contextlib import closing

import pytest
from tests.tools.bench.storm.scripted import (
    Admit,
    PutOff,
    Reply,
    Scripted,
    scripted,
    tickets,
)

from hwangso_client.address import ServerAddress
from hwangso_protocol.hello import Hello, Intent
from hwangso_tools.bench.lines import BenchFailed, Lines
from hwangso_tools.bench.storm.defer import defer_all, resumes


def lines_to(server: Scripted) -> Lines:
    return Lines(ServerAddress("127.0.0.1", server.port, server.port))


def test_every_device_is_deferred_once() -> None:
    with (
        scripted(lambda _hello, _number: PutOff(1_000)) as server,
        closing(lines_to(server)) as lines,
    ):
        assert defer_all(lines, resumes(tickets(100)), os.getpid()).elapsed_s > 0
        assert len(lines) == 0
    assert len(server.hellos) == len({hello.resume_ticket for hello in server.hellos}) == 100
    assert {hello.intent for hello in server.hellos} == {Intent.BACKGROUND}


def test_a_server_that_admits_one_is_not_measured() -> None:
    def most(_hello: Hello, number: int) -> Reply:
        return Admit() if number == 3 else PutOff(1_000)

    with (
        scripted(most) as server,
        closing(lines_to(server)) as lines,
        pytest.raises(BenchFailed, match="a device was not deferred: Answered"),
    ):
        defer_all(lines, resumes(tickets(5)), os.getpid())
