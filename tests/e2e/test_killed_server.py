"""`kill -9` of the server while 200 devices send; they carry on by themselves on the next one."""

import random
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import trio
from tests.e2e.phones import Diary, phone, within
from tests.e2e.servers import running_child

from hwangso_client.backoff import FullJitter
from hwangso_client.device import Device
from hwangso_client.events import DeviceEvent, MessageAcknowledged, MessageArrived
from hwangso_protocol.hello import Intent, Kind

USERS = 40
DEVICES_PER_USER = 5
BEFORE_THE_KILL = 1_000
"""Acknowledged messages; at that moment all 200 devices have one on its way."""
AFTER_THE_KILL = 500
"""Further ones, before the devices stop sending."""


def user_name(number: int) -> str:
    return f"user-{number}"


class Ledger:
    """Which messages were posted, which were acknowledged, and which device holds which."""

    def __init__(self) -> None:
        self.diary = Diary()
        self.posted: dict[bytes, tuple[str, str]] = {}
        """Sender and recipient by message id."""
        self.acknowledged: set[bytes] = set()
        self.copies: Counter[tuple[bytes, str, str]] = Counter()
        """How often each device of each user got each message."""

    def observe(self, user: str, device: str, event: DeviceEvent) -> None:
        if isinstance(event, MessageAcknowledged):
            self.acknowledged.add(event.id)
        elif isinstance(event, MessageArrived):
            self.copies[event.entry.id, user, device] += 1
        self.diary(event)

    def owed(self) -> set[tuple[bytes, str, str]]:
        """The copies of acknowledged messages: one for each device of the recipient, and one for
        each device of the sender, who has more than one."""
        return {
            (message_id, user, f"{device}")
            for message_id in self.acknowledged
            for user in self.posted[message_id]
            for device in range(DEVICES_PER_USER)
        }


async def keep_sending(ledger: Ledger, device: Device, enough: trio.Event, seed: int) -> None:
    """One message after the other, each as soon as the one before is acknowledged."""
    rng = random.Random(seed)
    while not enough.is_set():
        to = user_name(rng.randrange(USERS))
        message_id = device.post(to, "hi")
        ledger.posted[message_id] = (device.user, to)
        await device.wait_sent()


@within(110)
async def test_kill_while_200_devices_send(folder: Path) -> None:
    ledger, enough, rng = Ledger(), trio.Event(), random.Random(1)
    devices: list[Device] = []
    async with AsyncExitStack() as phones:
        async with running_child(folder) as first:
            network = first.network
            for user in map(user_name, range(USERS)):
                for name in map(str, range(DEVICES_PER_USER)):
                    opened = phone(
                        first,
                        user,
                        name=name,
                        observer=partial(ledger.observe, user, name),
                        backoff=FullJitter(rng),
                    )
                    devices.append(await phones.enter_async_context(opened))
            nursery = await phones.enter_async_context(trio.open_nursery())
            for seed, device in enumerate(devices):
                nursery.start_soon(keep_sending, ledger, device, enough, seed)
            await ledger.diary.until(lambda: len(ledger.acknowledged) >= BEFORE_THE_KILL)
            await first.process.kill()

        ledger.diary = Diary()
        goal = len(ledger.acknowledged) + AFTER_THE_KILL
        async with running_child(folder, network=network) as second:
            await ledger.diary.until(lambda: len(ledger.acknowledged) >= goal)
            enough.set()
            for device in devices:
                await device.wait_sent()
            assert ledger.acknowledged == ledger.posted.keys()
            owed = ledger.owed()
            await ledger.diary.until(lambda: len(ledger.copies) >= len(owed))
            await phones.aclose()
            assert await second.process.stop() == 0

    assert ledger.copies == dict.fromkeys(owed, 1)
    assert len(ledger.diary.logins) == len(devices)
    assert set(ledger.diary.logins) == {(Kind.RESUME, Intent.FOREGROUND)}
