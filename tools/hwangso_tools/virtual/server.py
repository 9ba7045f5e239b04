"""The real server in virtual time: what `hwangso_server.assembly` makes, on a virtual machine.

Store, keys, network and processor outlive a life of its process; its core, its dispatcher and all
connections do not.
"""

import random
from typing import Final

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_client.nursery import open_plain_nursery
from hwangso_protocol.noise import KEY_BYTES
from hwangso_protocol.ticket import TICKET_KEY_BYTES, TicketKey, TicketRing
from hwangso_server.assembly import lanes_wanted, make_dispatcher, start_core
from hwangso_server.config import Config
from hwangso_server.core import Core
from hwangso_server.dispatcher import Dispatcher, Turn
from hwangso_server.environment import Clock, Environment
from hwangso_server.passwords import run_inline
from hwangso_server.store import MemoryStore, open_memory
from hwangso_tools.virtual.ground import VirtualGround
from hwangso_tools.virtual.network import VirtualNetwork
from hwangso_tools.virtual.processor import ModelledProcessor

EPOCH_MS: Final = 1_800_000_000_000
"""The time of day when virtual time begins: 2027-01-15, 08:00 UTC."""

CONNECTIONS_MAX: Final = 100_000
"""Where the configuration does not say; there are no file descriptors here."""

RESTART_S: Final = 5.0
"""How long a server is down that is started again, unless the caller says."""


class VirtualKeys:
    """The keys of a server without a data folder: its `ServerKeys`."""

    def __init__(self, rng: random.Random) -> None:
        self.static = X25519PrivateKey.from_private_bytes(rng.randbytes(KEY_BYTES))
        self.ticket_ring = TicketRing([TicketKey(1, rng.randbytes(TICKET_KEY_BYTES))])

    @property
    def public(self) -> bytes:
        """The static public key, 32 bytes."""
        return self.static.public_key().public_bytes_raw()


class VirtualServer:
    """A server that runs as long as `run` does, but for restarts. `core` is that of its present
    life."""

    core: Core
    dispatcher: Dispatcher
    store: MemoryStore

    def __init__(
        self,
        config: Config,
        network: VirtualNetwork,
        processor: ModelledProcessor,
        rng: random.Random,
    ) -> None:
        self.config = config
        self.network = network
        self.processor = processor
        self.keys = VirtualKeys(rng)
        self.environment = Environment(
            Clock(now_s=processor.now_s, wall_ms=self._wall_ms), rng, rng.randbytes
        )
        self._life = trio.CancelScope()
        self._down_s = 0.0
        self._up = trio.Event()
        network.leaves_at_s = processor.now_s

    def count(self, name: str) -> int:
        """One of the counts of its present life."""
        return self.core.counts.snapshot().get(name, 0)

    async def restart(self, down_s: float = RESTART_S) -> None:
        """Its process dies: all connections are reset, and what it had in memory is lost. Returns
        when it has been down for so long and listens again."""
        self._up = trio.Event()
        self._down_s = down_s
        self.network.reset_all()
        self._life.cancel()
        await self._up.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Live, and live again after each restart, until cancelled."""
        async with open_memory(on_batch_end=self._flush) as self.store:
            while True:
                with trio.CancelScope() as self._life:
                    async with open_plain_nursery() as nursery:
                        await self._start(nursery)
                        task_status.started()
                        task_status = trio.TASK_STATUS_IGNORED
                        self._up.set()
                        await trio.sleep_forever()
                await trio.sleep(self._down_s)

    async def _start(self, nursery: trio.Nursery) -> None:
        connections_max = self.config.connections_max or CONNECTIONS_MAX
        self.core = await start_core(
            nursery,
            self.config,
            store=self.store,
            keys=self.keys,
            environment=self.environment,
            connections_max=connections_max,
            run_sync=run_inline,
        )
        self.dispatcher = make_dispatcher(
            self.core,
            VirtualGround(self.network, lanes_wanted(self.config)),
            self.processor,
            connections_max=connections_max,
            turn=Turn.of_modelled(self.processor.capacity_per_s),
        )
        nursery.start_soon(self.dispatcher.run)

    def _flush(self) -> None:
        self.core.flush_touched()

    def _wall_ms(self) -> int:
        return EPOCH_MS + int(self.processor.now_s() * 1000)
