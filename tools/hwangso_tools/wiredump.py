"""The annotated hex dump of a whole session that `protocol/README.md` shows.

    python -m hwangso_tools.wiredump                        # print it
    python -m hwangso_tools.wiredump protocol/README.md     # write it between the README's markers

Real connections make the bytes, with fixed keys and fixed randomness, so an implementation in
another language can hold its own bytes against them. A test compares the README with this.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import cbor2
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hwangso_protocol.answer import PREFIX
from hwangso_protocol.client import Attempt, ClientConnection, EnrolWith, LoginWith, ResumeWith
from hwangso_protocol.hello import HEADER, Intent, Kind
from hwangso_protocol.messages import (
    Bye,
    ByeReason,
    Deliver,
    Enrol,
    Entry,
    Login,
    Message,
    Policy,
    Ready,
    Send,
    Sent,
    Welcome,
    encode,
)
from hwangso_protocol.noise import DHLEN_BYTES, TAG_BYTES
from hwangso_protocol.records import LENGTH_BYTES
from hwangso_protocol.server import ServerConnection
from hwangso_protocol.ticket import ResumeTicket, TicketKey, TicketRing

BEGIN: Final = "<!-- wire dump: begin -->"
END: Final = "<!-- wire dump: end -->"
BYTES_PER_LINE: Final = 16

# Every secret is one byte, 32 times: X25519 clamps it, nothing else looks at its form.
SERVER_STATIC: Final = bytes([0x51]) * 32
DEVICE_STATIC: Final = bytes([0xD1]) * 32
TICKET_KEY: Final = TicketKey(1, bytes([0x7E]) * 32)
PSK: Final = bytes([0x33]) * 32
AT_MS: Final = 1_700_000_000_000
POLICY: Final = Policy(keepalive_ms=60_000, backoff_base_ms=500, backoff_cap_ms=60_000)
MISSED: Final = Entry(1, bytes([0xB0]) * 16, "bob", "alice", "안녕", AT_MS)
ANSWER: Final = Entry(2, bytes([0xB1]) * 16, "bob", "alice", "hi", AT_MS + 2)
HEADER_FIELDS: Final = (
    (4, 'magic "HWNG"'),
    (1, "version"),
    (1, "intent: 46 FOREGROUND, 42 BACKGROUND"),
    (1, "kind: 01 enrol, 02 login, 03 resume"),
    (1, "attempt"),
    (2, "length of the resume ticket"),
    (2, "length of the deferral ticket"),
    (2, "length of the Noise message"),
)

Field = tuple[bytes, str]


def main(arguments: list[str]) -> int:
    """Print the dump, or write it into the file named. Returns the exit code."""
    if not arguments:
        print(dump())
        return 0
    readme = Path(arguments[0])
    try:
        before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
    except (OSError, ValueError, IndexError):
        print(f"error: {readme} cannot be read, or lacks {BEGIN!r} and {END!r}", file=sys.stderr)
        return 2
    readme.write_text(f"{before}{BEGIN}\n{dump()}\n{END}{after}", encoding="utf-8")
    return 0


def dump() -> str:
    """The section, without its markers."""
    lines = ["```text", *_keys(), *_enrol_session(), *_login_session(), *_resume_session(), "```"]
    return "\n".join(line.rstrip() for line in lines)


class _Talk:
    """One connection: two sides, and the lines that tell what passed between them."""

    def __init__(self, title: str, client_ephemeral: int, server_ephemeral: int) -> None:
        self.lines = ["", f"==== {title} ====", ""]
        self.client_random = _once(bytes([client_ephemeral]) * DHLEN_BYTES)
        self.server = ServerConnection(
            X25519PrivateKey.from_private_bytes(SERVER_STATIC),
            _once(bytes([server_ephemeral]) * DHLEN_BYTES),
        )
        self.lines += [
            f"client ephemeral private key  {client_ephemeral:02x} x 32",
            f"server ephemeral private key  {server_ephemeral:02x} x 32",
        ]

    def hello(self, client: ClientConnection, kind: Kind, payload: Message | None) -> None:
        self.client = client
        raw = client.data_to_send()
        lengths = HEADER.unpack_from(raw)[-3:]
        cut = _Cutter(raw)
        fields = [cut.take(size, note) for size, note in HEADER_FIELDS]
        fields += [cut.take(lengths[0], "resume ticket")] if lengths[0] else []
        fields += [cut.take(lengths[1], "deferral ticket")] if lengths[1] else []
        fields.append(cut.take(DHLEN_BYTES, "Noise message 1: e, the client's ephemeral key"))
        if kind is Kind.LOGIN:
            fields.append(cut.take(DHLEN_BYTES + TAG_BYTES, "s, encrypted, with its tag"))
        fields += cut.payload_and_tag()
        self._show("C -> S", f"hello ({kind.name})", raw, fields, payload)
        self.server.receive_data(raw)

    def accept(self, welcome: Welcome | None, psk: bytes | None = None) -> None:
        self.server.read_first_message(psk)
        self.server.accept(welcome)
        raw = self.server.data_to_send()
        cut = _Cutter(raw)
        fields = [
            cut.take(1, 'type "A", ACCEPT'),
            cut.take(PREFIX.size - 1, "length of the Noise message"),
            cut.take(DHLEN_BYTES, "Noise message 2: e, the server's ephemeral key"),
            *cut.payload_and_tag(),
        ]
        self._show("S -> C", "answer", raw, fields, welcome)
        self.client.receive_data(raw)

    def from_client(self, message: Message) -> None:
        """A record of the client's, sent now unless it has sent it by itself (Enrol)."""
        if not isinstance(message, Enrol):
            _send(self.client, message)
        self._record("C -> S", self.client.data_to_send(), message)

    def from_server(self, message: Message) -> None:
        if isinstance(message, Welcome):
            self.server.welcome_enrolled(message)
        else:
            _send(self.server, message)
        self._record("S -> C", self.server.data_to_send(), message)

    def _record(self, way: str, raw: bytes, message: Message) -> None:
        cut = _Cutter(raw)
        fields = [cut.take(LENGTH_BYTES, "length of the ciphertext"), *cut.payload_and_tag()]
        self._show(way, "record", raw, fields, message)
        receiver = self.server if way == "C -> S" else self.client
        receiver.receive_data(raw)

    def _show(
        self, way: str, what: str, raw: bytes, fields: list[Field], message: Message | None
    ) -> None:
        self.lines += ["", f"{way}  {what}, {len(raw)} bytes"]
        at = 0
        for part, note in fields:
            self.lines += _hex_lines(part, at, note)
            at += len(part)
        if message is not None:
            encoded = encode(message)
            self.lines.append(f"  plaintext, {len(encoded)} bytes:")
            self.lines.append(f"    {diagnostic(cbor2.loads(encoded))}")
            self.lines += [f"    {line}" for line in _hex_lines(encoded, 0, "")]


class _Cutter:
    """Takes annotated fields off the front of a packet."""

    def __init__(self, raw: bytes) -> None:
        self._rest = raw

    def take(self, size: int, note: str) -> Field:
        part, self._rest = self._rest[:size], self._rest[size:]
        return part, note

    def payload_and_tag(self) -> Iterator[Field]:
        """All that is left: a ciphertext, which may be empty, and its tag."""
        if size := len(self._rest) - TAG_BYTES:
            yield self.take(size, "ciphertext")
        yield self.take(TAG_BYTES, "tag")


def _keys() -> list[str]:
    def both(name: str, private: bytes) -> list[str]:
        public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        return [f"{name} private key     {private[0]:02x} x 32", f"  public {public.hex()}"]

    return [
        *both("server static", SERVER_STATIC),
        *both("device static", DEVICE_STATIC),
        f"ticket key {TICKET_KEY.id}              {TICKET_KEY.secret[0]:02x} x 32",
        f"psk of each ticket        {PSK[0]:02x} x 32",
    ]


def _enrol_session() -> list[str]:
    talk = _Talk("1. Enrol", 0xE1, 0xE2)
    key = X25519PrivateKey.from_private_bytes(DEVICE_STATIC).public_key().public_bytes_raw()
    enrol = Enrol("alice", "correct horse", "phone", key)
    client = ClientConnection(
        EnrolWith(_server_key(), enrol), Attempt(Intent.FOREGROUND), talk.client_random
    )
    talk.hello(client, Kind.ENROL, None)
    talk.accept(None)
    talk.from_client(enrol)
    talk.from_server(_welcome(since=0, nonce=0xA1))
    talk.from_client(Bye())
    return talk.lines


def _login_session() -> list[str]:
    talk = _Talk("2. Login, with one message missed", 0xC1, 0xC2)
    login = Login(since=0, agent="dump")
    device_key = X25519PrivateKey.from_private_bytes(DEVICE_STATIC)
    client = ClientConnection(
        LoginWith(_server_key(), device_key, login), Attempt(Intent.BACKGROUND), talk.client_random
    )
    talk.hello(client, Kind.LOGIN, login)
    talk.accept(_welcome(since=0, nonce=0xA2, missed=(MISSED,)))
    talk.from_client(Ready())
    talk.from_client(Bye())
    return talk.lines


def _resume_session() -> list[str]:
    talk = _Talk("3. Resume, at the second attempt; a message each way", 0xC3, 0xC4)
    login = Login(since=1, agent="dump")
    ticket = _ticket(nonce=0xA2)
    client = ClientConnection(
        ResumeWith(ticket, PSK, login), Attempt(Intent.FOREGROUND, 2), talk.client_random
    )
    talk.hello(client, Kind.RESUME, login)
    talk.accept(_welcome(since=1, nonce=0xA3), PSK)
    send = Send(bytes([0xA0]) * 16, "bob", "돌아왔어")
    talk.from_client(send)
    talk.from_server(Sent(send.id, AT_MS + 1))
    talk.from_server(Deliver((ANSWER,)))
    talk.from_server(Bye(ByeReason.SHUTTING_DOWN))
    return talk.lines


def _welcome(*, since: int, nonce: int, missed: tuple[Entry, ...] = ()) -> Welcome:
    return Welcome(
        user="alice",
        device=1,
        ticket=_ticket(nonce),
        psk=PSK,
        ticket_lifetime_ms=86_400_000,
        since=since,
        head=missed[-1].seq if missed else since,
        policy=POLICY,
        entries=missed,
    )


def _ticket(nonce: int) -> bytes:
    ticket = ResumeTicket(
        user_id=1,
        user_name="alice",
        device_id=1,
        issued_at_ms=AT_MS,
        expires_at_ms=AT_MS + 86_400_000,
        psk=PSK,
    )
    return TicketRing([TICKET_KEY]).seal(ticket, lambda size: bytes([nonce]) * size)


def _server_key() -> bytes:
    return X25519PrivateKey.from_private_bytes(SERVER_STATIC).public_key().public_bytes_raw()


def _send(connection: ClientConnection | ServerConnection, message: Message) -> None:
    if isinstance(message, Bye):
        connection.close(message.reason)
    else:
        connection.send(message)


def _once(value: bytes) -> Callable[[int], bytes]:
    """Randomness that is asked for once, for one ephemeral key."""
    values = iter([value])
    return lambda _size: next(values)


def _hex_lines(part: bytes, at: int, note: str) -> list[str]:
    lines = []
    for offset in range(0, len(part), BYTES_PER_LINE):
        digits = part[offset : offset + BYTES_PER_LINE].hex(" ")
        lines.append(f"  {at + offset:04x}  {digits:<47}  {note if offset == 0 else ''}".rstrip())
    return lines


def diagnostic(item: object) -> str:
    """CBOR in diagnostic notation (RFC 8949 section 8), as far as our messages need it."""
    match item:
        case bytes():
            return f"h'{item.hex()}'"
        case list() | tuple():
            return f"[{', '.join(map(diagnostic, item))}]"
        case Mapping():
            pairs = (f"{diagnostic(key)}: {diagnostic(value)}" for key, value in item.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return json.dumps(item, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
