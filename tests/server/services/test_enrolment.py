"""First contact: passwords in constant work, accounts, keys, limits."""

import pytest
import trio
from tests.server.harness import PASSWORD, Phone, Server, running_server
from trio.testing import MockClock

from hwangso_protocol.hello import Kind
from hwangso_protocol.messages import ByeReason, Deliver, Enrol, Error, ErrorCode
from hwangso_protocol.states import State
from hwangso_server.config import Registration
from hwangso_server.presence import KnownUsers
from hwangso_server.store import StoreBusy, StoreClosed, StoreError, StoreFailed


async def refusal(server: Server, phone: Phone) -> ErrorCode:
    await server.settle()
    assert not phone.transport.is_open
    assert phone.session not in server.core.sessions
    return phone.take(Error).code


async def test_a_known_user(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        phone = await server.enrol("alice")
        assert (phone.welcome.user, phone.welcome.device) == ("alice", 1)
        assert (phone.welcome.since, phone.welcome.head) == (0, 0)
        assert len(server.hashings) == 1
        assert server.count("session.enrol.FG") == 1
        (device,) = await server.store.devices(1)
        assert (device.name, device.key) == ("phone 1", phone.identity.public_key)


async def test_the_ticket_of_an_enrolment_resumes(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        await server.resume((await server.enrol("alice")).identity)


async def test_a_new_device_begins_at_the_head(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice = await server.enrol("alice")
        await server.enrol("bob")
        await server.send(alice, 1, "bob")
        tablet = await server.enrol("bob")
        assert (tablet.welcome.since, tablet.welcome.head) == (1, 1)
        await server.send(alice, 2, "bob")
        assert [entry.seq for entry in tablet.take(Deliver).entries] == [2]


async def test_a_message_during_an_enrolment_is_not_lost(autojump_clock: MockClock) -> None:
    """It came after the device's cursor, and before the session was there to be pushed to."""
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice = await server.enrol("alice")
        with server.held("page"):
            phone = server.connect(Kind.ENROL, server.new_identity("bob"))
            await server.settle()
            await server.send(alice, 1, "bob")
        await server.prove(phone)
        assert (phone.welcome.since, phone.welcome.head) == (0, 1)


async def test_a_message_between_a_lost_enrolment_and_its_retry(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        alice, phone = await server.enrol("alice"), await server.enrol("bob")
        phone.lose()
        await server.send(alice, 1, "bob")
        server.core.known_users = KnownUsers(10)  # as after a restart
        await server.prove(server.connect(Kind.ENROL, phone.identity))
        phone = server.phones[-1]
        assert (phone.welcome.since, phone.welcome.head) == (0, 1)


# Passwords

REFUSED = ErrorCode.ENROL_REFUSED
CLOSED = ErrorCode.REGISTRATION_CLOSED


@pytest.mark.parametrize(
    ("registration", "register", "user", "password", "code"),
    [
        (Registration.CLOSED, False, "alice", "wrong", REFUSED),
        (Registration.CLOSED, False, "nobody", PASSWORD, REFUSED),
        (Registration.CLOSED, True, "alice", "wrong", CLOSED),
        (Registration.CLOSED, True, "nobody", PASSWORD, CLOSED),
        (Registration.CLOSED, True, "alice", PASSWORD, None),
        (Registration.OPEN, False, "alice", "wrong", REFUSED),
        (Registration.OPEN, False, "nobody", PASSWORD, REFUSED),
        (Registration.OPEN, True, "alice", "wrong", REFUSED),
        (Registration.OPEN, True, "alice", PASSWORD, None),
        (Registration.OPEN, True, "nobody", PASSWORD, None),
    ],
)
async def test_who_may_enrol_and_the_same_work_for_all(
    autojump_clock: MockClock,
    registration: Registration,
    register: bool,
    user: str,
    password: str,
    code: ErrorCode | None,
) -> None:
    async with running_server(registration=registration) as server:
        await server.add_user("alice")
        phone = server.connect(
            Kind.ENROL, server.new_identity(user), password=password, register=register
        )
        if code is None:
            await server.prove(phone)
        else:
            assert await refusal(server, phone) is code
            assert server.count(f"denied.{code.value}") == 1
        assert len(server.hashings) == 1
        found = await server.store.find_user("nobody")
        assert (found is not None) == (user == "nobody" and code is None)


async def test_a_disabled_user_learns_it_with_the_password_only(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        await server.store.set_disabled("alice", 1)
        identity = server.new_identity("alice")
        wrong = server.connect(Kind.ENROL, identity, password="wrong")
        assert await refusal(server, wrong) is ErrorCode.ENROL_REFUSED
        assert (
            await refusal(server, server.connect(Kind.ENROL, identity)) is ErrorCode.USER_DISABLED
        )


async def test_two_devices_of_a_new_user_register_at_once(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phones = [
            server.connect(Kind.ENROL, server.new_identity("alice"), register=True)
            for _ in range(2)
        ]
        for phone in phones:
            await server.prove(phone)
        assert {phone.welcome.device for phone in phones} == {1, 2}
        assert [summary.devices for summary in await server.store.list_users()] == [2]


async def test_two_strangers_register_one_name_at_once(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        first, second = (
            server.connect(
                Kind.ENROL, server.new_identity("alice"), password=password, register=True
            )
            for password in ("one", "two")
        )
        await server.settle()
        live = [phone for phone in (first, second) if phone.is_live]
        assert len(live) == 1
        (loser,) = {first, second} - set(live)
        assert await refusal(server, loser) is ErrorCode.ENROL_REFUSED


# Keys and devices


async def test_a_retry_with_the_same_key_is_the_same_device(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        phone = await server.enrol("alice")
        bob = await server.enrol("bob")
        await server.send(bob, 1, "alice")
        again = await server.prove(server.connect(Kind.ENROL, phone.identity))
        assert again.welcome.device == phone.welcome.device
        assert (again.welcome.since, again.welcome.head) == (0, 1)  # where the first one began
        assert phone.goodbye is ByeReason.REPLACED
        assert len(await server.store.devices(again.session.user_id)) == 1


async def test_a_lost_answer_leaves_a_device_that_the_retry_gets(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        await server.add_user("alice")
        identity = server.new_identity("alice")
        with server.held("page"):
            lost = server.connect(Kind.ENROL, identity)
            await server.settle()
            lost.lose()
        await server.settle()
        assert not server.core.sessions
        phone = await server.prove(server.connect(Kind.ENROL, identity))
        assert phone.welcome.device == 1


@pytest.mark.parametrize("whose", ["bob's", "revoked"])
async def test_a_key_in_use(autojump_clock: MockClock, whose: str) -> None:
    async with running_server() as server:
        await server.add_user("alice", "bob")
        taken = (await server.enrol("bob" if whose == "bob's" else "alice")).identity
        if whose == "revoked":
            await server.store.revoke_device(taken.device, 1)
        thief = server.new_identity("alice")
        thief.key = taken.key
        phone = server.connect(Kind.ENROL, thief)
        assert await refusal(server, phone) is ErrorCode.KEY_IN_USE


async def test_too_many_devices(autojump_clock: MockClock) -> None:
    async with running_server(devices_per_user_max=2) as server:
        await server.add_user("alice")
        first = await server.enrol("alice")
        await server.enrol("alice")
        third = server.new_identity("alice")
        phone = server.connect(Kind.ENROL, third)
        assert await refusal(server, phone) is ErrorCode.TOO_MANY_DEVICES
        await server.store.revoke_device(first.identity.device, 1)
        await server.prove(server.connect(Kind.ENROL, third))


# Limits and trouble


async def test_too_many_passwords_wait(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    async with running_server(
        registration=Registration.CLOSED, password_work=gate.wait, passwords_waiting_max=3
    ) as server:
        phones = [
            server.connect(Kind.ENROL, server.new_identity("alice"), register=True)
            for _ in range(2 + 3 + 1)  # two are worked on
        ]
        await server.settle()
        busy = [phone for phone in phones if not phone.transport.is_open]
        assert len(busy) == 1
        assert await refusal(server, busy[0]) is ErrorCode.BUSY
        assert server.count("denied.busy") == 1
        gate.set()
        await server.settle()
        assert server.count("denied.registration_closed") == 5
        assert not server.core.sessions


async def test_a_phone_that_went_away_takes_no_place_in_the_queue(
    autojump_clock: MockClock,
) -> None:
    gate = trio.Event()
    async with running_server(password_work=gate.wait, passwords_waiting_max=1) as server:
        phones = []
        for _ in range(10):
            phones.append(server.connect(Kind.ENROL, server.new_identity("alice"), register=True))
            await server.settle()
            assert phones[-1].transport.is_open
            if len(phones) > 2:  # two are worked on, this one waits
                phones[-1].lose()
                await server.settle()
        gate.set()
        await server.settle()
        assert server.count("denied.busy") == 0
        assert server.count("session.enrol.FG") == 2


@pytest.mark.parametrize("method", ["find_user", "create_user", "add_device", "page"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreBusy("busy"), ErrorCode.BUSY),
        (StoreFailed("broken"), ErrorCode.UNAVAILABLE),
        (StoreClosed("closing"), ErrorCode.UNAVAILABLE),
    ],
)
async def test_a_store_in_trouble(
    autojump_clock: MockClock, method: str, error: StoreError, code: ErrorCode
) -> None:
    async with running_server() as server:
        server.trouble(method, error)
        phone = server.connect(Kind.ENROL, server.new_identity("alice"), register=True)
        assert await refusal(server, phone) is code


@pytest.mark.parametrize("outcome", ["welcome", "refusal"])
async def test_gone_before_the_password_was_checked(
    autojump_clock: MockClock, outcome: str
) -> None:
    gate = trio.Event()
    async with running_server(password_work=gate.wait) as server:
        identity = server.new_identity("alice")
        phone = server.connect(Kind.ENROL, identity, register=outcome == "welcome")
        await server.settle()
        phone.lose()
        gate.set()
        await server.settle()
        assert not server.core.sessions
        assert not server.core.presence


async def test_an_enrolment_needs_an_enrol(autojump_clock: MockClock) -> None:
    async with running_server() as server:
        phone = server.connect(Kind.ENROL, server.new_identity("alice"))
        records = phone.connection._records
        assert records is not None
        phone.connection._outgoing.clear()  # the Enrol, in the place of which comes a Ready
        records._send.nonce = 0
        phone.connection._seal_bytes(b"\xa1\x61t\x65ready")
        phone.flush()
        assert phone.goodbye is ByeReason.PROTOCOL_ERROR
        assert server.hashings == []


async def test_a_second_enrol_while_the_first_is_checked(autojump_clock: MockClock) -> None:
    gate = trio.Event()
    async with running_server(password_work=gate.wait) as server:
        identity = server.new_identity("alice")
        phone = server.connect(Kind.ENROL, identity, register=True)
        await server.settle()
        assert phone.connection.state is State.ENROLLING
        phone.connection._seal(Enrol("alice", "x", "y", identity.public_key))
        phone.flush()
        assert phone.goodbye is ByeReason.PROTOCOL_ERROR
        gate.set()
        await server.settle()
        assert not server.core.sessions
