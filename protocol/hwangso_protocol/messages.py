"""The messages inside records: CBOR maps with a type tag `t`, decoded into typed structs.

`messages.cddl` is the same as a schema (RFC 8610). Unknown fields are ignored and optional ones
have defaults, so that old and new peers interoperate; an unknown type raises UnknownMessageError,
which is answered, not fatal. Decoding is bounded: no indefinite lengths, no tags, no duplicate
keys, a small depth, nothing behind the item.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from io import BytesIO
from typing import Annotated, Final, NoReturn, Self

import cbor2
import msgspec
from msgspec import Meta, Struct

from hwangso_protocol.errors import Fault, ProtocolError, UnknownMessageError
from hwangso_protocol.limits import (
    AGENT_MAX_CHARS,
    BODY_MAX_CHARS,
    CBOR_MAX_DEPTH,
    DETAIL_MAX_CHARS,
    DEVICE_NAME_MAX_CHARS,
    DEVICES_PER_USER_MAX,
    MESSAGE_ID_BYTES,
    MESSAGE_MAX_BYTES,
    PAGE_MAX_ENTRIES,
    PASSWORD_MAX_CHARS,
    RESUME_TICKET_MAX_BYTES,
    USER_NAME_MAX_CHARS,
)

USER_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*\Z"

UserName = Annotated[str, Meta(max_length=USER_NAME_MAX_CHARS, pattern=USER_NAME_PATTERN)]
DeviceName = Annotated[str, Meta(min_length=1, max_length=DEVICE_NAME_MAX_CHARS)]
Password = Annotated[str, Meta(min_length=1, max_length=PASSWORD_MAX_CHARS)]
Body = Annotated[str, Meta(min_length=1, max_length=BODY_MAX_CHARS)]
MessageId = Annotated[bytes, Meta(min_length=MESSAGE_ID_BYTES, max_length=MESSAGE_ID_BYTES)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Seq = Annotated[int, Meta(ge=0, le=2**53)]
"""Position in an inbox; 2^53 so that JavaScript and friends can hold it."""
TimeMs = Annotated[int, Meta(ge=0, le=2**53)]
"""Milliseconds since 1970-01-01T00:00Z, by the server's clock."""
Number = Annotated[int, Meta(ge=0, le=2**53)]
Detail = Annotated[str, Meta(max_length=DETAIL_MAX_CHARS)]
DurationMs = Annotated[int, Meta(ge=0, le=2**32)]


class _OpenStrEnum(StrEnum):
    """An enum of codes in which one that a newer peer made up reads as OTHER."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls("other") if isinstance(value, str) else None


class ErrorCode(_OpenStrEnum):
    """Why a request was not carried out; the README says what a client does about each."""

    OTHER = "other"
    ENROL_REFUSED = "enrol_refused"
    REGISTRATION_CLOSED = "registration_closed"
    USER_DISABLED = "user_disabled"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_REVOKED = "device_revoked"
    TOO_MANY_DEVICES = "too_many_devices"
    KEY_IN_USE = "key_in_use"
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_MESSAGE = "unknown_message"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


class ByeReason(_OpenStrEnum):
    """Why a session ends."""

    OTHER = "other"
    CLOSED = "closed"
    SHUTTING_DOWN = "shutting_down"
    IDLE = "idle"
    REPLACED = "replaced"
    REVOKED = "revoked"
    SLOW_READER = "slow_reader"
    PROTOCOL_ERROR = "protocol_error"


class _Message(Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """Common to all messages. `gc=False`: they hold no cycles, and a busy server makes millions."""


class Entry(Struct, frozen=True, gc=False):
    """One message in an inbox: `seq` is its place there, `id` what its sender named it."""

    seq: Seq
    id: MessageId
    sender: UserName
    to: UserName
    body: Body
    at_ms: TimeMs


Entries = Annotated[tuple[Entry, ...], Meta(max_length=PAGE_MAX_ENTRIES)]


class Policy(Struct, frozen=True, omit_defaults=True):
    """How the server wants the device to behave until the next Welcome.

    Send something at least every `keepalive_ms`; a reconnect waits by back-off between
    `backoff_base_ms` and `backoff_cap_ms`. Without `background_sync` a device whose app is not on
    the screen does not ask for what the Welcome left out, until the app is opened or a More comes.
    """

    keepalive_ms: DurationMs
    backoff_base_ms: DurationMs
    backoff_cap_ms: DurationMs
    background_sync: bool = True


class DeviceInfo(Struct, frozen=True, omit_defaults=True):
    """One device in a user's list. `this`: it is the one that asks."""

    device: Number
    name: DeviceName
    created_at_ms: TimeMs
    online: bool = False
    this: bool = False


# From the client


class Login(_Message, frozen=True, tag="login"):
    """Payload of the first Noise message of a login or resume: send me what comes after `since`."""

    since: Seq
    limit: Annotated[int, Meta(ge=0, le=PAGE_MAX_ENTRIES)] = PAGE_MAX_ENTRIES
    agent: Annotated[str, Meta(max_length=AGENT_MAX_CHARS)] = ""


class Enrol(_Message, frozen=True, tag="enrol"):
    """First message of an enrolment: register this device's static public key `key`.

    With `register` the user is made too, where the operator allows it.
    """

    user: UserName
    password: Password
    device: DeviceName
    key: Key
    register: bool = False


class Ready(_Message, frozen=True, tag="ready"):
    """The first message after a login or resume, if there is nothing else to say: it proves the
    keys, and only then does the session go online."""


class Send(_Message, frozen=True, tag="send"):
    """Store and deliver a message. A retry carries the same `id` and is stored once."""

    id: MessageId
    to: UserName
    body: Body


class Sync(_Message, frozen=True, tag="sync"):
    """Ask for the page of the inbox after `since`."""

    since: Seq
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX_ENTRIES)] = PAGE_MAX_ENTRIES


class Received(_Message, frozen=True, tag="received"):
    """This device holds everything up to `seq`; the server need not keep it for this device."""

    seq: Seq


class Foreground(_Message, frozen=True, tag="foreground"):
    """The user opened the app on this live connection."""


class Background(_Message, frozen=True, tag="background"):
    """The user left the app; the connection is kept warm."""


class ListDevices(_Message, frozen=True, tag="list_devices"):
    """Ask for the user's devices."""


class RevokeDevice(_Message, frozen=True, tag="revoke_device"):
    """End this device of the same user: its session, its tickets, its key."""

    device: Number


# From both


class Ping(_Message, frozen=True, tag="ping"):
    """Answer with a Pong of the same number."""

    n: Number = 0


class Pong(_Message, frozen=True, tag="pong"):
    """Answer to a Ping: the peer is there."""

    n: Number = 0


class Bye(_Message, frozen=True, tag="bye"):
    """The sender closes the connection after this."""

    reason: ByeReason = ByeReason.CLOSED


class Error(_Message, frozen=True, tag="error"):
    """A request was not carried out. `id` names the Send it answers, if it was one."""

    code: ErrorCode
    detail: Detail = ""
    id: MessageId | None = None


# From the server


class Welcome(_Message, frozen=True, tag="welcome"):
    """Answer to a login, resume or enrolment: who you are, how to resume, and what you missed.

    `since` is the device's place in the inbox: for an enrolment where it begins, else what was
    asked for, or `head` where that is lower: then the server has lost history, and the device goes
    on from there. `entries` is the first page after `since`; while the last seq is below `head`,
    ask for more with Sync. `ticket` and `psk` serve one resume within `ticket_lifetime_ms`.
    """

    user: UserName
    device: Number
    ticket: Annotated[bytes, Meta(min_length=1, max_length=RESUME_TICKET_MAX_BYTES)]
    psk: Key
    ticket_lifetime_ms: DurationMs
    since: Seq
    head: Seq
    policy: Policy
    entries: Entries = ()


class Sent(_Message, frozen=True, tag="sent"):
    """The message `id` is on disk. `at_ms` is the time the server gave it."""

    id: MessageId
    at_ms: TimeMs


class Page(_Message, frozen=True, tag="page"):
    """Answer to Sync. `head` is the last seq of the inbox. Without entries nothing is left after
    `since` (older entries may have been pruned): the device's place is then `head`."""

    head: Seq
    entries: Entries = ()


class Deliver(_Message, frozen=True, tag="deliver"):
    """New entries, next in order after all that this session was sent before."""

    entries: Entries


class More(_Message, frozen=True, tag="more"):
    """The inbox goes on to `head`, beyond what this session was sent: ask with Sync."""

    head: Seq


class DeviceList(_Message, frozen=True, tag="device_list"):
    """Answer to ListDevices, and to RevokeDevice: what is left."""

    devices: Annotated[tuple[DeviceInfo, ...], Meta(max_length=DEVICES_PER_USER_MAX)]


ClientMessage = (
    Login
    | Enrol
    | Ready
    | Send
    | Sync
    | Received
    | Foreground
    | Background
    | ListDevices
    | RevokeDevice
    | Ping
    | Pong
    | Bye
    | Error
)
ServerMessage = Welcome | Sent | Page | Deliver | More | DeviceList | Ping | Pong | Bye | Error
Message = ClientMessage | ServerMessage

_BOTH: Final[tuple[type[Message], ...]] = (Ping, Pong, Bye, Error)
_FROM_CLIENT: Final[tuple[type[Message], ...]] = (
    Login,
    Enrol,
    Ready,
    Send,
    Sync,
    Received,
    Foreground,
    Background,
    ListDevices,
    RevokeDevice,
)
_FROM_SERVER: Final[tuple[type[Message], ...]] = (Welcome, Sent, Page, Deliver, More, DeviceList)


def _by_tag(types: tuple[type[Message], ...]) -> Mapping[str, type[Message]]:
    return {str(kind.__struct_config__.tag): kind for kind in types}


FROM_CLIENT: Final = _by_tag(_FROM_CLIENT + _BOTH)
"""The messages a client may send, by tag."""
FROM_SERVER: Final = _by_tag(_FROM_SERVER + _BOTH)
"""The messages a server may send, by tag."""


class _NoTags(Mapping[int, Callable[[cbor2.CBORDecoder, bool], object]]):
    """Refuses every CBOR tag: bignums, regular expressions, decimal fractions and shared
    references cost time or memory out of proportion to their bytes, and we use none."""

    def __getitem__(self, tag: int) -> Callable[[cbor2.CBORDecoder, bool], object]:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _refuse_tag(_decoder: cbor2.CBORDecoder, _immutable: bool) -> NoReturn:
    raise ValueError("tags are not used in this protocol")


_NO_TAGS = _NoTags()


def encode(message: Message) -> bytes:
    """The CBOR bytes of a message. Raises ValueError if they do not fit into one record."""
    data = cbor2.dumps(msgspec.to_builtins(message, builtin_types=(bytes,)))
    if len(data) > MESSAGE_MAX_BYTES:
        raise ValueError(f"message of {len(data)} bytes, at most {MESSAGE_MAX_BYTES} fit")
    return data


def decode(data: bytes, allowed: Mapping[str, type[Message]]) -> Message:
    """The message in `data`, one of `allowed` (FROM_CLIENT or FROM_SERVER).

    Raises ProtocolError(BAD_MESSAGE) for anything that is not a well-formed message within the
    limits, UnknownMessageError for a well-formed one of a type that is not in `allowed`.
    """
    stream = BytesIO(data)
    try:
        item = cbor2.CBORDecoder(
            stream,
            semantic_decoders=_NO_TAGS,
            max_depth=CBOR_MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode()
    except cbor2.CBORDecodeError as error:
        raise ProtocolError(Fault.BAD_MESSAGE, f"not CBOR within the limits: {error}") from None
    if stream.tell() != len(data):
        raise ProtocolError(Fault.BAD_MESSAGE, "bytes behind the message")
    tag = item.get("t") if isinstance(item, dict) else None
    if not isinstance(tag, str):
        raise ProtocolError(Fault.BAD_MESSAGE, "not a map with a type")
    kind = allowed.get(tag)
    if kind is None:
        raise UnknownMessageError(tag[: DETAIL_MAX_CHARS // 2])
    try:
        # Without builtin_types msgspec would read text as base64 where bytes are wanted.
        return msgspec.convert(item, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise ProtocolError(Fault.BAD_MESSAGE, f"{tag}: {error}") from None
