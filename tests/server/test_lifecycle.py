"""Whatever phones do, and at whatever step they are cut off: the server's books are right.

Hypothesis moves a few phones of two users through all steps in any order, with lost connections,
refusals by capacity, slow stores, blocked networks and passing time between any two of them.
"""

from collections import Counter, deque
from contextlib import ExitStack
from enum import Enum, auto

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.harness import Identity, Phone, Server, running_server
from trio.testing import MockClock

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Intent, Kind
from hwangso_protocol.messages import Bye, ByeReason, Message, Ping, Ready, RevokeDevice, Send, Sync
from hwangso_protocol.states import State
from hwangso_server.admission import Arrival, CapacityAdmission, Decision
from hwangso_server.handshakes import Handshake

HANDSHAKES_MAX = 3
SESSIONS_MAX = 5
EVERYTHING_IS_OVER_S = 300
"""Longer than every timeout after another."""


class Books(CapacityAdmission):
    """Fails at once where the contract of admission is broken."""

    def decide(self, arrival: Arrival, now_s: float) -> Decision:
        decision = super().decide(arrival, now_s)
        self._check()
        return decision

    def caller_gone(
        self,
        intent: Intent,
        waited_s: float,
        now_s: float,
        *,
        device_id: int | None = None,
        deferral_ticket: bytes = b"",
    ) -> None:
        super().caller_gone(
            intent, waited_s, now_s, device_id=device_id, deferral_ticket=deferral_ticket
        )
        self._check()

    def handshake_failed(self) -> None:
        super().handshake_failed()
        self._check()

    def session_started(self) -> None:
        super().session_started()
        self._check()

    def session_ended(self) -> None:
        super().session_ended()
        self._check()

    def _check(self) -> None:
        assert 0 <= self.handshakes <= HANDSHAKES_MAX
        assert self.sessions >= 0
        assert self.handshakes + self.sessions <= SESSIONS_MAX


class Step(Enum):
    """One thing that a phone, the network, the server's surroundings or a thief do."""

    ENROL = auto()
    LOGIN = auto()
    RESUME = auto()
    HALF_A_HELLO = auto()
    REPLAY = auto()
    PROVE = auto()
    PROVE_AND_BYE = auto()
    PING = auto()
    SEND = auto()
    SYNC = auto()
    REVOKE = auto()
    BYE = auto()
    JUNK = auto()
    LOSE = auto()
    KILL = auto()
    BLOCK_NETWORK = auto()
    CLEAR_NETWORK = auto()
    SLOW_STORE = auto()
    FAST_STORE = auto()
    SETTLE = auto()
    WAIT = auto()
    TURN = auto()


KINDS = {Step.ENROL: Kind.ENROL, Step.LOGIN: Kind.LOGIN, Step.RESUME: Kind.RESUME}
SLOW_METHODS = ("page", "device_by_key", "find_user", "add_device", "devices")
WAITS_S = (0.1, 1.0, 6.0, 11.0, 61.0, 160.0)

Steps = list[tuple[Step, int]]
STEPS = st.lists(st.tuples(st.sampled_from(Step), st.integers(0, 11)), max_size=40)
"""The number says which phone, device or wait."""


class Play:
    """Carries out steps, and compares the books with what is there after each. Handshakes begin at
    once, or wait for their TURN as they do for a dispatcher's."""

    def __init__(
        self, server: Server, books: Books, identities: list[Identity], *, in_turns: bool
    ) -> None:
        self._server = server
        self._books = books
        self._identities = identities
        self._slow = ExitStack()
        self._sent = 0
        self._waiting: deque[Handshake] = deque()
        if in_turns:
            server.core.submit = self._waiting.append

    async def step(self, step: Step, number: int) -> None:
        match step:
            case Step.SLOW_STORE:
                for method in SLOW_METHODS:
                    self._slow.enter_context(self._server.held(method))
            case Step.FAST_STORE:
                self._slow.close()
            case Step.SETTLE:
                await self._server.settle()
            case Step.WAIT:
                await trio.sleep(WAITS_S[number % len(WAITS_S)])
            case Step.TURN:
                self._turn(number)
            case Step.ENROL | Step.LOGIN | Step.RESUME:
                self._server.connect(KINDS[step], self._identities[number % 4])
            case _:
                phones = self._server.phones
                self._happen_to(phones[-1 - number % len(phones)], step, number)
        self._check()

    def _turn(self, number: int) -> None:
        """The next one is looked at, and begun; or not looked at, or refused."""
        if not self._waiting:
            return
        handshake, books = self._waiting.popleft(), self._books
        intent = handshake.admitted.intent
        if number % 3 == 0:
            books.caller_gone(intent, 0.0, 0.0)
            handshake.give_up(RefuseReason.SHUTTING_DOWN)
        elif number % 3 == 1 and handshake.is_gone():
            books.caller_gone(intent, 0.0, 0.0)
            handshake.give_up(None)
        else:
            books.handshake_started(intent, 0.0, 0.0)
            handshake.begin()
        self._server.core.flush_touched()

    def _happen_to(self, phone: Phone, step: Step, number: int) -> None:
        match step:
            case Step.HALF_A_HELLO:
                self._server.replay(phone.hello[: len(phone.hello) // 2], phone.identity)
            case Step.REPLAY:
                self._server.replay(phone.hello, phone.identity)
            case Step.KILL:
                phone.session.end(ByeReason.OTHER)
            case Step.LOSE:
                phone.lose()
            case Step.JUNK:
                phone.feed(b"\x00\x20" + bytes(32))
            case Step.BLOCK_NETWORK:
                phone.transport.room = number
            case Step.CLEAR_NETWORK:
                phone.transport.make_room()
            case _:
                self._talk(phone, step, number)

    def _talk(self, phone: Phone, step: Step, number: int) -> None:
        if phone.connection.state is not State.LIVE:
            phone.flush()  # the Enrol, if it waits
            return
        self._sent += 1
        messages: dict[Step, tuple[Message, ...]] = {
            Step.PROVE: (Ready(),),
            Step.PROVE_AND_BYE: (Ready(), Bye()),
            Step.PING: (Ping(),),
            Step.SEND: (Send(self._sent.to_bytes(16, "big"), "alice", "hi"),),
            Step.SYNC: (Sync(0),),
            Step.REVOKE: (RevokeDevice(self._identities[number % 4].device),),
            Step.BYE: (Bye(),),
        }
        phone.say(*messages[step])

    async def end(self, *, lose_all: bool) -> None:
        """Everybody goes, or only time does; then nothing is left."""
        self._slow.close()
        while self._waiting:
            self._turn(number=2)
        if lose_all:
            for phone in self._server.phones:
                phone.lose()
        await self._server.settle()
        self._check()
        await trio.sleep(EVERYTHING_IS_OVER_S)
        self._check()
        core = self._server.core
        assert not core.sessions
        assert (self._books.handshakes, self._books.sessions) == (0, 0)
        assert len(core.presence) == 0
        assert list(core.presence) == []
        assert len(core.deadlines) == 0
        assert core.touched == []
        assert not any(phone.transport.is_open for phone in self._server.phones)
        with trio.fail_after(1):
            await core.inboxes.settled()

    def _check(self) -> None:
        core, books = self._server.core, self._books
        online = [session for session in core.sessions if session.online]
        shaking_hands = [s for s in core.sessions if s._admitted and not s.online]
        handshakes = len(shaking_hands) + len(self._waiting)
        assert (books.handshakes, books.sessions) == (handshakes, len(online))
        assert len(core.presence) == len(online)
        assert set(core.presence) == set(online)
        devices = Counter(session.device_id for session in online)
        assert all(sessions == 1 for sessions in devices.values())
        for phone in self._server.phones:
            assert phone.transport.is_open or phone.session not in core.sessions
            assert not phone.session.online or phone.session.is_live


@given(steps=STEPS, lose_all=st.booleans(), in_turns=st.booleans())
@settings(max_examples=80)
def test_the_books_are_right(steps: Steps, lose_all: bool, in_turns: bool) -> None:
    async def play() -> None:
        books = Books(handshakes_max=HANDSHAKES_MAX, sessions_max=SESSIONS_MAX)
        async with running_server(admission=books) as server:
            await server.add_user("alice", "bob")
            identities = []
            for user in ("alice", "alice", "bob", "bob"):
                phone = await server.enrol(user)
                identities.append(phone.identity)
            for phone in server.phones[:2]:
                phone.lose()
            playing = Play(server, books, identities, in_turns=in_turns)
            for step, number in steps:
                await playing.step(step, number)
            await playing.end(lose_all=lose_all)

    trio.run(play, clock=MockClock(autojump_threshold=0))
