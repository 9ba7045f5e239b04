"""The Noise Protocol Framework, revision 34, for `25519_AESGCM_SHA256`.

A pattern is data: the tokens of each message (Noise section 7). One loop writes them, one loop
reads them (section 5.3). Names are those of the specification. All randomness comes from the
caller, through `random_bytes`.

After the last message `HandshakeState.split` gives the two transport `CipherState`s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DHLEN_BYTES = 32
HASHLEN_BYTES = 32
BLOCKLEN_BYTES = 64
TAG_BYTES = 16
KEY_BYTES = 32
MAX_NONCE = 2**64 - 1
"""Reserved for rekey (section 4.2); reaching it is an error, never a wrap-around."""
_ZEROS = bytes(32)
_NONCE_PREFIX = bytes(4)

RandomBytes = Callable[[int], bytes]


class NoiseError(Exception):
    """A message that does not decrypt, is too short, or holds an invalid public key."""


class Token(Enum):
    """What a handshake message is made of (section 7.1)."""

    E = "e"
    S = "s"
    EE = "ee"
    ES = "es"
    SE = "se"
    SS = "ss"
    PSK = "psk"


@dataclass(frozen=True)
class Pattern:
    """A handshake pattern.

    `initiator_known` and `responder_known` say whose static key the other side has beforehand
    (the pre-messages, section 7.1); messages alternate, the initiator writes the first.
    """

    name: str
    messages: tuple[tuple[Token, ...], ...]
    responder_known: bool = False
    initiator_known: bool = False

    @cached_property
    def protocol_name(self) -> bytes:
        return f"Noise_{self.name}_25519_AESGCM_SHA256".encode()

    @cached_property
    def has_psk(self) -> bool:
        return any(Token.PSK in message for message in self.messages)


NK = Pattern("NK", ((Token.E, Token.ES), (Token.E, Token.EE)), responder_known=True)
"""Enrol: the server proves itself, the device is nobody yet."""

IK = Pattern(
    "IK",
    ((Token.E, Token.ES, Token.S, Token.SS), (Token.E, Token.EE, Token.SE)),
    responder_known=True,
)
"""Login: both prove their static keys in one round trip."""

NNPSK0 = Pattern("NNpsk0", ((Token.PSK, Token.E), (Token.E, Token.EE)))
"""Resume: one Diffie-Hellman; both sides prove that they hold the ticket's key."""


class CipherState:
    """A key and its nonce counter (section 5.1).

    The AES object is made when first needed and can be dropped with `cool`: it takes 2.4 kB of
    memory against 32 bytes for the key, and 1.2 us to make (measured), which is not what a silent
    connection should keep.
    """

    __slots__ = ("_aead", "_key", "nonce")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._aead: AESGCM | None = None
        self.nonce = 0

    def encrypt_with_ad(self, ad: bytes | None, plaintext: bytes) -> bytes:
        aead = self._aead
        if aead is None:
            aead = self._aead = AESGCM(self._key)
        ciphertext = aead.encrypt(self._next_nonce(), plaintext, ad)
        self.nonce += 1
        return ciphertext

    def decrypt_with_ad(self, ad: bytes | None, ciphertext: bytes) -> bytes:
        """Raises NoiseError when the tag does not fit; the nonce then stays as it was."""
        aead = self._aead
        if aead is None:
            aead = self._aead = AESGCM(self._key)
        try:
            plaintext = aead.decrypt(self._next_nonce(), ciphertext, ad)
        except InvalidTag:
            raise NoiseError("decryption failed") from None
        self.nonce += 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by REKEY(k) (section 4.2). The nonce goes on counting."""
        nonce = _NONCE_PREFIX + MAX_NONCE.to_bytes(8, "big")
        self._key = AESGCM(self._key).encrypt(nonce, _ZEROS, None)[:KEY_BYTES]
        self._aead = None

    def cool(self) -> None:
        """Drop the AES object; the next use makes it again."""
        self._aead = None

    def _next_nonce(self) -> bytes:
        if self.nonce >= MAX_NONCE:
            raise NoiseError("nonces exhausted")
        return _NONCE_PREFIX + self.nonce.to_bytes(8, "big")


class HmacKey:
    """HMAC-SHA256 (RFC 2104) under one key of 32 bytes, used for two or three messages.

    Six handshake steps make sixteen of these; so written they take 1.2 us each, `hmac.digest`
    2.1 us (measured): 5 % of a resume.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        self._inner = key.translate(_INNER) + _INNER_PAD
        self._outer = key.translate(_OUTER) + _OUTER_PAD

    def digest(self, message: bytes) -> bytes:
        return sha256(self._outer + sha256(self._inner + message).digest()).digest()


_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_INNER_PAD = b"\x36" * (BLOCKLEN_BYTES - HASHLEN_BYTES)
_OUTER_PAD = b"\x5c" * (BLOCKLEN_BYTES - HASHLEN_BYTES)


def hkdf2(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """HKDF with two outputs (section 4.3)."""
    temp = HmacKey(HmacKey(chaining_key).digest(material))
    first = temp.digest(b"\x01")
    return first, temp.digest(first + b"\x02")


def hkdf3(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes, bytes]:
    """HKDF with three outputs (section 4.3)."""
    temp = HmacKey(HmacKey(chaining_key).digest(material))
    first = temp.digest(b"\x01")
    second = temp.digest(first + b"\x02")
    return first, second, temp.digest(second + b"\x03")


class SymmetricState:
    """Chaining key, handshake hash and the current cipher (section 5.2)."""

    __slots__ = ("chaining_key", "cipher", "handshake_hash")

    def __init__(self, protocol_name: bytes) -> None:
        if len(protocol_name) <= HASHLEN_BYTES:
            self.handshake_hash = protocol_name.ljust(HASHLEN_BYTES, b"\0")
        else:
            self.handshake_hash = sha256(protocol_name).digest()
        self.chaining_key = self.handshake_hash
        self.cipher: CipherState | None = None

    def mix_hash(self, data: bytes) -> None:
        self.handshake_hash = sha256(self.handshake_hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        self.chaining_key, key = hkdf2(self.chaining_key, material)
        self.cipher = CipherState(key)

    def mix_key_and_hash(self, material: bytes) -> None:
        self.chaining_key, hashed, key = hkdf3(self.chaining_key, material)
        self.mix_hash(hashed)
        self.cipher = CipherState(key)

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = (
            plaintext
            if self.cipher is None
            else self.cipher.encrypt_with_ad(self.handshake_hash, plaintext)
        )
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        plaintext = (
            ciphertext
            if self.cipher is None
            else self.cipher.decrypt_with_ad(self.handshake_hash, ciphertext)
        )
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        first, second = hkdf2(self.chaining_key, b"")
        return CipherState(first), CipherState(second)


class HandshakeState:
    """One handshake (section 5.3): call `write_message` and `read_message` in turn, then `split`.

    `static` is our own key pair, where the pattern has one; `remote_static` (32 bytes) is what is
    known beforehand, and holds the peer's key once an `s` token was read; `psk` is 32 bytes.
    `ephemeral` is a key pair made beforehand, for this handshake and no other ever: with one that
    is used twice both sessions are lost. None: it is made when it is needed, of `random_bytes`.
    """

    __slots__ = (
        "_ephemeral",
        "_initiator",
        "_next",
        "_pattern",
        "_psk",
        "_random_bytes",
        "_remote_ephemeral",
        "_remote_static_key",
        "_static",
        "_symmetric",
        "remote_static",
    )

    def __init__(
        self,
        pattern: Pattern,
        *,
        initiator: bool,
        prologue: bytes,
        random_bytes: RandomBytes,
        static: X25519PrivateKey | None = None,
        remote_static: bytes | None = None,
        psk: bytes | None = None,
        ephemeral: X25519PrivateKey | None = None,
    ) -> None:
        if pattern.has_psk != (psk is not None):
            raise ValueError(f"{pattern.name}: a psk exactly where the pattern has one")
        if psk is not None and len(psk) != KEY_BYTES:
            raise ValueError("a psk has 32 bytes")
        self._pattern = pattern
        self._initiator = initiator
        self._random_bytes = random_bytes
        self._static = static
        self._psk = psk
        self._ephemeral = ephemeral
        self._remote_ephemeral: X25519PublicKey | None = None
        self._remote_static_key: X25519PublicKey | None = None
        self.remote_static = remote_static
        self._next = 0
        self._symmetric = SymmetricState(pattern.protocol_name)
        self._symmetric.mix_hash(prologue)
        self._mix_pre_messages()

    @property
    def handshake_hash(self) -> bytes:
        """Channel binding (section 11.2); final after the last message."""
        return self._symmetric.handshake_hash

    @property
    def is_finished(self) -> bool:
        return self._next == len(self._pattern.messages)

    def write_message(self, payload: bytes) -> bytes:
        """The next message, to be sent to the peer."""
        symmetric = self._symmetric
        message = b""
        for token in self._take_tokens(writing=True):
            if token is Token.E:
                if self._ephemeral is None:
                    self._ephemeral = X25519PrivateKey.from_private_bytes(
                        self._random_bytes(DHLEN_BYTES)
                    )
                message += self._mix_ephemeral(self._ephemeral.public_key().public_bytes_raw())
            elif token is Token.S:
                message += symmetric.encrypt_and_hash(
                    _own(self._static).public_key().public_bytes_raw()
                )
            else:
                self._mix_token(token)
        return message + symmetric.encrypt_and_hash(payload)

    def read_message(self, message: bytes) -> bytes:
        """The payload of the peer's next message. Raises NoiseError; the handshake is then over."""
        symmetric = self._symmetric
        at = 0
        for token in self._take_tokens(writing=False):
            if token is Token.E:
                raw = _slice(message, at, DHLEN_BYTES)
                at += DHLEN_BYTES
                self._remote_ephemeral = X25519PublicKey.from_public_bytes(self._mix_ephemeral(raw))
            elif token is Token.S:
                size = DHLEN_BYTES + (TAG_BYTES if symmetric.cipher is not None else 0)
                self.remote_static = symmetric.decrypt_and_hash(_slice(message, at, size))
                at += size
            else:
                self._mix_token(token)
        if symmetric.cipher is not None:
            _slice(message, at, TAG_BYTES)
        return symmetric.decrypt_and_hash(message[at:])

    def split(self) -> tuple[CipherState, CipherState]:
        """(initiator to responder, responder to initiator). Only after the last message."""
        if not self.is_finished:
            raise ValueError("the handshake is not finished")
        return self._symmetric.split()

    def _mix_pre_messages(self) -> None:
        for known, ours in (
            (self._pattern.initiator_known, self._initiator),
            (self._pattern.responder_known, not self._initiator),
        ):
            if not known:
                continue
            if ours:
                self._symmetric.mix_hash(_own(self._static).public_key().public_bytes_raw())
            elif self.remote_static is None:
                raise ValueError(f"{self._pattern.name} needs the peer's static key")
            else:
                self._symmetric.mix_hash(self.remote_static)

    def _take_tokens(self, *, writing: bool) -> tuple[Token, ...]:
        ours = (self._next % 2 == 0) == self._initiator
        if self.is_finished or ours != writing:
            raise ValueError(f"message {self._next} of {self._pattern.name} is not ours to handle")
        tokens = self._pattern.messages[self._next]
        self._next += 1
        return tokens

    def _mix_ephemeral(self, public: bytes) -> bytes:
        self._symmetric.mix_hash(public)
        if self._psk is not None:  # section 9.2: in PSK handshakes e is mixed into the key as well
            self._symmetric.mix_key(public)
        return public

    def _mix_token(self, token: Token) -> None:
        if token is Token.PSK:
            if self._psk is not None:
                self._symmetric.mix_key_and_hash(self._psk)
            return
        # The first letter is the initiator's key, the second the responder's (section 5.3).
        initiators, responders = token.value
        ours, theirs = (initiators, responders) if self._initiator else (responders, initiators)
        private = _own(self._ephemeral if ours == "e" else self._static)
        public = self._remote_ephemeral if theirs == "e" else self._remote_static_public()
        if public is None:
            raise NoiseError("the peer's key is missing")
        try:
            self._symmetric.mix_key(private.exchange(public))
        except ValueError:  # the all-zero result of a low-order point (section 12.1 allows this)
            raise NoiseError("invalid public key") from None

    def _remote_static_public(self) -> X25519PublicKey | None:
        if self._remote_static_key is None and self.remote_static is not None:
            self._remote_static_key = X25519PublicKey.from_public_bytes(self.remote_static)
        return self._remote_static_key


def _own(key: X25519PrivateKey | None) -> X25519PrivateKey:
    if key is None:
        raise ValueError("our own key is missing")
    return key


def _slice(message: bytes, at: int, size: int) -> bytes:
    part = message[at : at + size]
    if len(part) != size:
        raise NoiseError("message too short")
    return part
