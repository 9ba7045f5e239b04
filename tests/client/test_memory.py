from random import Random

import pytest

from hwangso_client.backoff import FullJitter
from hwangso_client.config import DeviceConfig, Sources
from hwangso_client.errors import ProfileError
from hwangso_client.events import ignore
from hwangso_client.memory import build_link, build_mailbox, load_or_create, snapshot
from hwangso_client.profile import (
    Deferral,
    MemoryProfile,
    ProfileState,
    ResumeCredentials,
    Unsent,
)
from hwangso_protocol.hello import Kind
from hwangso_protocol.messages import Entry

WALL_MS = 1_800_000_000_000
CONFIG = DeviceConfig(bytes(range(32)), "alice", "secret")
FULL = ProfileState(
    server_key=bytes(range(32)),
    user="alice",
    device_key=bytes(range(32, 64)),
    phase=0.25,
    enrolled=True,
    resume=ResumeCredentials(b"ticket", bytes(32), WALL_MS + 1_000),
    deferral=Deferral(b"slot", WALL_MS + 5_000, 60_000),
    since=12,
    unread=(Entry(12, bytes(16), "bob", "alice", "hello", 5),),
    outbox=(Unsent(bytes(16), "bob", "one"), Unsent(bytes([1] * 16), "bob", "two")),
)


def sources() -> Sources:
    return Sources(Random(1), lambda size: bytes([7]) * size, lambda: WALL_MS / 1000)


def test_a_new_phone_saves_its_key_before_anything_else() -> None:
    profile = MemoryProfile()
    state = load_or_create(profile, CONFIG, sources())
    assert profile.state == state
    assert state.device_key == bytes([7]) * 32
    assert 0 <= state.phase <= 1
    assert not state.enrolled


def test_a_known_phone_keeps_its_key_and_phase() -> None:
    assert load_or_create(MemoryProfile(FULL), CONFIG, sources()) is FULL


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (DeviceConfig(bytes(32), "alice", "secret"), "another key"),
        (DeviceConfig(bytes(range(32)), "bob", "secret"), "'alice', not 'bob'"),
    ],
)
def test_a_profile_of_another_server_or_user_is_refused(config: DeviceConfig, why: str) -> None:
    with pytest.raises(ProfileError, match=why):
        load_or_create(MemoryProfile(FULL), config, sources())


def test_the_working_parts_are_as_the_profile_left_them() -> None:
    link = build_link(FULL, CONFIG, FullJitter(Random(1)), sources(), 100)
    assert link.kind(WALL_MS) is Kind.RESUME
    assert link.next_at == 105, "the slot, by the device's own clock"
    mailbox = build_mailbox(FULL, CONFIG, Random(1), 100, ignore)
    assert mailbox.inbox.since == 12
    assert tuple(mailbox.inbox.unread) == FULL.unread
    assert [send.body for send in mailbox.outbox.due(100)] == ["one", "two"]


def test_what_is_saved_is_what_was_loaded() -> None:
    link = build_link(FULL, CONFIG, FullJitter(Random(1)), sources(), 100)
    mailbox = build_mailbox(FULL, CONFIG, Random(1), 100, ignore)
    assert snapshot(FULL, link, mailbox) == FULL
