"""The Trio side of a phone, against a real server in this process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.e2e.phones import PASSWORD, phone, within
from tests.e2e.servers import Server, running_server

from hwangso_client.config import AppState, DeviceConfig, LinkState
from hwangso_client.errors import ProfileError
from hwangso_client.profile import FileProfile
from hwangso_protocol.hello import Intent
from hwangso_server.admission.stage import Stage
from hwangso_tools.errors import CommandError
from hwangso_tools.phone import link as module
from hwangso_tools.phone.chats import Delivery, Notification
from hwangso_tools.phone.files import ChatsFile
from hwangso_tools.phone.link import Files, Link
from hwangso_tools.phone.model import Look, Phone, Press, Write


class Hand:
    """Holds a phone: tells the link, and waits until it shows something."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.notices: list[str] = []
        self._changed = trio.Event()
        link.on_change = self._note
        link.on_notice = self.notices.append

    def _note(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[Phone], object]) -> Phone:
        with trio.fail_after(20):
            while not condition(self.link.phone):
                await self._changed.wait()
        return self.link.phone

    async def ready(self) -> Phone:
        return await self.until(lambda phone: phone.status.link is LinkState.READY)

    async def own(self, delivery: Delivery) -> Phone:
        return await self.until(
            lambda phone: [each for each in phone.chats.messages if each.delivery is delivery]
        )


def make(server: Server, folder: Path, user: str = "alice", password: str = PASSWORD) -> Link:
    path = folder / f"{user}.phone"
    config = DeviceConfig(server.server_key, user, password, register=password == PASSWORD)
    return Link(config, server.network, Files(FileProfile(path), ChatsFile(path)))


@asynccontextmanager
async def switched_on(link: Link) -> AsyncIterator[Hand]:
    """The phone runs; leaving switches it off in order."""
    hand = Hand(link)
    started = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run, started.set)
        await started.wait()
        yield hand
        link.stop()


@within(60)
async def test_it_starts_in_the_background_and_is_opened(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "s") as server,
        switched_on(make(server, tmp_path)) as hand,
    ):
        phone = await hand.ready()
        assert phone.status.app is AppState.BACKGROUND
        assert phone.status.intent is Intent.BACKGROUND
        assert phone.status.enrolled
        hand.link.tell(Press.OPEN)
        hand.link.tell(Press.OPEN)
        await hand.until(lambda phone: phone.status.app is AppState.FOREGROUND)
        hand.link.tell(Press.KILL)
        phone = await hand.until(lambda phone: phone.status.link is LinkState.OFF)
        assert phone.status.app is AppState.CLOSED
        hand.link.tell(Press.OPEN)
        phone = await hand.ready()
        assert phone.status.intent is Intent.FOREGROUND
        hand.link.tell(Press.HOME)
        await hand.until(lambda phone: phone.status.app is AppState.BACKGROUND)


@within(60)
async def test_what_comes_at_home_and_what_is_read(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "s") as server,
        switched_on(make(server, tmp_path)) as hand,
        phone(server, "bob") as bob,
    ):
        await hand.ready()
        await bob.send("alice", "one")
        await bob.send("alice", "two")
        phone_ = await hand.until(lambda phone: len(phone.chats.messages) == 2)
        assert phone_.chats.notifications == (Notification("bob", 2),)
        hand.link.tell(Press.OPEN)
        phone_ = await hand.until(lambda phone: not phone.chats.notifications)
        assert phone_.chats.conversations()[0].unread == 2
        hand.link.tell(Look("bob"))
        await hand.until(lambda phone: not phone.chats.conversations()[0].unread)
        hand.link.tell(Write("bob", "안녕"))
        assert (await bob.next_message()).body == "안녕"
        await hand.own(Delivery.STORED)


@within(60)
async def test_it_is_the_same_phone_next_time(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s") as server, phone(server, "bob") as bob:
        async with switched_on(make(server, tmp_path)) as hand:
            await hand.ready()
            await bob.send("alice", "one")
            await hand.until(lambda phone: phone.chats.messages)
            hand.link.tell(Press.AIRPLANE)
            await hand.until(lambda phone: phone.status.airplane)
            hand.link.tell(Write("bob", "later"))
            await hand.own(Delivery.WAITING)
        again = make(server, tmp_path, password="")
        assert [(each.body, each.delivery) for each in again.phone.chats.messages] == [
            ("one", Delivery.RECEIVED),
            ("later", Delivery.WAITING),
        ]
        async with switched_on(again) as hand:
            await hand.own(Delivery.STORED)
            assert (await bob.next_message()).body == "later"
            assert len(hand.link.phone.chats.messages) == 2


@within(60)
async def test_messages_that_will_never_get_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMMANDS_MAX", 1)
    async with (
        running_server(tmp_path / "s") as server,
        switched_on(make(server, tmp_path)) as hand,
    ):
        await hand.ready()
        hand.link.tell(Write("nobody", "hello"))
        refused = await hand.own(Delivery.REFUSED)
        assert refused.chats.messages[0].refusal == "no such user"
        assert hand.link.tell(Write("bob", "x" * 100_000))
        assert hand.link.tell(Look("bob")), "one is being obeyed, one may wait"
        assert not hand.link.tell(Look("eve"))
        with trio.fail_after(20):
            while not hand.notices:
                await trio.lowlevel.checkpoint()
        assert "message to 'bob'" in hand.notices[0]


@within(60)
async def test_airplane_mode_a_server_that_is_gone_and_when_it_tries_again(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "s") as server,
        switched_on(make(server, tmp_path)) as hand,
    ):
        await hand.ready()
        hand.link.tell(Press.AIRPLANE)
        seen = await hand.until(lambda phone: phone.status.link is LinkState.WAITING)
        assert seen.status.airplane
        assert seen.status.wait_until is None
        hand.link.tell(Press.AIRPLANE)
        await hand.ready()
        await server.stop()
        seen = await hand.until(lambda phone: "cannot connect" in phone.status.failure)
        await hand.until(lambda phone: phone.status.wait_until)


@within(60)
async def test_a_deferral_shows_until_it_is_over(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "s") as server,
        switched_on(make(server, tmp_path)) as hand,
    ):
        await hand.ready()
        await server.admin.set_stage(Stage.SHIELD, 60)
        hand.link.tell(Press.AIRPLANE)
        await hand.until(lambda phone: phone.status.airplane)
        hand.link.tell(Press.AIRPLANE)
        seen = await hand.until(lambda phone: phone.status.deferred and phone.status.wait_until)
        assert seen.status.deferred == "the server has time for people only"
        assert seen.status.link is LinkState.WAITING
        seen = await hand.ready()
        assert seen.status.deferred == ""


@within(60)
async def test_a_wrong_password_stops_the_phone(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path / "s") as server,
        phone(server, "alice"),
        switched_on(make(server, tmp_path, password="wrong")) as hand,
    ):
        seen = await hand.until(lambda phone: phone.status.link is LinkState.STOPPED)
        assert "wrong password" in seen.status.failure
        assert not seen.status.enrolled
        hand.link.tell(Press.KILL)
        with trio.fail_after(20):
            while not hand.notices:
                await trio.lowlevel.checkpoint()


@within(60)
async def test_chats_that_cannot_be_saved_end_the_phone(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s") as server:
        link = make(server, tmp_path)
        (tmp_path / ".alice.phone.chats.new").mkdir()
        with pytest.RaisesGroup(CommandError, flatten_subgroups=True):
            async with switched_on(link) as hand:
                hand.link.tell(Write("bob", "hello"))
                await trio.sleep_forever()


@within(60)
async def test_a_profile_of_somebody_else(tmp_path: Path) -> None:
    async with running_server(tmp_path / "s") as server:
        link = make(server, tmp_path)
        other = DeviceConfig(server.server_key, "bob", PASSWORD)
        path = tmp_path / "alice.phone"
        async with switched_on(link) as hand:
            await hand.ready()
        wrong = Link(other, server.network, Files(FileProfile(path), ChatsFile(path)))
        with pytest.raises(ProfileError, match="belongs to user 'alice'"):
            await wrong.run(lambda: None)
