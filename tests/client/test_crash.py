"""A phone that is cancelled or crashes at any step, and is started again, loses nothing.

Each test tells the same story, in which a phone enrols, sends, receives, is cut and resumes, once
for every step in it: there it is interrupted, and a second phone with the same profile goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio
import trio.lowlevel
import trio.testing
from tests.client.fakeserver import FakeServer, bodies, open_server
from trio.testing import MockClock

from hwangso_client.config import AppState, LinkState
from hwangso_client.profile import MemoryProfile, ProfileState

TO_BOB = [f"to bob {number}" for number in range(4)]
TO_ALICE = [f"to alice {number}" for number in range(4)]


@dataclass
class Story:
    """What the user has done and seen so far, through all restarts of the phone."""

    posted: list[str] = field(default_factory=list)
    got: list[str] = field(default_factory=list)


async def live(server: FakeServer, profile: MemoryProfile, story: Story) -> None:
    """The life of a phone, from wherever the story is."""
    async with server.phone("alice", profile=profile) as phone, trio.open_nursery() as nursery:

        async def read() -> None:
            async for message in phone:
                story.got.append(message.body)

        nursery.start_soon(read)
        phone.wake()
        while len(story.posted) < len(TO_BOB):
            body = TO_BOB[len(story.posted)]
            phone.post("bob", body)
            story.posted.append(body)
            await trio.sleep(1)
        await phone.wait_sent()
        await trio.sleep(20)
        nursery.cancel_scope.cancel()


async def interfere(server: FakeServer) -> None:
    """What happens around the phone, whether it is there or not: it is written to, and cut."""
    for body in TO_ALICE:
        await trio.sleep(0.7)
        server.put("alice", body)
        for session in server.sessions:
            if body == TO_ALICE[1] and session.online:
                session.cut()


def check(server: FakeServer, story: Story) -> None:
    assert bodies(server.user("bob").inbox) == TO_BOB, "each once, in order"
    assert len(server.devices) == 1
    assert server.devices.popitem()[1].received == len(server.user("alice").inbox)


class StepCounter(trio.abc.Instrument):
    """Counts the steps of all tasks, and does something at one of them."""

    def __init__(self, at: int, action: Callable[[], None]) -> None:
        self.steps = 0
        self.at = at
        self.action = action

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.action()


async def cancelled_at(step: int) -> bool:
    """Run the story, cancelled at that step; False if it has ended before."""
    async with open_server() as server:
        server.user("bob")
        story, profile = Story(), MemoryProfile()
        server.nursery.start_soon(interfere, server)
        with trio.CancelScope() as scope:
            counter = StepCounter(step, scope.cancel)
            trio.lowlevel.add_instrument(counter)
            try:
                await live(server, profile, story)
            finally:
                trio.lowlevel.remove_instrument(counter)
        if scope.cancelled_caught:
            await live(server, profile, story)
            check(server, story)
            # New phones begin at the head: entries before the enrolment are not for them.
            assert story.got == TO_ALICE[len(TO_ALICE) - len(story.got) :]
        return counter.steps >= step


async def test_cancelled_at_any_step_it_loses_and_doubles_nothing(
    autojump_clock: MockClock,
) -> None:
    step = 1
    while await cancelled_at(step):
        step += 1
    assert step > 100


async def killed_at(step: int) -> bool:
    """The app is killed at that step, in a phone that lives on; False if there was none."""
    async with open_server() as server, server.phone("alice") as phone:
        server.user("bob")
        counter = StepCounter(step, lambda: server.nursery.start_soon(phone.kill_app))
        trio.lowlevel.add_instrument(counter)
        phone.wake()
        phone.post("bob", "hello")
        await trio.sleep(3)
        for session in server.sessions:
            session.cut()
        await trio.sleep(3)
        trio.lowlevel.remove_instrument(counter)
        await trio.testing.wait_all_tasks_blocked()
        if counter.steps >= step:
            assert phone.app_state is AppState.CLOSED
            assert phone.link_state is LinkState.OFF
            assert not any(session.online for session in server.sessions)
            phone.wake()
            await phone.wait_sent()
            assert bodies(server.user("bob").inbox) == ["hello"]
        return counter.steps >= step


async def test_killed_at_any_step_it_is_off_until_it_is_woken(autojump_clock: MockClock) -> None:
    step = 1
    while await killed_at(step):
        step += 1
    assert step > 50


class Crash(Exception):
    """The end of the process, as far as the phone is concerned."""


class CrashingProfile(MemoryProfile):
    """Crashes at a save, before or after it is done, and writes nothing any more."""

    def __init__(self, state: ProfileState | None, at: int, *, after: bool) -> None:
        super().__init__(state)
        self.saves = 0
        self.at = at
        self.after = after

    def save(self, state: ProfileState) -> None:
        self.saves += 1
        if self.saves < self.at or (self.after and self.saves == self.at):
            super().save(state)
        if self.saves >= self.at:
            raise Crash


async def crashed_at(save: int, *, after: bool) -> bool:
    """Run the story, with a crash at that save; False if it has ended before."""
    async with open_server() as server:
        server.user("bob")
        story, profile = Story(), CrashingProfile(None, save, after=after)
        server.nursery.start_soon(interfere, server)
        crashed = False
        try:
            await live(server, profile, story)
        except* Crash:
            crashed = True
        if crashed:
            kept = MemoryProfile(profile.state)
            outbox = kept.state.outbox if kept.state else ()
            if outbox and outbox[-1].body not in story.posted:
                story.posted.append(outbox[-1].body)  # on disk, but post() never returned
            await live(server, kept, story)
            check(server, story)
            first = TO_ALICE.index(story.got[0]) if story.got else len(TO_ALICE)
            assert list(dict.fromkeys(story.got)) == TO_ALICE[first:], "nothing lost, in order"
        return crashed


async def test_a_crash_at_any_save_loses_nothing(autojump_clock: MockClock) -> None:
    for after in (False, True):
        save = 1
        while await crashed_at(save, after=after):
            save += 1
        assert save > 7
