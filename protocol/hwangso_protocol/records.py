"""Records: length-prefixed ciphertexts of the transport phase, with rekey (README, "Records")."""

from hwangso_protocol.errors import Fault, ProtocolError
from hwangso_protocol.limits import RECORD_TAG_BYTES, REKEY_AFTER_RECORDS
from hwangso_protocol.noise import CipherState, NoiseError

LENGTH_BYTES = 2


class RecordLayer:
    """Seals and opens records. Each direction rekeys by itself after `rekey_after` records."""

    __slots__ = ("_receive", "_rekey_after", "_send")

    def __init__(
        self, send: CipherState, receive: CipherState, rekey_after: int = REKEY_AFTER_RECORDS
    ) -> None:
        self._send = send
        self._receive = receive
        self._rekey_after = rekey_after

    def seal(self, message: bytes) -> bytes:
        """The record of one message of at most MESSAGE_MAX_BYTES."""
        cipher = self._send
        ciphertext = cipher.encrypt_with_ad(None, message)
        if cipher.nonce % self._rekey_after == 0:
            cipher.rekey()
        return len(ciphertext).to_bytes(LENGTH_BYTES, "big") + ciphertext

    def open(self, ciphertext: bytes) -> bytes:
        """The message in a record. Raises ProtocolError(BAD_RECORD); nothing can follow it."""
        cipher = self._receive
        try:
            message = cipher.decrypt_with_ad(None, ciphertext)
        except NoiseError as error:
            raise ProtocolError(Fault.BAD_RECORD, str(error)) from None
        if cipher.nonce % self._rekey_after == 0:
            cipher.rekey()
        return message

    def cool(self) -> None:
        """Drop what can be made again from the keys, to hold less memory while silent."""
        self._send.cool()
        self._receive.cool()


def split_record(buffer: bytes, at: int) -> tuple[bytes, int] | None:
    """The ciphertext that starts at `at` and where the next one starts, None while incomplete.

    Raises ProtocolError(BAD_RECORD) for a record too short to hold its tag.
    """
    start = at + LENGTH_BYTES
    if len(buffer) < start:
        return None
    size = int.from_bytes(buffer[at:start], "big")
    if size < RECORD_TAG_BYTES:
        raise ProtocolError(Fault.BAD_RECORD, f"a record of {size} bytes cannot hold its tag")
    end = start + size
    if len(buffer) < end:
        return None
    return buffer[start:end], end
