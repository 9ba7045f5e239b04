"""Noise: the published vectors of cacophony, and everything that must not be accepted."""

import json
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.sides import FixedRandom

from hwangso_protocol.noise import (
    IK,
    MAX_NONCE,
    NK,
    NNPSK0,
    CipherState,
    HandshakeState,
    NoiseError,
    Pattern,
    SymmetricState,
    Token,
    hkdf2,
    hkdf3,
)

E, S, EE, ES, SE, SS, PSK = Token.E, Token.S, Token.EE, Token.ES, Token.SE, Token.SS, Token.PSK

# Patterns that the protocol does not use: they run the same loop on other tokens (section 7.5).
NN = Pattern("NN", ((E,), (E, EE)))
XX = Pattern("XX", ((E,), (E, EE, S, ES), (S, SE)))
NKPSK0 = Pattern("NKpsk0", ((PSK, E, ES), (E, EE)), responder_known=True)
KKPSK0 = Pattern(
    "KKpsk0", ((PSK, E, ES, SS), (E, EE, SE)), responder_known=True, initiator_known=True
)
PATTERNS = {
    pattern.protocol_name.decode(): pattern for pattern in (NN, NK, IK, XX, NNPSK0, NKPSK0, KKPSK0)
}


class VectorMessage(msgspec.Struct):
    payload: str
    ciphertext: str


class Vector(msgspec.Struct):
    """One published handshake; keys and messages in hexadecimal."""

    protocol_name: str
    init_prologue: str
    init_ephemeral: str
    resp_prologue: str
    resp_ephemeral: str
    handshake_hash: str
    messages: list[VectorMessage]
    init_static: str | None = None
    init_remote_static: str | None = None
    init_psks: list[str] = []
    resp_static: str | None = None
    resp_remote_static: str | None = None
    resp_psks: list[str] = []


def load_vectors() -> list[Vector]:
    path = Path(__file__).parent / "data" / "cacophony-25519-sha256.json"
    vectors = msgspec.convert(json.loads(path.read_text())["vectors"], list[Vector])
    return [vector for vector in vectors if "_AESGCM_" in vector.protocol_name]


VECTORS = load_vectors()


def unhex(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)


def private(value: str | None) -> X25519PrivateKey | None:
    return None if value is None else X25519PrivateKey.from_private_bytes(bytes.fromhex(value))


def sides_of(vector: Vector) -> tuple[HandshakeState, HandshakeState]:
    pattern = PATTERNS[vector.protocol_name]
    initiator = HandshakeState(
        pattern,
        initiator=True,
        prologue=bytes.fromhex(vector.init_prologue),
        random_bytes=lambda _: bytes.fromhex(vector.init_ephemeral),
        static=private(vector.init_static),
        remote_static=unhex(vector.init_remote_static),
        psk=unhex(next(iter(vector.init_psks), None)),
    )
    responder = HandshakeState(
        pattern,
        initiator=False,
        prologue=bytes.fromhex(vector.resp_prologue),
        random_bytes=lambda _: bytes.fromhex(vector.resp_ephemeral),
        static=private(vector.resp_static),
        remote_static=unhex(vector.resp_remote_static),
        psk=unhex(next(iter(vector.resp_psks), None)),
    )
    return initiator, responder


def test_all_published_aesgcm_vectors_are_run() -> None:
    assert {vector.protocol_name for vector in VECTORS} == set(PATTERNS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.protocol_name)
def test_published_vector(vector: Vector) -> None:
    initiator, responder = sides_of(vector)
    handshake_messages = len(PATTERNS[vector.protocol_name].messages)
    for index, message in enumerate(vector.messages[:handshake_messages]):
        writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
        assert not writer.is_finished
        written = writer.write_message(bytes.fromhex(message.payload))
        assert written.hex() == message.ciphertext
        assert reader.read_message(written).hex() == message.payload
    assert initiator.is_finished
    assert responder.is_finished
    assert initiator.handshake_hash.hex() == vector.handshake_hash
    assert responder.handshake_hash.hex() == vector.handshake_hash

    to_responder, to_initiator = initiator.split()
    at_responder, at_initiator = responder.split()
    for index, message in enumerate(vector.messages[handshake_messages:], handshake_messages):
        initiators_turn = index % 2 == 0
        seal, unseal = (
            (to_responder, at_responder) if initiators_turn else (at_initiator, to_initiator)
        )
        sealed = seal.encrypt_with_ad(b"", bytes.fromhex(message.payload))
        assert sealed.hex() == message.ciphertext
        assert unseal.decrypt_with_ad(b"", sealed).hex() == message.payload


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.protocol_name)
def test_every_flipped_byte_of_a_handshake_is_noticed(vector: Vector) -> None:
    pattern = PATTERNS[vector.protocol_name]
    for flipped_message in range(len(pattern.messages)):
        size = len(bytes.fromhex(vector.messages[flipped_message].ciphertext))
        for at in range(size):
            initiator, responder = sides_of(vector)
            assert not runs_through(vector, initiator, responder, flipped_message, at)


def runs_through(
    vector: Vector, initiator: HandshakeState, responder: HandshakeState, flipped: int, at: int
) -> bool:
    """Whether both sides finish in agreement although byte `at` of one message was flipped."""
    try:
        for index in range(len(PATTERNS[vector.protocol_name].messages)):
            writer, reader = (initiator, responder) if index % 2 == 0 else (responder, initiator)
            payload = bytes.fromhex(vector.messages[index].payload)
            message = bytearray(writer.write_message(payload))
            if index == flipped:
                message[at] ^= 0x80  # X25519 ignores this bit of a key; the handshake hash does not
            reader.read_message(bytes(message))
    except NoiseError:
        return False
    return initiator.handshake_hash == responder.handshake_hash


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.protocol_name)
def test_a_cut_message_is_a_noise_error(vector: Vector) -> None:
    size = len(bytes.fromhex(vector.messages[0].ciphertext))
    for length in range(size):
        initiator, responder = sides_of(vector)
        whole = initiator.write_message(bytes.fromhex(vector.messages[0].payload))
        if responder_reads_plaintext(vector) and length >= 32:
            continue  # its first payload is in clear, of any length
        with pytest.raises(NoiseError):
            responder.read_message(whole[:length])


def responder_reads_plaintext(vector: Vector) -> bool:
    return PATTERNS[vector.protocol_name].messages[0] == (E,)


def nk(*, initiator: bool, server: X25519PrivateKey, prologue: bytes = b"") -> HandshakeState:
    return HandshakeState(
        NK,
        initiator=initiator,
        prologue=prologue,
        random_bytes=FixedRandom("initiator" if initiator else "responder"),
        static=None if initiator else server,
        remote_static=server.public_key().public_bytes_raw() if initiator else None,
    )


SERVER = X25519PrivateKey.from_private_bytes(bytes([5]) * 32)


def test_another_prologue_breaks_the_handshake() -> None:
    message = nk(initiator=True, server=SERVER, prologue=b"one").write_message(b"")
    with pytest.raises(NoiseError, match="decryption failed"):
        nk(initiator=False, server=SERVER, prologue=b"two").read_message(message)


def test_another_psk_breaks_the_handshake() -> None:
    def side(psk: bytes, *, initiator: bool) -> HandshakeState:
        return HandshakeState(
            NNPSK0, initiator=initiator, prologue=b"", random_bytes=FixedRandom("x"), psk=psk
        )

    message = side(bytes(32), initiator=True).write_message(b"hi")
    with pytest.raises(NoiseError):
        side(bytes([1]) * 32, initiator=False).read_message(message)
    assert side(bytes(32), initiator=False).read_message(message) == b"hi"


def test_an_ephemeral_key_made_beforehand() -> None:
    """The message is the one that the same key gives when it comes from `random_bytes`."""

    def first_message(ephemeral: X25519PrivateKey | None, chance: str) -> bytes:
        handshake = HandshakeState(
            NNPSK0,
            initiator=True,
            prologue=b"",
            random_bytes=FixedRandom(chance),
            psk=bytes(32),
            ephemeral=ephemeral,
        )
        return handshake.write_message(b"hi")

    key = X25519PrivateKey.from_private_bytes(FixedRandom("one")(32))
    assert first_message(key, "two") == first_message(None, "one")
    assert first_message(key, "two") != first_message(None, "two")


# The points of small order on Curve25519, little-endian, which give an all-zero shared secret.
LOW_ORDER_POINTS = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER_POINTS, ids=lambda point: point[:4].hex())
def test_low_order_public_keys_are_refused(point: bytes) -> None:
    with pytest.raises(NoiseError, match="invalid public key"):
        nk(initiator=False, server=SERVER).read_message(point + bytes(16))
    with pytest.raises(NoiseError, match="invalid public key"):
        HandshakeState(
            NK,
            initiator=True,
            prologue=b"",
            random_bytes=FixedRandom("x"),
            remote_static=point,
        ).write_message(b"")


def test_messages_must_be_written_and_read_in_turn() -> None:
    initiator, responder = nk(initiator=True, server=SERVER), nk(initiator=False, server=SERVER)
    with pytest.raises(ValueError, match="message 0 of NK is not ours"):
        responder.write_message(b"")
    with pytest.raises(ValueError, match="message 0 of NK is not ours"):
        initiator.read_message(bytes(48))
    with pytest.raises(ValueError, match="not finished"):
        initiator.split()
    responder.read_message(initiator.write_message(b""))
    initiator.read_message(responder.write_message(b""))
    with pytest.raises(ValueError, match="message 2 of NK is not ours"):
        initiator.write_message(b"")


def test_keys_must_suit_the_pattern() -> None:
    def make(pattern: Pattern, psk: bytes | None) -> HandshakeState:
        return HandshakeState(
            pattern, initiator=True, prologue=b"", random_bytes=FixedRandom("x"), psk=psk
        )

    with pytest.raises(ValueError, match="a psk exactly where"):
        make(NNPSK0, None)
    with pytest.raises(ValueError, match="a psk exactly where"):
        make(NN, bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        make(NNPSK0, bytes(31))
    with pytest.raises(ValueError, match="needs the peer's static key"):
        make(NK, None)
    with pytest.raises(ValueError, match="our own key is missing"):
        HandshakeState(NK, initiator=False, prologue=b"", random_bytes=FixedRandom("x"))


def test_a_token_before_its_key_is_a_noise_error() -> None:
    broken = Pattern("broken", ((E, EE), (E,)))
    handshake = HandshakeState(broken, initiator=True, prologue=b"", random_bytes=FixedRandom("x"))
    with pytest.raises(NoiseError, match="key is missing"):
        handshake.write_message(b"")


def test_protocol_names_are_hashed_where_they_are_long() -> None:
    """Section 5.2: up to 32 bytes they are padded with zeros. Our own names are all longer."""
    assert SymmetricState(b"x" * 32).handshake_hash == b"x" * 32
    assert SymmetricState(b"x" * 31).handshake_hash == b"x" * 31 + b"\0"
    assert len(SymmetricState(NNPSK0.protocol_name).handshake_hash) == 32
    assert SymmetricState(b"x" * 33).handshake_hash[:31] != b"x" * 31


def test_hkdf_outputs_are_a_chain() -> None:
    """RFC 5869, test case 3 (no salt, no info), which Noise's HKDF with a zero key equals."""
    first, second = hkdf2(bytes(32), bytes([0x0B]) * 22)
    expected = (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    assert (first + second).hex()[: len(expected)] == expected
    assert hkdf3(bytes(32), bytes([0x0B]) * 22)[:2] == (first, second)


@given(
    plaintexts=st.lists(st.binary(max_size=100), max_size=6), cool_before=st.sets(st.integers(0, 5))
)
def test_cipher_states_stay_in_step_hot_or_cool(
    plaintexts: list[bytes], cool_before: set[int]
) -> None:
    seal, unseal = CipherState(bytes(32)), CipherState(bytes(32))
    for index, plaintext in enumerate(plaintexts):
        if index in cool_before:
            seal.cool()
            unseal.cool()
        assert unseal.decrypt_with_ad(b"ad", seal.encrypt_with_ad(b"ad", plaintext)) == plaintext
    assert seal.nonce == unseal.nonce == len(plaintexts)


def test_a_failed_decryption_leaves_the_nonce() -> None:
    seal, unseal = CipherState(bytes(32)), CipherState(bytes(32))
    sealed = seal.encrypt_with_ad(None, b"hello")
    with pytest.raises(NoiseError):
        unseal.decrypt_with_ad(None, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(NoiseError):
        unseal.decrypt_with_ad(None, b"short")
    assert unseal.nonce == 0
    assert unseal.decrypt_with_ad(None, sealed) == b"hello"


def test_rekey_changes_the_key_and_not_the_nonce() -> None:
    seal, old, new = (CipherState(bytes(32)) for _ in range(3))
    for cipher in (seal, old, new):
        cipher.encrypt_with_ad(None, b"")
    seal.rekey()
    new.rekey()
    assert seal.nonce == 1
    sealed = seal.encrypt_with_ad(None, b"after")
    with pytest.raises(NoiseError):
        old.decrypt_with_ad(None, sealed)
    assert new.decrypt_with_ad(None, sealed) == b"after"


def test_the_last_nonce_is_never_used() -> None:
    cipher = CipherState(bytes(32))
    cipher.nonce = MAX_NONCE - 1
    sealed = cipher.encrypt_with_ad(None, b"last")
    with pytest.raises(NoiseError, match="exhausted"):
        cipher.encrypt_with_ad(None, b"one more")
    with pytest.raises(NoiseError, match="exhausted"):
        cipher.decrypt_with_ad(None, sealed)
