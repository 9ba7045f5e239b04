"""Hypothesis strategies for everything a peer can send, made from the limits, not from the code."""

from hypothesis import strategies as st

from hwangso_protocol import limits
from hwangso_protocol.messages import (
    Background,
    Bye,
    ByeReason,
    Deliver,
    DeviceInfo,
    DeviceList,
    Enrol,
    Entry,
    Error,
    ErrorCode,
    Foreground,
    ListDevices,
    Login,
    Message,
    More,
    Page,
    Ping,
    Policy,
    Pong,
    Ready,
    Received,
    RevokeDevice,
    Send,
    Sent,
    Sync,
    Welcome,
)

NUMBERS = st.integers(0, 2**53) | st.sampled_from([0, 23, 24, 255, 256, 2**32, 2**53])
DURATIONS_MS = st.integers(0, 2**32)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
USER_NAMES = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(LETTERS),
        st.text(LETTERS + "._-", max_size=limits.USER_NAME_MAX_CHARS - 1),
    ),
)
CHARACTERS = st.characters(codec="utf-8")
"""All of Unicode but surrogates, which UTF-8 cannot carry."""


def texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    """Text of so many characters, the longest too, which hypothesis alone comes up with rarely."""
    longest = CHARACTERS.map(lambda character: character * most)
    return st.text(CHARACTERS, min_size=least, max_size=min(most, 40)) | longest


KEYS = st.binary(min_size=32, max_size=32)
MESSAGE_IDS = st.binary(min_size=limits.MESSAGE_ID_BYTES, max_size=limits.MESSAGE_ID_BYTES)
TICKETS = st.binary(min_size=1, max_size=limits.RESUME_TICKET_MAX_BYTES)
BODIES = texts(limits.BODY_MAX_CHARS, 1)
ENTRIES = st.lists(
    st.builds(
        Entry,
        seq=NUMBERS,
        id=MESSAGE_IDS,
        sender=USER_NAMES,
        to=USER_NAMES,
        body=texts(40, 1),
        at_ms=NUMBERS,
    ),
    max_size=8,
).map(tuple)
POLICIES = st.builds(
    Policy,
    keepalive_ms=DURATIONS_MS,
    backoff_base_ms=DURATIONS_MS,
    backoff_cap_ms=DURATIONS_MS,
    background_sync=st.booleans(),
)
PAGE_LIMITS = st.integers(1, limits.PAGE_MAX_ENTRIES)

FROM_CLIENT: dict[type[Message], st.SearchStrategy[Message]] = {
    Login: st.builds(
        Login,
        since=NUMBERS,
        limit=st.integers(0, limits.PAGE_MAX_ENTRIES),
        agent=texts(limits.AGENT_MAX_CHARS),
    ),
    Enrol: st.builds(
        Enrol,
        user=USER_NAMES,
        password=texts(limits.PASSWORD_MAX_CHARS, 1),
        device=texts(limits.DEVICE_NAME_MAX_CHARS, 1),
        key=KEYS,
        register=st.booleans(),
    ),
    Ready: st.just(Ready()),
    Send: st.builds(Send, id=MESSAGE_IDS, to=USER_NAMES, body=BODIES),
    Sync: st.builds(Sync, since=NUMBERS, limit=PAGE_LIMITS),
    Received: st.builds(Received, seq=NUMBERS),
    Foreground: st.just(Foreground()),
    Background: st.just(Background()),
    ListDevices: st.just(ListDevices()),
    RevokeDevice: st.builds(RevokeDevice, device=NUMBERS),
}
FROM_BOTH: dict[type[Message], st.SearchStrategy[Message]] = {
    Ping: st.builds(Ping, n=NUMBERS),
    Pong: st.builds(Pong, n=NUMBERS),
    Bye: st.builds(Bye, reason=st.sampled_from(ByeReason)),
    Error: st.builds(
        Error,
        code=st.sampled_from(ErrorCode),
        detail=texts(limits.DETAIL_MAX_CHARS),
        id=st.none() | MESSAGE_IDS,
    ),
}
FROM_SERVER: dict[type[Message], st.SearchStrategy[Message]] = {
    Welcome: st.builds(
        Welcome,
        user=USER_NAMES,
        device=NUMBERS,
        ticket=TICKETS,
        psk=KEYS,
        ticket_lifetime_ms=DURATIONS_MS,
        since=NUMBERS,
        head=NUMBERS,
        policy=POLICIES,
        entries=ENTRIES,
    ),
    Sent: st.builds(Sent, id=MESSAGE_IDS, at_ms=NUMBERS),
    Page: st.builds(Page, head=NUMBERS, entries=ENTRIES),
    Deliver: st.builds(Deliver, entries=ENTRIES),
    More: st.builds(More, head=NUMBERS),
    DeviceList: st.builds(
        DeviceList,
        devices=st.lists(
            st.builds(
                DeviceInfo,
                device=NUMBERS,
                name=texts(limits.DEVICE_NAME_MAX_CHARS, 1),
                created_at_ms=NUMBERS,
                online=st.booleans(),
                this=st.booleans(),
            ),
            max_size=8,
        ).map(tuple),
    ),
}
CLIENT_MESSAGES = st.one_of(*FROM_CLIENT.values(), *FROM_BOTH.values())
SERVER_MESSAGES = st.one_of(*FROM_SERVER.values(), *FROM_BOTH.values())
