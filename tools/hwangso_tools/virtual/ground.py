"""What a server's process sees of the virtual network: a `Ground` for its dispatcher.

One for each life of the process; the network and its machine outlive it.
"""

from collections import deque
from collections.abc import Sequence

import trio

from hwangso_client.doorbell import Doorbell
from hwangso_protocol.hello import Intent
from hwangso_server.limits import READ_BATCH, READ_BYTES
from hwangso_server.processor import Processor, Work
from hwangso_server.transport import Receiver
from hwangso_tools.virtual.network import Connection, VirtualNetwork


class VirtualCaller:
    """An accepted connection: a `Caller`."""

    __slots__ = ("_connection", "_ground", "_socket", "waited_s")

    def __init__(self, ground: "VirtualGround", connection: Connection) -> None:
        self._ground = ground
        self._connection = connection
        self._socket = connection.server
        now_s = trio.current_time()
        self.waited_s = now_s - (connection.in_queue_at_s or now_s)

    def read(self) -> bytes | None:
        """What has come so far; `b""` if the peer has hung up, None if there is nothing yet."""
        if self._socket.received:
            return self._socket.take(READ_BYTES)
        return None if self._socket.end is None else b""

    def is_gone(self) -> bool:
        """Whether the peer has hung up: its FIN or RST has arrived."""
        return self._socket.end is not None

    def answer(self, data: bytes) -> None:
        """Send a last answer, and close."""
        if not self._socket.is_broken:
            self._socket.send(data)
        self._connection.close()

    def close(self) -> None:
        """Close without a word."""
        self._connection.close()

    def park(self) -> "ParkedConnection":
        """Have the ground watch the connection. Attach a receiver at once."""
        return ParkedConnection(self._ground, self._connection)


class ParkedConnection:
    """A connection that the ground watches: a `WatchedTransport`, which does what
    `hwangso_server.parking` does with real sockets."""

    __slots__ = ("_backlog", "_closing", "_connection", "_ground", "_receiver", "_socket", "listed")

    def __init__(self, ground: "VirtualGround", connection: Connection) -> None:
        self._ground = ground
        self._connection = connection
        self._socket = connection.server
        self._receiver: Receiver | None = None
        self._backlog = b""
        self._closing = False
        self.listed = False
        """Whether the ground has it on a list of those to be looked at."""
        self._socket.on_input = self._input
        self._socket.on_room = self._room

    @property
    def backlog_bytes(self) -> int:
        """Written, and not yet taken by the kernel."""
        return len(self._backlog)

    def attach(self, receiver: Receiver) -> None:
        """Tell who hears about this connection from now on."""
        self._receiver = receiver
        if self._socket.received or self._socket.end is not None:
            self._input()

    def write(self, data: bytes) -> None:
        """Send what the kernel takes now, keep the rest."""
        if self._socket.is_closed or not data:
            return
        if self._socket.is_broken:
            self.lost()
        else:
            self._backlog += data
            self._room()

    def close(self) -> None:
        """Close once the backlog is sent."""
        self._receiver = None
        self._closing = True
        if not self._backlog:
            self.abort()

    def abort(self) -> None:
        """Close now."""
        self._receiver = None
        self._backlog = b""
        self._connection.close()

    # For the ground

    @property
    def is_open(self) -> bool:
        """Whether there is still something to be done for it."""
        return not self._socket.is_closed

    @property
    def has_input(self) -> bool:
        """Whether there are bytes to read."""
        return bool(self._socket.received)

    @property
    def is_gone(self) -> bool:
        """Whether the peer has hung up; it may have said something before."""
        return self._socket.end is not None

    def read(self) -> None:
        """Give the receiver what has come, as far as one turn goes; or say that it is over."""
        if not self._socket.received:
            self.lost()
            return
        data = self._socket.take(READ_BYTES)
        if self._receiver is not None:
            self._receiver.data_received(data)

    def lost(self) -> None:
        """Close, and tell the receiver."""
        receiver = self._receiver
        self.abort()
        if receiver is not None:
            receiver.connection_lost()

    def _input(self) -> None:
        if not self.listed:
            self._ground.list(self)

    def _room(self) -> None:
        backlog = self._backlog
        if backlog and not self._socket.is_broken:
            self._backlog = backlog[self._socket.send(backlog) :]
            if self._closing and not self._backlog:
                self.abort()


class VirtualGround:
    """See the module's docstring. Opens its lanes when it is made."""

    def __init__(self, network: VirtualNetwork, lanes: Sequence[Intent | None]) -> None:
        self._network = network
        self._queues = {listener.intent: listener.queue for listener in network.listen(lanes)}
        self._speaking: deque[ParkedConnection] = deque()
        self._gone: deque[ParkedConnection] = deque()
        self._doorbell = Doorbell()
        network.on_caller = self._doorbell.ring

    @property
    def lanes(self) -> Sequence[Intent | None]:
        """Those that are open."""
        return tuple(self._queues)

    async def wait(self) -> None:
        """Until a lane has a caller, or a parked connection something to say, or its end."""
        await trio.lowlevel.checkpoint()
        while not (self._speaking or self._gone or any(self._queues.values())):
            await self._doorbell.wait()

    def has_person(self) -> bool:
        """Whether a lane that people come through has a caller."""
        return any(queue for lane, queue in self._queues.items() if lane is not Intent.BACKGROUND)

    def accept(self, lane: Intent | None) -> VirtualCaller | None:
        """The next caller of a lane; None if there is none."""
        queue = self._queues[lane]
        return VirtualCaller(self, queue.popleft()) if queue else None

    def serve(self, processor: Processor, until_s: float) -> bool:
        """Feed those that have something to say: each once, READ_BATCH at most, as long as the
        processor has not spent `until_s` in this turn. False if there were none."""
        speaking = self._speaking
        if not speaking:
            return False
        for _ in range(min(len(speaking), READ_BATCH)):
            parked = speaking.popleft()
            if not self._is_to_be_read(parked):
                continue
            if parked.is_gone:
                self.list(parked)
                continue
            parked.read()
            processor.charge(Work.SEGMENT)
            if parked.is_open and parked.has_input:
                self.list(parked)
            if processor.spent_s() >= until_s:
                break
        return True

    def clean_up(self, processor: Processor, until_s: float) -> None:
        """Read what those have said that have hung up, and close them, likewise."""
        gone = self._gone
        while gone and processor.spent_s() < until_s:
            parked = gone.popleft()
            if not self._is_to_be_read(parked):
                continue
            parked.read()
            processor.charge(Work.HANG_UP)
            if parked.is_open:
                self.list(parked)  # it had more to say before it hung up

    def close_lanes(self) -> None:
        """Accept nobody any more; who waits in a queue is reset."""
        self._queues.clear()
        self._network.close_lanes()

    # For parked connections

    def list(self, parked: ParkedConnection) -> None:
        """A parked connection is to be looked at: it has something to say, or its peer is gone."""
        parked.listed = True
        (self._gone if parked.is_gone else self._speaking).append(parked)
        self._doorbell.ring()

    @staticmethod
    def _is_to_be_read(parked: ParkedConnection) -> bool:
        """It has left its list; it may have been closed since it came there."""
        parked.listed = False
        return parked.is_open
