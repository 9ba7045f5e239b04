"""Where a server listens, and the key it must prove."""

from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hwangso_client.errors import AddressError
from hwangso_protocol.hello import Intent

KEY_BYTES = 32
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A host and the port of each lane. The same port twice is a server in single-port mode."""

    host: str
    foreground_port: int
    background_port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT` (foreground on PORT, background on PORT + 1) or `HOST:FG,BG`.

        An IPv6 address stands in brackets: `[::1]:7744`. Raises AddressError.
        """
        host, colon, ports = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise AddressError(f"address {text!r}: put an IPv6 address in brackets, [::1]:7744")
        if not colon or not host:
            raise AddressError(f"address {text!r}: expected HOST:PORT or HOST:FG,BG")
        foreground, comma, background = ports.partition(",")
        first = _port(foreground, text)
        return cls(host, first, _port(background if comma else str(first + 1), text))

    def port(self, lane: Intent) -> int:
        """The port of the lane for connects of this intent."""
        return self.foreground_port if lane is Intent.FOREGROUND else self.background_port

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.foreground_port},{self.background_port}"


def parse_server_key(text: str) -> bytes:
    """The server's static public key from its 64 hexadecimal digits. Raises AddressError."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise AddressError("server key: expected 64 hexadecimal digits, as the server prints them")
    if not _is_usable(key):
        raise AddressError("server key: this is nobody's key, copy it from the server's ready line")
    return key


def _is_usable(key: bytes) -> bool:
    """Whether a shared secret can be made with it: not with the few points of low order, zero for
    one (RFC 7748 section 6.1)."""
    try:
        X25519PrivateKey.from_private_bytes(key).exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return False
    return True


def _port(digits: str, text: str) -> int:
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    if not 1 <= port <= PORT_MAX:
        raise AddressError(f"address {text!r}: a port is a number from 1 to {PORT_MAX}")
    return port
