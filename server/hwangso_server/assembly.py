"""What a server is made of, from its configuration: the same on real sockets (`run`) and in virtual
time, so that neither can drift from the other.

    core = await start_core(nursery, config, store=store, ..., connections_max=10_000)
    dispatcher = make_dispatcher(core, ground, RealProcessor(), connections_max=10_000)
    nursery.start_soon(dispatcher.run)

Who calls brings what differs: store, keys, clock and chance, the ground with one lane for each of
`lanes_wanted`, and the processor.
"""

from collections.abc import Sequence

import trio

from hwangso_protocol.hello import Intent
from hwangso_server.admission.mechanism import Mechanism
from hwangso_server.config import Config, Control
from hwangso_server.control import make_admission
from hwangso_server.core import Core, ServerKeys
from hwangso_server.dispatcher import Dispatcher, Order, Turn
from hwangso_server.environment import Environment
from hwangso_server.ground import Ground
from hwangso_server.passwords import Passwords, RunSync, run_in_thread
from hwangso_server.processor import Processor
from hwangso_server.store.interface import Store


def lanes_wanted(config: Config) -> Sequence[Intent | None]:
    """The lanes to open, foreground first; None alone where all come through one."""
    if config.port is not None or Mechanism.LANES in config.without:
        return [None]
    return [Intent.FOREGROUND, Intent.BACKGROUND]


async def start_core(
    nursery: trio.Nursery,
    config: Config,
    *,
    store: Store,
    keys: ServerKeys,
    environment: Environment,
    connections_max: int,
    run_sync: RunSync = run_in_thread,
) -> Core:
    """A core with its admission, which knows what was revoked and runs in `nursery`: ready for its
    dispatcher. `run_sync` is how passwords are hashed. Raises what the store raises."""
    core = Core(
        config,
        nursery=nursery,
        store=store,
        keys=keys,
        passwords=Passwords(
            memory_kib=config.argon2_memory_kib,
            iterations=config.argon2_iterations,
            at_once=config.enrolments_at_once,
            random_bytes=environment.random_bytes,
            run_sync=run_sync,
        ),
        admission=make_admission(config, environment, keys.static, sessions_max=connections_max),
        environment=environment,
    )
    await core.load_revocations()
    nursery.start_soon(core.run)
    return core


def make_dispatcher(
    core: Core,
    ground: Ground,
    processor: Processor,
    *,
    connections_max: int,
    turn: Turn | None = None,
) -> Dispatcher:
    """Serves in the order that the configuration asks for; the caller runs it, and closes it.
    `turn` is for a modelled processor: `Turn.of_modelled`."""
    config = core.config
    is_controlled = config.control is Control.ON
    return Dispatcher(
        core,
        ground,
        processor,
        connections_max=connections_max,
        order=Order.INTENT if is_controlled else Order.ARRIVAL,
        peer_check=is_controlled and Mechanism.PEER_CHECK not in config.without,
        turn=turn,
    )
