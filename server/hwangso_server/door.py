"""The door: a caller is accepted, its hello read, and most of a storm sent away, all in one go.

Nobody who is deferred here gets a session, a task, or a place in an epoll; a deferral costs a
fifth of a resume. A caller whose hello has not come in one piece is parked, and its session takes
the hello later.

Only who is parked, or admitted, needs room. At `connections_max` the oldest connection that has not
said a whole hello makes it; nobody else does, so a full server ends the handshakes that it began.
"""

from collections.abc import Mapping
from math import inf
from typing import Final

from hwangso_protocol.answer import Refuse, RefuseReason, encode_answer
from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.events import PeerFault
from hwangso_protocol.hello import Intent, parse_hello
from hwangso_protocol.server import ServerConnection
from hwangso_server.admission.capacity import FULL_RETRY_AFTER_MS
from hwangso_server.core import Core
from hwangso_server.counts import Count, name_of
from hwangso_server.ground import Caller, Ground
from hwangso_server.handshakes import Admitted, HandshakeQueues
from hwangso_server.limits import PATIENCE_S
from hwangso_server.processor import Processor, Work

_ACCEPTED: Final[Mapping[Intent | None, str]] = {
    None: name_of(Count.ACCEPTED, "single"),
    **{intent: name_of(Count.ACCEPTED, intent.tag) for intent in Intent},
}
_FULL = encode_answer(Refuse(RefuseReason.FULL, FULL_RETRY_AFTER_MS))


class Door:
    """See the module's docstring."""

    def __init__(
        self,
        core: Core,
        ground: Ground,
        processor: Processor,
        queues: HandshakeQueues,
        connections_max: int,
        *,
        peer_check: bool = True,
    ) -> None:
        self._core = core
        self._ground = ground
        self._processor = processor
        self._queues = queues
        self._connections_max = connections_max
        self._patience_s = PATIENCE_S if peer_check else inf

    def open(self, lane: Intent | None) -> bool:
        """Take one caller of a lane; False if there is none."""
        caller = self._ground.accept(lane)
        if caller is None:
            return False
        core = self._core
        core.counts.bump(_ACCEPTED[lane])
        self._processor.charge(Work.HELLO)
        data = caller.read()
        if data == b"" or (caller.waited_s > self._patience_s and caller.is_gone()):
            core.counts.add(Count.GONE, "hello")
            caller.close()
        else:
            self._hear(caller, lane, data or b"")
        return True

    def _hear(self, caller: Caller, lane: Intent | None, data: bytes) -> None:
        core = self._core
        try:
            parsed = parse_hello(data)
        except ProtocolError:
            parsed = None
        if parsed is None or parsed[1] != len(data):
            self._hear_at_length(caller, lane, data)
            return
        hello = parsed[0]
        verdict = core.desk.decide(hello, lane, core.clock.now_s(), caller.waited_s)
        if not isinstance(verdict, Admitted):
            caller.answer(encode_answer(verdict))
            self._processor.charge(Work.DEFER)
        elif self._has_room():
            core.submit(CallerHandshake(core, caller, lane, verdict))
        else:
            core.admission.caller_gone(
                verdict.intent,
                caller.waited_s,
                core.clock.now_s(),
                device_id=verdict.device_id,
                deferral_ticket=hello.deferral_ticket,
            )
            self._turn_away(caller)

    def _hear_at_length(self, caller: Caller, lane: Intent | None, data: bytes) -> None:
        """Not a whole hello and nothing else: let a connection say what is wrong with it, or wait
        for the rest."""
        core = self._core
        connection = ServerConnection(core.static_key, core.random_bytes)
        for event in connection.receive_data(data):
            if isinstance(event, PeerFault):
                core.count_fault(event.error)
            caller.answer(connection.data_to_send())
            return
        if not self._has_room():
            self._turn_away(caller)
            return
        transport = caller.park()
        if transport is not None:
            transport.attach(core.receive(transport, lane, connection))

    def _has_room(self) -> bool:
        core = self._core
        in_use = len(core.sessions) + len(self._queues)
        return in_use < self._connections_max or core.drop_oldest_unheard()

    def _turn_away(self, caller: Caller) -> None:
        self._core.counts.add(Count.REFUSED, RefuseReason.FULL.name.lower())
        caller.answer(_FULL)
        self._processor.charge(Work.DEFER)


class CallerHandshake:
    """A Handshake behind a caller that nothing watches."""

    __slots__ = ("_caller", "_core", "_lane", "admitted")

    def __init__(
        self,
        core: Core,
        caller: Caller,
        lane: Intent | None,
        admitted: Admitted,
    ) -> None:
        self._core = core
        self._caller = caller
        self._lane = lane
        self.admitted = admitted

    def is_gone(self) -> bool:
        """Ask the kernel."""
        return self._caller.is_gone()

    def begin(self) -> None:
        """From here on it is a session."""
        transport = self._caller.park()
        if transport is None:
            self._core.admission.handshake_failed()
            return
        connection = ServerConnection(self._core.static_key, self._core.random_bytes)
        connection.hello_parsed(self.admitted.hello)
        session = self._core.receive(transport, self._lane, connection)
        transport.attach(session)
        session.begin(self.admitted)
        session.touch()

    def give_up(self, reason: RefuseReason | None) -> None:
        """Close."""
        if reason is None:
            self._caller.close()
        else:
            self._caller.answer(encode_answer(Refuse(reason)))
