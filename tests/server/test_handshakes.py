"""Who waits for a handshake, and in which order they are taken out."""

from collections import deque
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hwangso_protocol.answer import RefuseReason
from hwangso_protocol.hello import Hello, Intent, Kind
from hwangso_protocol.ticket import ResumeTicket
from hwangso_server.handshakes import Admitted, HandshakeQueues

INTENTS = st.sampled_from(Intent)
HELLOS = {
    kind: Hello(Intent.FOREGROUND, kind, 1, b"", b"", b"", b"")
    for kind in (Kind.LOGIN, Kind.RESUME)
}


def admitted(intent: Intent) -> Admitted:
    return Admitted(HELLOS[Kind.LOGIN], None, intent, 0.0)


@dataclass(eq=False)
class Waiting:
    """A Handshake that nothing comes of."""

    admitted: Admitted

    def is_gone(self) -> bool:
        return False

    def begin(self) -> None:
        raise AssertionError("only the dispatcher begins")

    def give_up(self, reason: RefuseReason | None) -> None:
        raise AssertionError("only the dispatcher gives up")


def waiting(intent: Intent) -> Waiting:
    return Waiting(admitted(intent))


def test_who_it_is_is_known_of_a_resume_only() -> None:
    ticket = ResumeTicket(7, "alice", 3, 0, 1, bytes(32))
    resume = Admitted(HELLOS[Kind.RESUME], ticket, Intent.BACKGROUND, 1.5)
    login = Admitted(HELLOS[Kind.LOGIN], None, Intent.BACKGROUND, 1.5)
    assert (resume.device_id, resume.kind) == (3, Kind.RESUME)
    assert (login.device_id, login.kind) == (None, Kind.LOGIN)


def test_each_is_served_as_admission_says_not_as_it_claims() -> None:
    queues = HandshakeQueues()
    liar = waiting(Intent.BACKGROUND)
    assert liar.admitted.hello.intent is Intent.FOREGROUND
    queues.submit(liar)
    assert (queues.has(Intent.FOREGROUND), queues.has(Intent.BACKGROUND)) == (False, True)
    assert queues.next(Intent.FOREGROUND) is None
    assert queues.next(Intent.BACKGROUND) is liar


class Queues(RuleBasedStateMachine):
    """Against two plain queues."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = HandshakeQueues()
        self.model: dict[Intent, deque[Waiting]] = {intent: deque() for intent in Intent}

    @rule(intent=INTENTS)
    def submit(self, intent: Intent) -> None:
        handshake = waiting(intent)
        self.queues.submit(handshake)
        self.model[intent].append(handshake)

    @rule(intent=INTENTS)
    def oldest(self, intent: Intent) -> None:
        expected = self.model[intent].popleft() if self.model[intent] else None
        assert self.queues.next(intent) is expected

    @rule(intent=INTENTS)
    def newest(self, intent: Intent) -> None:
        expected = self.model[intent].pop() if self.model[intent] else None
        assert self.queues.next(intent, newest_first=True) is expected

    @rule()
    def drain(self) -> None:
        drained = self.queues.drain()
        assert set(drained) == {one for queue in self.model.values() for one in queue}
        assert len(drained) == len(set(drained))
        for queue in self.model.values():
            queue.clear()

    @invariant()
    def sizes(self) -> None:
        assert len(self.queues) == sum(map(len, self.model.values()))
        for intent in Intent:
            assert self.queues.has(intent) == bool(self.model[intent])


TestQueues = Queues.TestCase
