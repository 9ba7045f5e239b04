"""Who is online, and what is known of users."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hwangso_server.presence import KnownUsers, Presence


@dataclass(eq=False)
class Someone:
    user_id: int
    device_id: int


def test_nobody() -> None:
    presence = Presence[Someone]()
    assert len(presence) == 0
    assert list(presence) == []
    assert presence.of_user(1) == ()
    assert presence.of_device(1, 1) is None


def test_devices_of_users() -> None:
    presence = Presence[Someone]()
    phone, tablet, other = Someone(1, 1), Someone(1, 2), Someone(2, 3)
    for session in (phone, tablet, other):
        assert presence.enter(session) is None
    assert presence.of_user(1) == (phone, tablet)
    assert presence.of_device(1, 2) is tablet
    assert presence.of_device(2, 2) is None
    assert list(presence) == [phone, tablet, other]


def test_taking_over() -> None:
    presence = Presence[Someone]()
    older, newer = Someone(1, 1), Someone(1, 1)
    presence.enter(older)
    assert presence.enter(newer) is older
    assert presence.of_user(1) == (newer,)
    assert len(presence) == 1
    presence.leave(older)  # its owner closes it afterwards
    assert presence.of_user(1) == (newer,)
    assert len(presence) == 1


def test_sessions_may_come_and_go_while_others_are_looked_at() -> None:
    presence = Presence[Someone]()
    for number in range(3):
        presence.enter(Someone(number, number))
    for session in presence:
        presence.leave(session)
        presence.enter(Someone(9, 9))
    assert [session.user_id for session in presence] == [9]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2))))
def test_like_a_plain_dictionary(steps: list[tuple[bool, int, int]]) -> None:
    presence = Presence[Someone]()
    model: dict[tuple[int, int], Someone] = {}
    everybody: list[Someone] = []
    for enters, user, device in steps:
        if enters:
            session = Someone(user, device)
            everybody.append(session)
            assert presence.enter(session) is model.get((user, device))
            model[user, device] = session
        elif everybody:
            session = everybody[(user * 3 + device) % len(everybody)]
            presence.leave(session)
            if model.get((session.user_id, session.device_id)) is session:
                del model[session.user_id, session.device_id]
        assert len(presence) == len(model)
        assert set(presence) == set(model.values())
        for key in ((u, d) for u in range(4) for d in range(3)):
            assert presence.of_device(*key) is model.get(key)


def test_names() -> None:
    known = KnownUsers(2)
    assert known.id_of("alice") is None
    known.learn_name("alice", 7)
    assert known.id_of("alice") == 7
    known.learn_name("bob", 8)
    known.learn_name("carol", 9)
    assert known.id_of("alice") is None  # two are kept


def test_heads_never_go_back() -> None:
    known = KnownUsers(10)
    assert known.head_of(1) is None
    assert known.learn_head(1, 0) == 0
    assert known.head_of(1) == 0
    assert known.learn_head(1, 5) == 5
    assert known.learn_head(1, 3) == 5
    assert known.head_of(1) == 5
