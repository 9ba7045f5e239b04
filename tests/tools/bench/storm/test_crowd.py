"""The crowd against a server that the test scripts, and against a real one."""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from random import Random

import pytest
from tests.tools.bench.storm.scripted import (
    FRESH,
    Admit,
    Bytes,
    Denial,
    PutOff,
    Refusal,
    Reply,
    Scripted,
    Silence,
    scripted,
    tickets,
)

from hwangso_protocol.hello import MAGIC, Hello, Intent
from hwangso_protocol.limits import UNAUTHENTICATED_DEFER_MAX_S
from hwangso_server.administration import RemoteAdministration
from hwangso_server.folder import DataFolder
from hwangso_tools.bench.fixture import Fixture
from hwangso_tools.bench.lines import READ_BYTES, BenchFailed
from hwangso_tools.bench.storm import crowd as module
from hwangso_tools.bench.storm.crowd import Crowd, ParentGone
from hwangso_tools.bench.storm.plan import Outcome, Patience, Start, Tally, at_once
from hwangso_tools.bench.storm.tickets import issue_tickets
from hwangso_tools.childserver import child_server

DEVICES = 50
QUICK = Patience(20.0, 0.01, 0.02)
"""Tries again soon, and waits longer for an answer than any test takes."""
WITHIN_S = 30.0


@contextmanager
def crowd_of(
    devices: int, server: Scripted, *, parent: int | None = None
) -> Iterator[tuple[Crowd, Callable[..., Outcome]]]:
    """A crowd, and its `connect` from now on with everybody at once."""
    crowd = Crowd(
        "127.0.0.1", server.port, Intent.BACKGROUND, tickets(devices), Random(1), parent=parent
    )

    def connect(
        patience: Patience = QUICK,
        *,
        until: float = WITHIN_S,
        in_flight_max: int | None = None,
        disobedient: frozenset[int] = frozenset(),
    ) -> Outcome:
        now_s = time.monotonic()
        return crowd.connect(
            now_s,
            [Start(number, 0.0) for number in range(devices)],
            patience,
            until_s=now_s + until,
            in_flight_max=in_flight_max,
            disobedient=disobedient,
        )

    with closing(crowd):
        yield crowd, connect


def by_device(server: Scripted) -> dict[bytes, list[Hello]]:
    found: dict[bytes, list[Hello]] = {}
    for hello in server.hellos:
        found.setdefault(hello.resume_ticket, []).append(hello)
    return found


def test_all_connect_at_the_first_attempt() -> None:
    with (
        scripted(lambda _hello, _number: Admit()) as server,
        crowd_of(DEVICES, server) as (_, connect),
    ):
        outcome = connect()
    assert len(outcome.ready_s) == len(outcome.start_lateness_s) == DEVICES
    assert outcome.never_s == outcome.retry_lateness_s == []
    assert outcome.tally == Tally(attempts=DEVICES)
    assert server.proven == DEVICES
    assert {hello.intent for hello in server.hellos} == {Intent.BACKGROUND}
    assert {hello.attempt for hello in server.hellos} == {1}


def test_who_is_connected_is_left_out_until_it_is_cut() -> None:
    with (
        scripted(lambda _hello, _number: Admit()) as server,
        crowd_of(3, server) as (crowd, connect),
    ):
        connect()
        assert connect() == Outcome([], [], [], [], Tally())
        crowd.cut()
        assert len(connect().ready_s) == 3
    assert len(server.hellos) == 6
    assert {hello.resume_ticket for hello in server.hellos[3:]} == {FRESH}  # of the last Welcome


def test_a_deferral_is_obeyed() -> None:
    def once(hello: Hello, _number: int) -> Reply:
        return Admit() if hello.deferral_ticket else PutOff(200, b"slot of " + hello.resume_ticket)

    with scripted(once) as server, crowd_of(DEVICES, server) as (_, connect):
        outcome = connect()
    assert outcome.tally == Tally(attempts=2 * DEVICES, deferrals=DEVICES)
    assert len(outcome.retry_lateness_s) == DEVICES
    assert min(outcome.ready_s) >= 0.2
    assert min(outcome.retry_lateness_s) >= 0
    for ticket, (first, second) in by_device(server).items():
        assert (first.attempt, first.deferral_ticket) == (1, b"")
        assert (second.attempt, second.deferral_ticket) == (2, b"slot of " + ticket)


def test_an_answer_ends_the_wait_for_it() -> None:
    """The attempt's timeout, which comes before the slot, is no reason to try again."""

    def once(hello: Hello, _number: int) -> Reply:
        return Admit() if hello.deferral_ticket else PutOff(400)

    with scripted(once) as server, crowd_of(1, server) as (_, connect):
        outcome = connect(Patience(0.2, 0.01, 0.02))
    assert min(outcome.ready_s) >= 0.4


def test_a_deferral_ticket_goes_along_until_there_is_a_session() -> None:
    replies: list[Reply] = [PutOff(10, b"a"), Bytes(), PutOff(10, b"b"), Admit(), Admit()]
    with (
        scripted(lambda _hello, number: replies[number - 1]) as server,
        crowd_of(1, server) as (crowd, connect),
    ):
        outcome = connect()
        crowd.cut()
        connect()
    assert outcome.tally == Tally(attempts=4, deferrals=2, broken=1)
    assert [hello.deferral_ticket for hello in server.hellos] == [b"", b"a", b"a", b"b", b""]
    assert [hello.attempt for hello in server.hellos] == [1, 2, 3, 4, 1]


def test_the_disobedient_go_on_with_their_backoff() -> None:
    """They are deferred for a minute, and come back at once, with no ticket to show."""
    tried: Counter[bytes] = Counter()

    def twice(hello: Hello, _number: int) -> Reply:
        tried[hello.resume_ticket] += 1
        return PutOff(60_000) if tried[hello.resume_ticket] <= 2 else Admit()

    with scripted(twice) as server, crowd_of(10, server) as (_, connect):
        outcome = connect(disobedient=frozenset(range(10)))
    assert outcome.tally == Tally(attempts=30, disobeyed=20)
    assert len(outcome.ready_s) == 10
    assert {hello.deferral_ticket for hello in server.hellos} == {b""}


def test_the_obedient_wait_while_the_disobedient_do_not() -> None:
    def for_long(hello: Hello, _number: int) -> Reply:
        return PutOff(60_000) if hello.attempt == 1 else Admit()

    with scripted(for_long) as server, crowd_of(10, server) as (_, connect):
        outcome = connect(until=0.5, disobedient=frozenset({1, 2, 3}))
    assert (len(outcome.ready_s), len(outcome.never_s)) == (3, 7)
    assert outcome.tally == Tally(attempts=13, deferrals=7, disobeyed=3)
    assert server.proven == 3


def test_a_deferral_without_proof_is_honoured_for_a_while_only() -> None:
    assert UNAUTHENTICATED_DEFER_MAX_S == 30
    with (
        scripted(lambda hello, _: PutOff(50, proven=False) if hello.attempt == 1 else Admit()) as s,
        crowd_of(2, s) as (_, connect),
    ):
        assert connect().tally == Tally(attempts=4, deferrals=2, unproven_deferrals=2)


def test_a_server_that_does_not_answer_in_time() -> None:
    with (
        scripted(lambda hello, _: Silence() if hello.attempt == 1 else Admit()) as server,
        crowd_of(5, server) as (_, connect),
    ):
        outcome = connect(Patience(0.3, 0.01, 0.02))
    assert outcome.tally == Tally(attempts=10, timeouts=5)
    assert min(outcome.ready_s) >= 0.3
    assert len(outcome.ready_s) == 5


@pytest.mark.parametrize("data", [b"", b"not an answer", b"A\xff"], ids=["eof", "junk", "cut off"])
def test_an_answer_that_is_none(data: bytes) -> None:
    with (
        scripted(lambda hello, _: Bytes(data) if hello.attempt == 1 else Admit()) as server,
        crowd_of(5, server) as (_, connect),
    ):
        assert connect().tally == Tally(attempts=10, broken=5)


def test_a_refusal_says_when_to_try_again() -> None:
    with (
        scripted(lambda hello, _: Refusal(300) if hello.attempt == 1 else Admit()) as server,
        crowd_of(2, server) as (_, connect),
    ):
        outcome = connect()
    assert outcome.tally == Tally(attempts=4, refusals=2)
    assert min(outcome.ready_s) >= 0.3


def test_an_answer_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_BYTES", 7)
    with scripted(lambda _hello, _number: Admit()) as server, crowd_of(1, server) as (_, connect):
        assert connect().tally == Tally(attempts=1)
    assert server.proven == 1


def test_a_denial_is_no_storm() -> None:
    with (
        scripted(lambda _hello, _number: Denial()) as server,
        crowd_of(1, server) as (_, connect),
        pytest.raises(BenchFailed, match=r"a resume was denied: .*device_revoked"),
    ):
        connect()


def test_a_session_that_is_lost_comes_back() -> None:
    """Device 1 is put off until device 0, whose session the server ends, has come again."""
    came_again: list[Hello] = []

    def ends_one(hello: Hello, _number: int) -> Reply:
        if hello.resume_ticket == b"device 1":
            return Admit() if came_again else PutOff(20)
        if hello.resume_ticket == FRESH:
            came_again.append(hello)
        return Admit(then_end=not came_again)

    with scripted(ends_one) as server, crowd_of(2, server) as (_, connect):
        outcome = connect()
    assert len(outcome.ready_s) == 2
    assert outcome.tally.lost == 1
    assert [hello.attempt for hello in came_again] == [1]


def test_a_session_that_is_lost_while_nobody_looks_comes_back_at_the_next_order() -> None:
    with (
        scripted(lambda _, number: Admit(then_end=number == 1)) as server,
        crowd_of(1, server) as (_, connect),
    ):
        connect()
        while not (outcome := connect()).ready_s:
            pass
    assert outcome.tally == Tally(attempts=1, lost=1)
    assert server.proven == 2


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with crowd_of(2, Scripted(port)) as (_, connect):
        outcome = connect(until=0.2)
    assert outcome.ready_s == []
    assert len(outcome.never_s) == 2
    assert outcome.tally.attempts == outcome.tally.broken >= 4


@contextmanager
def full_listener() -> Iterator[socket.socket]:
    """The kernel drops a SYN that has no room in its queue; the client sends it again after 1 s."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(2):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listener.getsockname())
        yield listener


def test_a_server_that_has_no_room_at_first() -> None:
    reading, writing = os.pipe()
    said: list[bytes] = []

    def hear() -> None:
        for _ in range(3):
            accepted, _ = listener.accept()
            with accepted:
                said.append(accepted.recv(READ_BYTES) if len(said) == 2 else b"")
        os.close(writing)

    with full_listener() as listener:
        server = Scripted(listener.getsockname()[1])
        hearing = threading.Timer(0.1, hear)
        with crowd_of(1, server, parent=reading) as (_, connect):
            hearing.start()
            with pytest.raises(ParentGone):
                connect()
        hearing.join()
    os.close(reading)
    assert said[2].startswith(MAGIC)


def test_a_server_that_goes_away_while_it_has_no_room() -> None:
    with full_listener() as listener:
        closing_it = threading.Timer(0.1, listener.close)
        with crowd_of(1, Scripted(listener.getsockname()[1])) as (_, connect):
            closing_it.start()
            outcome = connect(until=2.0)
        closing_it.join()
    assert outcome.tally.timeouts == 0
    assert outcome.tally.attempts >= outcome.tally.broken >= 2


def test_no_more_than_so_many_in_flight() -> None:
    with (
        scripted(lambda _hello, _number: Admit()) as server,
        crowd_of(DEVICES, server) as (_, connect),
    ):
        assert len(connect(in_flight_max=4).ready_s) == DEVICES
    assert server.most_in_flight <= 4


def test_starts_wait_for_their_time() -> None:
    with scripted(lambda _hello, _number: Admit()) as server, crowd_of(3, server) as (crowd, _):
        now_s = time.monotonic()
        starts = [Start(2, 0.0), Start(0, 0.1), Start(1, 0.25)]
        outcome = crowd.connect(now_s, starts, QUICK, until_s=now_s + WITHIN_S)
    assert [hello.resume_ticket for hello in server.hellos] == [
        b"device 2",
        b"device 0",
        b"device 1",
    ]
    assert server.times_s[1] >= now_s + 0.1
    assert server.times_s[2] >= now_s + 0.25
    assert min(outcome.start_lateness_s) >= 0


def test_prepared_hellos_and_keys_are_used_once() -> None:
    def once(hello: Hello, _number: int) -> Reply:
        return Admit() if hello.deferral_ticket else PutOff(10)

    with scripted(once) as server, crowd_of(4, server) as (crowd, connect):
        crowd.prepare(range(4), spare_keys=2)
        connect()
        crowd.cut()
        connect()
    ephemeral = [hello.noise_message[:32] for hello in server.hellos]
    assert len(ephemeral) == len(set(ephemeral)) == 16


def test_the_end_of_the_parent_ends_a_storm() -> None:
    reading, writing = os.pipe()
    with (
        scripted(lambda _hello, _number: Silence()) as server,
        crowd_of(1, server, parent=reading) as (_, connect),
    ):
        os.close(writing)
        with pytest.raises(ParentGone):
            connect()
        os.close(reading)


def test_out_of_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with scripted(lambda _hello, _number: Admit()) as server, crowd_of(1, server) as (_, connect):
        monkeypatch.setattr(socket, "socket", no_more)
        with pytest.raises(BenchFailed, match="no more sockets: Too many open files"):
            connect()
        monkeypatch.undo()


async def test_a_real_server_takes_all_of_them_back(fixture: Fixture) -> None:
    held = issue_tickets(fixture, Random(1))
    async with child_server(["--data", "data"], cwd=fixture.folder.parent) as server:
        admin = RemoteAdministration(DataFolder(fixture.folder).admin_socket)
        port = server.address.port(Intent.BACKGROUND)
        crowd = Crowd("127.0.0.1", port, Intent.BACKGROUND, held, Random(1))
        everybody = at_once(range(len(held)), Random(2))
        with closing(crowd):
            for times in (1, 2, 3):
                crowd.cut()
                crowd.prepare(range(len(held)), spare_keys=1)
                now_s = time.monotonic()
                outcome = crowd.connect(now_s, everybody, QUICK, until_s=now_s + WITHIN_S)
                assert len(outcome.ready_s) == len(held)
                stats: Mapping[str, int | float] = {}
                while stats.get("session.resume.BG") != times * len(held):
                    stats = (await admin.stats()).figures  # until the server has read every Ready
            while stats["now.sessions"] != len(held):
                stats = (await admin.stats()).figures  # and has seen that the old ones are gone
