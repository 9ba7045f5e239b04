"""One attempt, against scripted streams."""

from collections.abc import Callable

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from trio.testing import MockClock

from hwangso_client.attempt import (
    ABANDONED,
    ENROL_TIMEOUT_S,
    Answer,
    AttemptTask,
    Denied,
    Failed,
    Welcomed,
)
from hwangso_client.events import Outcome
from hwangso_protocol.answer import DeferReason
from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith
from hwangso_protocol.errors import Fault
from hwangso_protocol.events import Deferred
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import (
    ByeReason,
    Enrol,
    Error,
    ErrorCode,
    Ping,
    Policy,
    Welcome,
)
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.states import State

STATIC = X25519PrivateKey.from_private_bytes(bytes(range(32)))
WELCOME = Welcome("alice", 1, b"ticket", bytes(32), 1_000, 0, 0, Policy(60_000, 1_000, 60_000))


def make_connection() -> ClientConnection:
    enrol = Enrol("alice", "secret", "phone", bytes(32))
    server_key = STATIC.public_key().public_bytes_raw()
    return ClientConnection(
        EnrolWith(server_key, enrol), Attempt(Intent.BACKGROUND), lambda size: bytes([7]) * size
    )


Step = Callable[[ServerConnection], None]


class Scripted:
    """A network whose server reads, then does the next step, each time bytes come."""

    def __init__(self, *steps: Step, connect_s: float = 0.0) -> None:
        self.steps = list(steps)
        self.connect_s = connect_s
        self.far: trio.abc.Stream | None = None
        self.connected = trio.Event()
        self.error: OSError | None = None
        self.step_s = 0.0

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        await trio.sleep(self.connect_s)
        if self.error is not None:
            raise self.error
        near, self.far = trio.testing.memory_stream_pair()
        self.server = ServerConnection(STATIC, lambda size: bytes([9]) * size)
        self.connected.set()
        return near

    async def serve(self) -> None:
        await self.connected.wait()
        assert self.far is not None
        for step in self.steps:
            data = bytes(await self.far.receive_some())
            self.server.receive_data(data)
            await trio.sleep(self.step_s)
            step(self.server)
            # A byte at a time: an answer may arrive in any pieces.
            for byte in self.server.data_to_send():
                await self.far.send_all(bytes([byte]))
                await trio.testing.wait_all_tasks_blocked()
            if self.server.state is State.CLOSED:
                await self.far.aclose()


async def run(network: Scripted) -> Answer:
    answer: Answer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.serve)
        answer = await AttemptTask().run(
            network, Intent.BACKGROUND, make_connection, connect_timeout_s=3, answer_timeout_s=2
        )
        nursery.cancel_scope.cancel()
    return answer


async def assert_closed(network: Scripted) -> None:
    assert network.far is not None
    with trio.fail_after(1):
        async for _ in network.far:
            pass


def accept(server: ServerConnection) -> None:
    server.read_first_message()
    server.accept(None)


def welcome(server: ServerConnection) -> None:
    server.welcome_enrolled(WELCOME)


async def test_a_welcome_in_any_pieces(autojump_clock: MockClock) -> None:
    network = Scripted(accept, welcome)
    answer = await run(network)
    assert isinstance(answer, Welcomed)
    assert answer.welcome == WELCOME
    assert answer.rest == []
    assert answer.connection.state is State.LIVE
    await answer.stream.send_all(b"open")


async def test_events_behind_the_welcome_are_not_lost(autojump_clock: MockClock) -> None:
    class OneGo(Scripted):
        async def serve(self) -> None:
            await self.connected.wait()
            assert self.far is not None
            self.server.receive_data(bytes(await self.far.receive_some()))
            accept(self.server)
            await self.far.send_all(self.server.data_to_send())
            self.server.receive_data(bytes(await self.far.receive_some()))
            welcome(self.server)
            self.server.send(Ping(5))
            await self.far.send_all(self.server.data_to_send())

    answer = await run(OneGo())
    assert isinstance(answer, Welcomed)
    (event,) = answer.rest
    assert event.message == Ping(5)  # type: ignore[union-attr]  # another event fails just as well


async def test_an_error_after_the_password(autojump_clock: MockClock) -> None:
    def fail(server: ServerConnection) -> None:
        server.fail_enrolment(Error(ErrorCode.ENROL_REFUSED))

    network = Scripted(accept, fail)
    assert await run(network) == Denied(Error(ErrorCode.ENROL_REFUSED))
    await assert_closed(network)


async def test_a_bye_instead_of_an_answer(autojump_clock: MockClock) -> None:
    network = Scripted(accept, lambda server: server.close(ByeReason.SHUTTING_DOWN))
    assert await run(network) == Failed(Outcome.LOST, "bye: shutting_down")


async def test_no_connection(autojump_clock: MockClock) -> None:
    network = Scripted()
    network.error = ConnectionRefusedError(111, "Connection refused")
    assert await run(network) == Failed(Outcome.CONNECT_FAILED, "Connection refused")
    network.error = OSError("all attempts to connect failed")
    assert await run(network) == Failed(Outcome.CONNECT_FAILED, "all attempts to connect failed")


async def test_no_connection_in_time(autojump_clock: MockClock) -> None:
    assert await run(Scripted(connect_s=4)) == Failed(
        Outcome.CONNECT_TIMEOUT, "no connection within 3 s"
    )


async def test_no_answer_in_time(autojump_clock: MockClock) -> None:
    network = Scripted()
    start = trio.current_time()
    answer = await run(network)
    assert answer == Failed(Outcome.ANSWER_TIMEOUT, "no answer within 2 s")
    assert trio.current_time() == start + 2


@pytest.mark.parametrize(("step_s", "welcomed"), [(1.9, True), (2.1, False)])
async def test_the_wait_for_an_answer_is_the_whole_answers(
    autojump_clock: MockClock, step_s: float, welcomed: bool
) -> None:
    network = Scripted(accept, welcome)
    network.step_s = step_s
    assert isinstance(await run(network), Welcomed) is welcomed


async def test_a_password_takes_its_time_but_not_for_ever(autojump_clock: MockClock) -> None:
    network = Scripted(accept)
    start = trio.current_time()
    answer = await run(network)
    assert isinstance(answer, Failed)
    assert answer.outcome is Outcome.ANSWER_TIMEOUT
    assert ENROL_TIMEOUT_S <= trio.current_time() - start <= ENROL_TIMEOUT_S + 1


async def test_garbage_is_a_fault(autojump_clock: MockClock) -> None:
    class Garbage(Scripted):
        async def serve(self) -> None:
            await self.connected.wait()
            assert self.far is not None
            await self.far.send_all(b"HTTP/1.1 400 Bad Request\r\n")

    answer = await run(Garbage())
    assert isinstance(answer, Failed)
    assert (answer.outcome, answer.fault) == (Outcome.FAULT, Fault.BAD_ANSWER)


async def test_a_connection_that_breaks_is_lost(autojump_clock: MockClock) -> None:
    class Broken(Scripted):
        async def connect(self, lane: Intent) -> trio.abc.Stream:
            stream = await super().connect(lane)
            assert self.far is not None
            await self.far.aclose()
            return stream

    answer = await run(Broken())
    assert isinstance(answer, Failed)
    assert answer.outcome is Outcome.LOST


class SlowToClose(trio.abc.Stream):
    """A stream that takes a second to close."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        try:
            await trio.sleep(1)
        finally:
            self.closed = True


async def test_an_attempt_given_up_while_it_closes_gives_its_answer(
    autojump_clock: MockClock,
) -> None:
    """A slot is worth knowing: the user who opened the app now may leave it."""

    class Slow(Scripted):
        async def connect(self, lane: Intent) -> trio.abc.Stream:
            self.slow = SlowToClose(await super().connect(lane))
            return self.slow

    network = Slow(lambda server: server.defer(5_000, DeferReason.BUSY, b"slot"))
    task = AttemptTask()
    answers: list[Answer] = []

    async def attempt() -> None:
        answers.append(
            await task.run(
                network, Intent.BACKGROUND, make_connection, connect_timeout_s=3, answer_timeout_s=2
            )
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.serve)
        nursery.start_soon(attempt)
        await trio.sleep(0.5)
        assert answers == []
        task.give_up()
    assert trio.current_time() == 0.5
    assert answers == [Deferred(5, DeferReason.BUSY, b"slot", authentic=False)]
    assert network.slow.closed


async def test_a_cancelled_attempt_leaves_no_stream(autojump_clock: MockClock) -> None:
    network = Scripted()
    with trio.move_on_after(1):
        await run(network)
    await assert_closed(network)


@pytest.mark.parametrize("because", [ABANDONED, Failed(Outcome.LOST, "no radio")])
@pytest.mark.parametrize("connect_s", [0.0, 2.0])
async def test_an_attempt_given_up_says_why(
    autojump_clock: MockClock, because: Failed, connect_s: float
) -> None:
    network, task = Scripted(connect_s=connect_s), AttemptTask()

    async def give_up() -> None:
        await trio.sleep(1)
        task.give_up(because)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        answer = await task.run(
            network, Intent.BACKGROUND, make_connection, connect_timeout_s=3, answer_timeout_s=2
        )
    assert answer is because
    assert trio.current_time() == 1
    if network.far is not None:
        await assert_closed(network)
