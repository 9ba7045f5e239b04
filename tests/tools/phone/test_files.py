"""The files of a phone."""

import stat
from pathlib import Path

import pytest

from hwangso_tools.errors import CommandError, ExitCode
from hwangso_tools.phone.chats import Chats, Delivery, Message, Notification
from hwangso_tools.phone.files import ChatsFile, locked

CHATS = Chats(
    (Message(b"\0\xff" * 8, "bob", "안녕", 5, Delivery.REFUSED, refusal="no such user"),),
    (Notification("bob", 2),),
)


def test_chats_are_kept(tmp_path: Path) -> None:
    file = ChatsFile(tmp_path / "alice.phone")
    assert file.load() == Chats()
    file.save(CHATS)
    assert ChatsFile(tmp_path / "alice.phone").load() == CHATS
    assert [path.name for path in tmp_path.iterdir()] == ["alice.phone.chats"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_damaged_chats_are_one_line(tmp_path: Path) -> None:
    file = ChatsFile(tmp_path / "alice.phone")
    file.path.write_bytes(b'{"messages": 7}')
    with pytest.raises(CommandError, match=r"alice.phone.chats is damaged .*delete it"):
        file.load()
    file.path.unlink()
    file.path.mkdir()
    with pytest.raises(CommandError, match=r"cannot read .*: Is a directory"):
        file.load()


def test_chats_that_cannot_be_saved(tmp_path: Path) -> None:
    file = ChatsFile(tmp_path / "gone" / "alice.phone")
    with pytest.raises(CommandError, match=r"cannot write .*: No such file") as raised:
        file.save(CHATS)
    assert raised.value.code == ExitCode.STORAGE


def test_one_process_is_a_phone(tmp_path: Path) -> None:
    profile = tmp_path / "phones" / "alice.phone"
    with locked(profile):
        with pytest.raises(CommandError, match=r"alice.phone is in use"), locked(profile):
            pass
        with locked(tmp_path / "phones" / "bob.phone"):
            pass
    with locked(profile):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "phones").touch()
    with (
        pytest.raises(CommandError, match=r"cannot make its lock: "),
        locked(tmp_path / "phones" / "alice.phone"),
    ):
        pass
