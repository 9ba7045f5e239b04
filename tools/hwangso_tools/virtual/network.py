"""The virtual network: the phones' links, and the kernel of the server's machine.

    network = VirtualNetwork(rng=random.Random(1))
    nursery.start_soon(network.run)
    network.listen([Intent.FOREGROUND, Intent.BACKGROUND])
    stream = await network.connect(link, Intent.BACKGROUND)

The machine outlives the server's process: with nobody listening a SYN is answered with RST, so a
phone's connect is refused. A listening lane is what Linux makes of one with TCP_DEFER_ACCEPT: a
connection comes into its accept queue with its first bytes (or its FIN, or without a word after
DEFER_ACCEPT_S). Where the queue is full, SYNs and first bytes are dropped, and sent again; who
closes while it waits there stays in the queue.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

import trio

from hwangso_protocol.hello import Intent
from hwangso_server.limits import HELLO_TIMEOUT_S, LISTEN_BACKLOG
from hwangso_tools.virtual.deliveries import TICK_S, Deliveries
from hwangso_tools.virtual.link import Link, LinkProfile
from hwangso_tools.virtual.stream import VirtualStream
from hwangso_tools.virtual.tcp import Socket, Wire
from hwangso_tools.virtual.trace import Direction, Packet, Trace

DEFER_ACCEPT_S: Final = HELLO_TIMEOUT_S
"""What the real lanes set TCP_DEFER_ACCEPT to."""


class Connection:
    """A connection, from its SYN on: `phone` and `server` are its two ends."""

    __slots__ = ("_is_over", "_lane", "_listener", "_network", "in_queue_at_s", "phone", "server")

    def __init__(self, network: "VirtualNetwork", number: int, link: Link, lane: Intent) -> None:
        self._network = network
        self._lane = lane
        self._listener: Listener | None = None
        self._is_over = False
        self.in_queue_at_s: float | None = None
        """When it came into the accept queue; None before."""
        phone = self.phone = Socket(trio.current_time)
        server = self.server = Socket(network.leaves_at_s)
        parts = link, network.deliveries, network.trace
        to_server = Wire(number, Direction.TO_SERVER, *parts, self._at_server, phone.gave_up)
        to_phone = Wire(number, Direction.TO_PHONE, *parts, self._at_phone, server.gave_up)
        phone.join(to_server, server)
        server.join(to_phone, phone)

    @property
    def is_silent(self) -> bool:
        """Whether its first bytes may still come."""
        return self.in_queue_at_s is None and not self._is_over

    def close(self) -> None:
        """The server closes its end."""
        self.server.close()
        self._network.closed(self)

    def enter_silently(self) -> None:
        """Nothing was sent for DEFER_ACCEPT_S: into the queue all the same, if there is room."""
        listener = self._listener
        if listener is not None and listener.is_open and not listener.is_full:
            self._enter(listener)

    def _at_server(self, packet: Packet, data: bytes) -> bool:
        if self.in_queue_at_s is not None:
            self.server.arrived(packet, data)
        elif packet is Packet.RST:
            self._is_over = True
        elif packet is Packet.SYN:
            return self._greet()
        elif self._listener is None or not self._listener.is_open:
            self._refuse()
        elif self._listener.is_full:
            return False
        else:
            self.server.arrived(packet, data)
            self._enter(self._listener)
        return True

    def _greet(self) -> bool:
        listener = self._network.listener(self._lane)
        if listener is None:
            self._refuse()
        elif listener.is_full:
            return False
        else:
            self._listener = listener
            self._network.watch_silence(self)
            self.server.emit(Packet.SYN_ACK)
        return True

    def _refuse(self) -> None:
        self._is_over = True
        self.server.emit(Packet.RST)

    def _enter(self, listener: "Listener") -> None:
        self.in_queue_at_s = trio.current_time()
        self._network.came(self)
        listener.queue.append(self)
        self._network.on_caller()

    def _at_phone(self, packet: Packet, data: bytes) -> bool:
        self.phone.arrived(packet, data)
        return True


class Listener:
    """A lane's listening socket."""

    def __init__(self, intent: Intent | None, backlog: int) -> None:
        self._backlog = backlog
        self.intent = intent
        self.is_open = True
        self.queue: deque[Connection] = deque()

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self.queue) >= self._backlog


class VirtualNetwork:
    """See the module's docstring. `rng` draws jitter and loss; packets arrive at multiples of
    `tick_s`; `backlog` is how many connections a lane's accept queue holds."""

    def __init__(
        self,
        *,
        rng: random.Random,
        trace: Trace | None = None,
        tick_s: float = TICK_S,
        backlog: int = LISTEN_BACKLOG,
    ) -> None:
        self.deliveries = Deliveries(tick_s=tick_s)
        self.trace = trace or Trace()
        self.leaves_at_s: Callable[[], float] = trio.current_time
        """When what the server sends now leaves its machine: as soon as the work for it is done."""
        self.on_caller: Callable[[], None] = lambda: None
        """Called when a connection has come into an accept queue."""
        self._rng = rng
        self._backlog = backlog
        self._numbers = count(1)
        self._listeners: dict[Intent, Listener] = {}
        # Dicts as ordered sets: the same run gives the same order.
        self._open: dict[Connection, None] = {}
        self._silent: deque[tuple[float, Connection]] = deque()

    async def run(self) -> None:
        """Deliver, until cancelled."""
        await self.deliveries.run()

    # For phones

    def link(self, profile: LinkProfile) -> Link:
        """A new link to the server."""
        return Link(profile, self._rng)

    async def connect(self, link: Link, lane: Intent) -> VirtualStream:
        """A connection to a lane. Raises OSError if it is refused, or nothing answers for long."""
        connection = Connection(self, next(self._numbers), link, lane)
        stream = VirtualStream(connection.phone)
        await stream.connect()
        return stream

    # For the server

    @property
    def open_connections(self) -> int:
        """Those that the server has not closed, with those in its accept queues."""
        return len(self._open)

    def listen(self, lanes: Sequence[Intent | None]) -> Sequence[Listener]:
        """Open lanes; None alone is the one of single-port mode, for both intents."""
        listeners = [Listener(intent, self._backlog) for intent in lanes]
        for listener in listeners:
            for intent in Intent if listener.intent is None else [listener.intent]:
                self._listeners[intent] = listener
        return listeners

    def close_lanes(self) -> None:
        """Listen no more. Who waits in a queue is told with RST."""
        for listener in self._listeners.values():
            listener.is_open = False
            for connection in listener.queue:
                connection.server.reset()
                self.closed(connection)
        self._listeners.clear()

    def reset_all(self) -> None:
        """The server's process dies: lanes and connections go, and the peers are told with RST."""
        self.close_lanes()
        for connection in self._open:
            connection.server.reset()
        self._open.clear()

    # For connections

    def listener(self, lane: Intent) -> Listener | None:
        """Who listens on a lane."""
        return self._listeners.get(lane)

    def came(self, connection: Connection) -> None:
        """A connection is the server's to close from now on."""
        self._open[connection] = None

    def closed(self, connection: Connection) -> None:
        """The server has closed its end."""
        self._open.pop(connection, None)

    def watch_silence(self, connection: Connection) -> None:
        """See that it comes into the queue after DEFER_ACCEPT_S. One timer serves all."""
        self._silent.append((trio.current_time() + DEFER_ACCEPT_S, connection))
        if len(self._silent) == 1:
            self._wait_for_silent()

    def _wait_for_silent(self) -> None:
        deadline_s, connection = self._silent[0]
        self.deliveries.at(deadline_s, partial(self._silence_over, connection))

    def _silence_over(self, connection: Connection) -> None:
        silent = self._silent
        if connection.is_silent:
            connection.enter_silently()
            silent.popleft()
        while silent and not silent[0][1].is_silent:
            silent.popleft()
        if silent:
            self._wait_for_silent()


class PhoneNetwork:
    """The network as one phone sees it: a `hwangso_client.network.Network`."""

    def __init__(self, network: VirtualNetwork, link: Link) -> None:
        self._network = network
        self.link = link

    async def connect(self, lane: Intent) -> trio.abc.Stream:
        """A stream to that lane. Raises OSError."""
        return await self._network.connect(self.link, lane)
