import random
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwangso_protocol.errors import ProtocolError
from hwangso_protocol.ticket import ResumeTicket
from hwangso_server import keys as keys_module
from hwangso_server.folder import DataFolder, DataFolderError
from hwangso_server.keys import KeyFileError, Keys, read_public_key
from hwangso_server.limits import TICKET_KEYS_MAX

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DataFolder]:
    with DataFolder.open(tmp_path) as folder:
        yield folder


def open_keys(folder: DataFolder, seed: int = 1, now_ms: int = NOW_MS) -> Keys:
    return Keys.open(folder, random.Random(seed).randbytes, now_ms)


def seal(keys: Keys, now_ms: int, lifetime_ms: int = DAY_MS) -> bytes:
    ticket = ResumeTicket(
        user_id=1,
        user_name="alice",
        device_id=2,
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + lifetime_ms,
        psk=bytes(32),
    )
    return keys.ticket_ring.seal(ticket, random.Random(0).randbytes)


def opens(keys: Keys, sealed: bytes, now_ms: int) -> bool:
    try:
        keys.ticket_ring.open(sealed, now_ms)
    except ProtocolError:
        return False
    return True


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(folder: DataFolder) -> str:
    with pytest.raises(KeyFileError) as caught:
        open_keys(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_first_start_makes_all_keys(folder: DataFolder) -> None:
    keys = open_keys(folder)
    private = keys.static.private_bytes_raw()
    assert folder.server_key.read_text() == f"{private.hex()}\n"
    assert folder.server_pub.read_text() == f"{keys.public.hex()}\n"
    assert keys.public == keys.static.public_key().public_bytes_raw()
    (dated,) = keys.ticket_keys
    assert folder.ticket_keys.read_text() == (
        f"{dated.key.id:08x} {NOW_MS} {dated.key.secret.hex()}\n"
    )
    assert mode_of(folder.server_key) == mode_of(folder.ticket_keys) == 0o600


def test_the_keys_stay_the_same(folder: DataFolder) -> None:
    first = open_keys(folder, seed=1)
    first.rotate_ticket_key(NOW_MS + 1, DAY_MS)
    sealed = seal(first, NOW_MS)
    again = open_keys(folder, seed=2, now_ms=NOW_MS + 2)
    assert again.public == first.public
    assert again.ticket_keys == first.ticket_keys
    assert again.ticket_ring.open(sealed, NOW_MS).user_name == "alice"


def test_randomness_comes_from_the_caller(tmp_path: Path) -> None:
    publics = []
    for seed, name in [(1, "a"), (1, "b"), (2, "c")]:
        with DataFolder.open(tmp_path / name) as folder:
            publics.append(open_keys(folder, seed).public)
    assert publics[0] == publics[1] != publics[2]


@pytest.mark.parametrize("name", ["server.key", "ticket.keys"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_private_file_open_to_others(folder: DataFolder, name: str, mode: int) -> None:
    open_keys(folder)
    path = folder.path / name
    path.chmod(mode)
    assert refusal(folder) == f"{path}: other users have access to it; run: chmod 600 {path}"


@pytest.mark.parametrize("name", ["server.key", "ticket.keys"])
@pytest.mark.parametrize("damage", ["", "\n", "zz", "\udcff", "0" * 10_000])
def test_damaged_file_is_never_replaced(folder: DataFolder, name: str, damage: str) -> None:
    open_keys(folder)
    path = folder.path / name
    path.write_text(damage, errors="surrogateescape")
    before = path.read_bytes()
    assert refusal(folder).startswith(f"{path}: damaged")
    assert path.read_bytes() == before


def test_each_byte_of_ticket_keys_matters(folder: DataFolder) -> None:
    keys = open_keys(folder)
    keys.rotate_ticket_key(NOW_MS, DAY_MS)
    whole = folder.ticket_keys.read_bytes()
    for cut in range(len(whole)):
        if cut == len(whole) // 2:
            continue  # a file with one line less is a good file
        folder.ticket_keys.write_bytes(whole[:cut])
        refusal(folder)
    folder.ticket_keys.write_bytes(whole[: len(whole) // 2] * 2)
    refusal(folder)  # one id twice


def test_too_many_ticket_keys(folder: DataFolder) -> None:
    lines = [f"{n:08x} {NOW_MS} {'0' * 64}\n" for n in range(TICKET_KEYS_MAX + 1)]
    folder.ticket_keys.touch(0o600)
    folder.ticket_keys.write_text("".join(lines))
    refusal(folder)
    folder.ticket_keys.write_text("".join(lines[:-1]))
    assert len(open_keys(folder).ticket_keys) == TICKET_KEYS_MAX


def test_lost_private_key_is_not_made_anew(folder: DataFolder) -> None:
    open_keys(folder)
    folder.server_key.unlink()
    assert refusal(folder).startswith(f"{folder.server_key}: missing, but clients know")
    assert not folder.server_key.exists()


@pytest.mark.parametrize("content", [None, "0" * 64 + "\n"])
def test_public_file_follows_the_private_one(folder: DataFolder, content: str | None) -> None:
    """A crash can come between the two files."""
    keys = open_keys(folder)
    folder.server_pub.unlink()
    if content is not None:
        folder.server_pub.write_text(content)
    open_keys(folder)
    assert read_public_key(folder.server_pub) == keys.public


def test_key_that_cannot_be_read(folder: DataFolder) -> None:
    folder.server_key.mkdir()
    with pytest.raises(DataFolderError, match=f"^{folder.server_key}: Is a directory$"):
        open_keys(folder)


def test_read_public_key(folder: DataFolder) -> None:
    with pytest.raises(KeyFileError, match="not found; the server makes it on its first start"):
        read_public_key(folder.server_pub)
    folder.server_pub.write_text("not hex\n")
    with pytest.raises(KeyFileError, match="damaged"):
        read_public_key(folder.server_pub)


def test_rotate_static(folder: DataFolder) -> None:
    keys = open_keys(folder)
    before = keys.public
    keys.rotate_static()
    assert keys.public != before
    assert read_public_key(folder.server_pub) == keys.public
    assert open_keys(folder).public == keys.public
    assert mode_of(folder.server_key) == 0o600


def test_rotated_ticket_key_seals_and_the_old_one_still_opens(folder: DataFolder) -> None:
    keys = open_keys(folder)
    old = seal(keys, NOW_MS)
    keys.rotate_ticket_key(NOW_MS + 1, DAY_MS)
    new = seal(keys, NOW_MS + 1)
    assert opens(keys, old, NOW_MS + 1)
    assert opens(keys, new, NOW_MS + 1)
    assert old[1:5] != new[1:5] == keys.ticket_keys[0].key.id.to_bytes(4, "big")


def test_a_ticket_key_goes_when_its_last_ticket_has_expired(folder: DataFolder) -> None:
    keys = open_keys(folder)
    first = keys.ticket_keys[0]
    replaced_at_ms = NOW_MS + 5 * DAY_MS  # it sealed until then
    keys.rotate_ticket_key(replaced_at_ms, DAY_MS)
    keys.rotate_ticket_key(replaced_at_ms + DAY_MS - 1, DAY_MS)
    assert first in keys.ticket_keys
    keys.rotate_ticket_key(replaced_at_ms + DAY_MS, DAY_MS)
    assert first not in keys.ticket_keys


def test_rotating_too_often_drops_the_oldest(folder: DataFolder) -> None:
    keys = open_keys(folder)
    old = seal(keys, NOW_MS)
    for n in range(TICKET_KEYS_MAX - 1):
        keys.rotate_ticket_key(NOW_MS + n, DAY_MS)
    assert opens(keys, old, NOW_MS)
    keys.rotate_ticket_key(NOW_MS + TICKET_KEYS_MAX, DAY_MS)
    assert len(keys.ticket_keys) == TICKET_KEYS_MAX
    assert not opens(keys, old, NOW_MS)
    assert open_keys(folder).ticket_keys == keys.ticket_keys


def test_ticket_key_ids_are_unique(folder: DataFolder) -> None:
    stream = iter([b"s" * 32, b"same", b"1" * 32, b"same", b"else", b"2" * 32])
    keys = Keys.open(folder, lambda _: next(stream), NOW_MS)
    keys.rotate_ticket_key(NOW_MS, DAY_MS)
    assert [dated.key.id.to_bytes(4, "big") for dated in keys.ticket_keys] == [b"else", b"same"]


def test_failed_rotation_changes_nothing(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = open_keys(folder)
    before = (keys.ticket_keys, keys.ticket_ring, keys.public)

    def full_disk(*_: object) -> None:
        raise DataFolderError("full")

    monkeypatch.setattr(keys_module, "replace_file", full_disk)
    with pytest.raises(DataFolderError):
        keys.rotate_ticket_key(NOW_MS, DAY_MS)
    with pytest.raises(DataFolderError):
        keys.rotate_static()
    assert (keys.ticket_keys, keys.ticket_ring, keys.public) == before


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2 * DAY_MS), min_size=1, max_size=TICKET_KEYS_MAX - 1))
def test_no_unexpired_ticket_loses_its_key(gaps_ms: list[int]) -> None:
    with tempfile.TemporaryDirectory() as path, DataFolder.open(Path(path)) as folder:
        keys = open_keys(folder)
        now_ms = NOW_MS
        tickets = [(now_ms, seal(keys, now_ms))]
        for gap_ms in gaps_ms:
            now_ms += gap_ms
            tickets.append((now_ms, seal(keys, now_ms)))  # the last of the old key
            keys.rotate_ticket_key(now_ms, DAY_MS)
            tickets.append((now_ms, seal(keys, now_ms)))
            for sealed_at_ms, sealed in tickets:
                if sealed_at_ms + DAY_MS > now_ms:
                    assert opens(keys, sealed, now_ms)
