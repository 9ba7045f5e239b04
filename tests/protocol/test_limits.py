"""The claims in `limits.py`: that the largest of each thing fits where it must go."""

import msgspec
from tests.protocol.sides import DEVICE_STATIC, SERVER_KEY, FixedRandom

from hwangso_protocol import limits
from hwangso_protocol.client import Attempt, ClientConnection, LoginWith, ResumeWith
from hwangso_protocol.hello import Intent
from hwangso_protocol.messages import (
    Deliver,
    DeviceInfo,
    DeviceList,
    Enrol,
    Entry,
    Login,
    Page,
    Policy,
    Send,
    Welcome,
    encode,
)
from hwangso_protocol.noise import DHLEN_BYTES, TAG_BYTES
from hwangso_protocol.ticket import TICKET_BYTES

NUMBER = 2**53
NAME = "a" * limits.USER_NAME_MAX_CHARS
WIDE = "\N{COW}"
"""A character of four bytes, the most UTF-8 has."""


def entry(body: str) -> Entry:
    """The largest entry with this text."""
    return Entry(NUMBER, bytes(limits.MESSAGE_ID_BYTES), NAME, NAME, body, NUMBER)


def fullest_page() -> tuple[Entry, ...]:
    share = limits.PAGE_MAX_BODY_BYTES // limits.PAGE_MAX_ENTRIES
    assert share * limits.PAGE_MAX_ENTRIES == limits.PAGE_MAX_BODY_BYTES
    return (entry("x" * share),) * limits.PAGE_MAX_ENTRIES


def largest_welcome() -> Welcome:
    longest = 2**32
    return Welcome(
        user=NAME,
        device=NUMBER,
        ticket=bytes(limits.RESUME_TICKET_MAX_BYTES),
        psk=bytes(32),
        ticket_lifetime_ms=longest,
        since=NUMBER,
        head=NUMBER,
        policy=Policy(longest, longest, longest, background_sync=False),
        entries=fullest_page(),
    )


def test_an_entry_has_at_most_so_many_bytes_besides_its_text() -> None:
    body = "x" * 1_000
    one, two = encode(Deliver((entry(body),))), encode(Deliver((entry(body), entry(body))))
    assert len(two) - len(one) - len(body) <= 150


def test_the_largest_welcome_fits_into_an_answer() -> None:
    welcome = largest_welcome()
    assert len(encode(welcome)) <= limits.ANSWER_PAYLOAD_MAX_BYTES
    rest_bytes = len(encode(msgspec.structs.replace(welcome, entries=())))
    page_bytes = limits.PAGE_MAX_ENTRIES * 150 + limits.PAGE_MAX_BODY_BYTES
    assert rest_bytes < 5 * 1024 < limits.ANSWER_PAYLOAD_MAX_BYTES - page_bytes


def test_the_fullest_page_fits_into_a_record() -> None:
    assert len(encode(Page(NUMBER, fullest_page()))) <= limits.MESSAGE_MAX_BYTES
    # A page takes one entry in any case: the longest text there is, alone.
    longest = entry(WIDE * limits.BODY_MAX_CHARS)
    assert len(encode(Page(NUMBER, (longest,)))) <= limits.MESSAGE_MAX_BYTES
    assert len(longest.body.encode()) <= limits.PAGE_MAX_BODY_BYTES


def test_the_longest_device_list_fits_into_a_record() -> None:
    device = DeviceInfo(NUMBER, WIDE * limits.DEVICE_NAME_MAX_CHARS, NUMBER, True, True)
    devices = DeviceList((device,) * limits.DEVICES_PER_USER_MAX)
    assert len(encode(devices)) <= limits.MESSAGE_MAX_BYTES


def test_the_largest_client_messages_fit_into_a_record() -> None:
    send = Send(bytes(limits.MESSAGE_ID_BYTES), NAME, WIDE * limits.BODY_MAX_CHARS)
    assert len(encode(send)) <= limits.MESSAGE_MAX_BYTES
    enrol = Enrol(
        NAME,
        WIDE * limits.PASSWORD_MAX_CHARS,
        WIDE * limits.DEVICE_NAME_MAX_CHARS,
        bytes(32),
        True,
    )
    assert len(encode(enrol)) <= limits.MESSAGE_MAX_BYTES


def hello_bytes(credentials: LoginWith | ResumeWith, deferral_ticket: bytes) -> int:
    attempt = Attempt(Intent.FOREGROUND, 255, deferral_ticket)
    return len(ClientConnection(credentials, attempt, FixedRandom("x")).data_to_send())


def test_the_largest_hello_of_any_server_fits() -> None:
    login = Login(NUMBER, limits.PAGE_MAX_ENTRIES - 1, WIDE * limits.AGENT_MAX_CHARS)
    deferral_ticket = bytes(limits.DEFERRAL_TICKET_MAX_BYTES)
    ticket = bytes(limits.RESUME_TICKET_MAX_BYTES)
    sizes = {
        hello_bytes(LoginWith(SERVER_KEY, DEVICE_STATIC, login), deferral_ticket),
        hello_bytes(ResumeWith(ticket, bytes(32), login), deferral_ticket),
    }
    assert max(sizes) <= limits.HELLO_MAX_BYTES


def test_a_usual_hello_is_as_small_as_limits_say() -> None:
    login = Login(1_000_000, limits.PAGE_MAX_ENTRIES, "hwangso 0.1.0")
    resume = ResumeWith(bytes(TICKET_BYTES), bytes(32), login)
    assert hello_bytes(resume, b"") < 300


def test_sums_are_what_they_say() -> None:
    assert limits.ANSWER_PAYLOAD_MAX_BYTES == 65_535 - DHLEN_BYTES - TAG_BYTES
    assert limits.MESSAGE_MAX_BYTES == limits.RECORD_MAX_BYTES - TAG_BYTES
    assert limits.RECORD_TAG_BYTES == TAG_BYTES
    assert limits.ANSWER_MAX_BYTES == 65_538
