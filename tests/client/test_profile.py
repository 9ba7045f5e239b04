import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwangso_client.errors import ProfileError
from hwangso_client.profile import (
    Deferral,
    FileProfile,
    MemoryProfile,
    Profile,
    ProfileState,
    ResumeCredentials,
    Unsent,
)
from hwangso_protocol.messages import Entry

NEW = ProfileState(
    server_key=bytes(range(32)), user="alice", device_key=bytes(range(32, 64)), phase=0.25
)
FULL = ProfileState(
    server_key=bytes(range(32)),
    user="alice",
    device_key=bytes(range(32, 64)),
    phase=0.25,
    enrolled=True,
    resume=ResumeCredentials(b"\0ticket\xff", bytes(32), 1_800_000_000_000),
    deferral=Deferral(b"slot", 1_800_000_000_000, 60_000),
    since=12,
    unread=(Entry(12, bytes(16), "bob", "alice", "안녕\n", 5),),
    outbox=(Unsent(bytes(16), "bob", "hello\0"), Unsent(bytes([1] * 16), "carol", "x" * 4_096)),
)


@pytest.fixture(params=["memory", "file"])
def profile(request: pytest.FixtureRequest, tmp_path: Path) -> Profile:
    return MemoryProfile() if request.param == "memory" else FileProfile(tmp_path / "phone")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alice.phone"


def test_is_empty_at_first(profile: Profile) -> None:
    assert profile.load() is None


@pytest.mark.parametrize("state", [NEW, FULL])
def test_gives_back_what_was_saved(profile: Profile, state: ProfileState) -> None:
    profile.save(state)
    assert profile.load() == state


def test_the_last_state_counts(profile: Profile) -> None:
    profile.save(FULL)
    profile.save(NEW)
    assert profile.load() == NEW


def test_another_object_for_the_same_file_reads_it(path: Path) -> None:
    FileProfile(path).save(FULL)
    assert FileProfile(path).load() == FULL


def test_the_file_is_as_documented(path: Path) -> None:
    FileProfile(path).save(NEW)
    first, second, rest = path.read_text().split("\n")
    assert first.startswith("hwangso-profile 1 ")
    assert len(first.split()[2]) == 64
    assert second.startswith('{"server_key":"AAEC')
    assert rest == ""


def test_the_file_is_private_and_alone(path: Path) -> None:
    FileProfile(path).save(FULL)
    FileProfile(path).save(NEW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "phones" / "alice"
    FileProfile(path).save(NEW)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert FileProfile(path).load() == NEW


def test_a_crash_while_writing_leaves_the_old_state(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = FileProfile(path)
    profile.save(NEW)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, crash)
            with pytest.raises(KeyboardInterrupt):
                profile.save(FULL)
        assert profile.load() == NEW
    profile.save(FULL)
    assert profile.load() == FULL


def test_it_is_on_disk_before_it_takes_the_old_ones_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noting(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def noted(*args: object) -> object:
            steps.append(name)
            return call(*args)

        return noted

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", noting("replace", Path.replace))
    FileProfile(path).save(NEW)
    assert steps == ["fsync", "replace", "fsync"], "the file, its place, the folder"


def test_a_disk_that_fails_is_said_in_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileProfile(path).save(NEW)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProfileError, match=r"cannot write profile .*: No space left on device$"):
        FileProfile(path).save(FULL)
    assert FileProfile(path).load() == NEW


def test_a_folder_in_its_place_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot read profile .*: Is a directory"):
        FileProfile(tmp_path).load()
    with pytest.raises(ProfileError, match="cannot write profile"):
        FileProfile(tmp_path).save(NEW)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"hwangso-profile 2 00\n{}\n"])
def test_another_file_is_not_taken_for_a_profile(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ProfileError, match="not a profile of this version"):
        FileProfile(path).load()


def test_a_file_beyond_reason_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileProfile(path).save(FULL)
    monkeypatch.setattr("hwangso_client.profile.PROFILE_MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(ProfileError, match="not a profile"):
        FileProfile(path).load()


@given(data=st.data())
def test_any_damage_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("profile") / "phone"
    FileProfile(path).save(FULL)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    with pytest.raises(ProfileError):
        FileProfile(path).load()


def test_a_profile_with_a_right_checksum_and_wrong_content_is_refused(path: Path) -> None:
    content = b'{"server_key": "AA=="}\n'
    checksum = sha256(content).hexdigest().encode()
    path.write_bytes(b"hwangso-profile 1 " + checksum + b"\n" + content)
    with pytest.raises(ProfileError, match="damaged"):
        FileProfile(path).load()
